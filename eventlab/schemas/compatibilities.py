"""Whether events of one version of a type read as another: the modes, the issues, and what to do about each.

"Compatible" means that every payload which keeps the writer's contract keeps the reader's too, and that its fields fit the
reader's columns. BACKWARD: the new version reads what an earlier one wrote. FORWARD: an earlier version reads what the new one
writes. What a writer leaves unsaid (``additionalProperties``) is no part of its contract, so that adding an optional property
is compatible; only where it says ``true``, or gives a schema, can a property have been written before it was declared.

=====================  ==================================================  ======================
mode                   promise                                             against
=====================  ==================================================  ======================
NONE                   nothing                                             nothing
BACKWARD               the new version reads what was written              the latest version
FORWARD                earlier versions read what will be written          the latest version
FULL                   both                                                the latest version
BACKWARD_TRANSITIVE …  as above                                            every version
=====================  ==================================================  ======================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument, near
from eventlab.schemas import contracts, types
from eventlab.schemas.alternatives import types_of, values
from eventlab.schemas.clashes import clashes
from eventlab.schemas.containments import KEYWORDS, is_equal, same
from eventlab.schemas.fixes import FIXES, NEVER
from eventlab.schemas.misreads import misreads
from eventlab.schemas.properties import EXACT, is_annotation
from eventlab.schemas.types import FieldType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.schemas.clashes import Clash
    from eventlab.schemas.containments import Schema

_TRANSITIVE = "_TRANSITIVE"
_DIRECTIONS = {"NONE": (), "BACKWARD": ("backward",), "FORWARD": ("forward",), "FULL": ("backward", "forward")}
MODES = ("NONE", *(f"{mode}{suffix}" for mode in _DIRECTIONS if mode != "NONE" for suffix in ("", _TRANSITIVE)))
_NAMED = 5  # values of an enum that a fix names
_LONGEST = 60  # characters of a value in an issue


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason why a version is not compatible.

    Attributes
    ----------
    path
        Where: ``amount``, ``address.city``, ``items[].price``, ``labels.*`` for every undeclared property, empty for the whole.
    kind
        What was done there, as a short code: ``type_narrowed``, ``required_added``, ``enum_narrowed``, …
    old, new
        What was and what is, short enough to read; None where nothing was said.
    mode
        The mode that is not kept.
    against
        The number of the earlier version.
    fix
        One sentence: what to do.
    direction
        ``backward``: the new version cannot read the earlier one's events; ``forward``: the other way round.
    """

    path: str
    kind: str
    old: Any
    new: Any
    mode: str
    against: int
    fix: str
    direction: str = "backward"

    def __str__(self) -> str:
        place = self.path or "the whole payload"
        change = f"was {_told(self.old)}, is {_told(self.new)} ({self.kind})"
        return f"{place}: {change}; not {self.mode} compatible with version {self.against}. {self.fix}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier version: its contract as it was defined, and as its events are read through the new version's upcast."""

    version: int
    contract: dict[str, Any]
    read: dict[str, Any]


def check_mode(mode: str | None) -> None:
    """Raise InvalidArgument unless ``mode`` is a mode of compatibility, or None."""
    if mode is not None and mode not in MODES:
        matches = near(str(mode), MODES)
        guess = f" Did you mean {matches[0]!r}?" if matches else ""
        message = f"{mode!r} is no mode of compatibility.{guess}"
        raise InvalidArgument(message, hint=f"The modes are: {', '.join(MODES)}.")


def issues(new: dict[str, Any], earlier: Sequence[Earlier], mode: str) -> list[Issue]:
    """Return every reason why a new version is not compatible with earlier ones: none if it is.

    An issue is reported only where containment is disproven, or could not be decided (``undecided``); each has a fix.

    Parameters
    ----------
    new
        The contract of the new version, in normal form.
    earlier
        The earlier versions, oldest first. Only the transitive modes look at more than the last.

    Raises
    ------
    InvalidArgument
        If ``mode`` is none of ``MODES``.

    Examples
    --------
    >>> old = {"type": "object", "properties": {"amount": {"type": "number"}}}
    >>> new = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    >>> [str(issue) for issue in issues(new, [Earlier(1, old, old)], "BACKWARD")]  # doctest: +NORMALIZE_WHITESPACE
    ['amount: was number, is integer (type_narrowed); not BACKWARD compatible with version 1.
    Keep number, or a type that holds it, or say in an upcast how the new value comes from the old.']
    """
    check_mode(mode)
    base = mode.removesuffix(_TRANSITIVE)
    asked = earlier if mode.endswith(_TRANSITIVE) else earlier[-1:]
    found = []
    for version in asked:
        for direction in _DIRECTIONS[base]:
            writer, reader = (version.read, new) if direction == "backward" else (new, version.contract)
            found += [_issue(clash, direction, mode, version.version) for clash in _unread(writer, reader)]
    return found


def _unread(writer: dict[str, Any], reader: dict[str, Any]) -> list[Clash]:
    """Return what of a writer's payloads a reader cannot read, one clash for each path and rule."""
    if same(writer, reader):
        return []
    found = {(clash.path, clash.rule): clash for clash in reversed(list(clashes(writer, reader, whole=True)))}
    seen = {path for path, _ in found}
    fields = tuple((name, field.type) for name, field in contracts.fields(reader).items())
    for clash in misreads(FieldType("STRUCT", fields=fields), {**writer, "type": "object"}, whole=True):
        if clash.path not in seen:
            found.setdefault((clash.path, clash.rule), clash)
    return sorted(found.values(), key=lambda clash: (clash.path, clash.rule))


def _issue(clash: Clash, direction: str, mode: str, version: int) -> Issue:
    """Return a clash as an issue: in the words of the change from the earlier version to the new one."""
    rule = _rule(clash)
    kinds, fixes = FIXES[rule]
    writer, reader = _value(clash, clash.writer), _value(clash, clash.reader)
    if writer == reader:  # both are objects, say
        writer, reader = _bare(clash.writer), _bare(clash.reader)
    old, new = (writer, reader) if direction == "backward" else (reader, writer)
    backward = direction == "backward"
    name = clash.path.rpartition(".")[2] or "the payload"
    fix = fixes[not backward].format(name=name, old=_told(old), new=_told(new), lost=_lost(clash), version=version)
    never = NEVER if _has_default(clash) else ""
    return Issue(clash.path, kinds[not backward], old, new, mode, version, f"{fix}{never}", direction)


def _rule(clash: Clash) -> str:
    """Return the rule of a clash, with whether it was there before, or whether it is narrower."""
    if clash.rule == "type":
        return "type_narrowed" if _is_narrower(clash.reader, clash.writer) else "type"
    added = f"{clash.rule}_new"
    is_new = isinstance(clash.writer, dict) and not _has(clash.writer, clash.rule)
    return added if is_new and added in FIXES else clash.rule


def _is_narrower(one: Schema | FieldType | None, other: Schema | FieldType | None) -> bool:
    """Tell whether the types of a schema, or a column's type, are some of another's."""
    if isinstance(one, FieldType) and isinstance(other, FieldType):
        return types.holds(other, one)
    if isinstance(one, FieldType) or isinstance(other, FieldType) or one is None or other is None:
        return False
    narrow, wide = set(types_of(one)), set(types_of(other))
    return bool(narrow) and narrow < wide | ({"integer"} if "number" in wide else set())


def _has(schema: object, rule: str) -> bool:
    """Tell whether a schema says something under a rule."""
    return isinstance(schema, dict) and (rule in schema or (rule == "enum" and "const" in schema))


def _has_default(clash: Clash) -> bool:
    """Tell whether a property that is required now has a default."""
    if not clash.rule.startswith("required") or not isinstance(clash.reader, dict):
        return False
    part = clash.reader.get("properties", {}).get(clash.path.rpartition(".")[2])
    return isinstance(part, dict) and "default" in part


def _lost(clash: Clash) -> str:
    """Return the values of an enum that are missing, as text."""
    before, now = (_listed(side) if isinstance(side, dict) else [] for side in (clash.writer, clash.reader))
    missing = [value for value in before if not any(is_equal(value, other) for other in now)]
    texts = [json.dumps(value, ensure_ascii=False) for value in missing]
    return ", ".join([*texts[:_NAMED], *(["…"] if len(texts) > _NAMED else [])]) or "the other values"


def _listed(schema: dict[str, Any]) -> list[Any]:
    """Return the values that a schema lists."""
    return values(schema) or []


def _value(clash: Clash, side: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return what one side of a clash says under its rule, short."""
    if clash.rule in {"required", "required_new"}:
        return "required" if side is clash.reader else "optional" if clash.rule == "required" else "undeclared"
    if isinstance(side, FieldType):
        return str(side)
    if not isinstance(side, dict):
        return {True: "anything", False: "nothing"}.get(side, side) if isinstance(side, bool) else side
    if clash.rule == "enum":
        return _short(_listed(side)) if _has(side, "enum") else _described(side)
    return _short(side.get(clash.rule)) if clash.rule in KEYWORDS - {"type", "not"} else _described(side)


def _described(schema: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return a schema in a few words: its type, else its values, else as it is."""
    if EXACT in schema:
        return schema[EXACT]
    if "type" in schema:
        said = schema["type"]
        return said if isinstance(said, str) else " | ".join(said)
    for key in ("anyOf", "oneOf"):
        if key in schema and all(isinstance(branch, dict) and "type" in branch for branch in schema[key]):
            return " | ".join(dict.fromkeys(str(_described(branch)) for branch in schema[key]))
    if _has(schema, "enum"):
        return _short(_listed(schema))
    return _bare(schema)


def _bare(schema: Any) -> Any:  # noqa: ANN401
    """Return a schema as it is, without annotations, short."""
    if not isinstance(schema, dict):
        return schema
    return _short({key: value for key, value in schema.items() if not is_annotation(key)}) if schema else "anything"


def _short(value: Any) -> Any:  # noqa: ANN401
    """Return a JSON value that is short enough to read, else the beginning of its text."""
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _told(value: Any) -> str:  # noqa: ANN401
    """Return a value as a sentence has it."""
    if value is None:
        return "not said"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
