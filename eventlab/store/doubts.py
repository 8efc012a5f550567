"""Doubts: SQL conditions that every misfit meets, from the structure of payloads and what is asked of them.

A doubt is a choice of conditions: none where all values fit, ``true`` where each must be looked at. They are over ``payload``
and what ``Texts`` has read of it. What fits may meet a condition too: the checks of an append decide. A condition is false,
not NULL, for payloads that do not have its path.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.schemas import properties, types, validators
from eventlab.store import patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventlab.schemas.types import FieldType

Path = tuple[str | None, ...] | None  # keys, with None for each item of a list; None: a place that SQL does not reach
Doubt = tuple[str, ...]
FINE: Doubt = ()
LOOK: Doubt = ("true",)
MIXED = "MIXED"  # the structure of items that have nothing in common
_WHOLE = frozenset({"BIGINT", "UBIGINT"})
_NUMBERS = frozenset({*_WHOLE, "DOUBLE", "HUGEINT", "UHUGEINT"})
_LOW, _HIGH = types.bounds("BIGINT")
_EXACT = Context(prec=1000, traps=[])
_SURE = 15  # digits that a double keeps
_SIMPLE = re.compile(r"[A-Za-z0-9_-]+")  # keys and texts that stand for themselves in paths and patterns
_FEW = 100  # texts of one pattern

_TEXTS = {
    "DATE": r"[1-9]\d{3}-\d\d-\d\d",
    "TIME": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d{1,6})?",
    "TIMESTAMP": r"[1-9]\d{3}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,6})?)?)?",
    "TIMESTAMPTZ": r"[1-9]\d{3}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,6})?)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?)?",
    "UUID": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
_NAME = r"[A-Za-z0-9]{1,20}"
_HOST = rf"{_NAME}([.-]{_NAME}){{1,3}}"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_FORMATS = {  # what is sure to be of a format that no column has
    "email": rf"{_NAME}([._+-]{_NAME}){{0,1}}@{_HOST}",
    "hostname": _HOST,
    "ipv4": rf"({_OCTET}[.]){{3}}{_OCTET}",
    "time": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    "uri": rf"https?://{_HOST}(/[A-Za-z0-9._~-]*)*",
}


@dataclass(frozen=True)
class Nullable:
    """The structure of a column: of its values where they are not NULL."""

    of: object


@dataclass
class Texts:
    """What conditions read: scalars at paths, those in the items of lists, and ``canonical``."""

    paths: dict[str, int] = field(default_factory=dict)
    lists: dict[str, int] = field(default_factory=dict)
    canonical: bool = False

    def at(self, path: tuple[str | None, ...]) -> str:
        """Return the SQL of the scalar at a path, as text; in the items of a list ``item``, for ``doubt``."""
        return "item" if None in path else f"texts[{self.paths.setdefault(pointer(path), len(self.paths) + 1)}]"

    def each(self, path: tuple[str | None, ...]) -> str:
        """Return the SQL of the list of the scalars at a path in the items of a list."""
        steps = "".join("[*]" if step is None else f'."{step}"' for step in path)
        return f"items{self.lists.setdefault(f'${steps}', len(self.lists) + 1)}"

    def doubt(self, path: tuple[str | None, ...], condition: str) -> Doubt:
        """Return the doubt that a scalar meets a condition: of those in a list, any. ``""`` and ``true`` are no conditions."""
        if condition in {"", "true"}:
            return LOOK if condition else FINE
        if None not in path:
            return (f"({self.at(path)} is not null and ({condition}))",)
        return (
            f"coalesce(len(list_filter({self.each(path)}, lambda item: item is not null and ({condition}))) > 0, false)",
        )

    def odd(self, path: tuple[str | None, ...]) -> str:
        """Return the condition that the number at a path may be written with more digits than a double keeps."""
        self.canonical = True
        key = next(step for step in reversed(path) if step is not None)
        if not _SIMPLE.fullmatch(key) or path[-1] is None:
            return "not canonical"
        literal = queries.literal(rf'"{key}"\s*:\s*-?[0-9.]*([0-9.]{{{_SURE + 2}}}|[eE])|\\u00[2-7]')
        return f"(not canonical and regexp_matches(payload, {literal}))"

    def relation(self, rows: str, shape: str) -> str:
        """Return the relation of ``number``, ``payload``, ``shape`` and what conditions read, of rows of ``built``."""
        listed = ", ".join(map(queries.literal, self.paths))
        parts = [
            f"rowid as number, payload, {shape} as shape",
            *([f"json_extract_string(payload, [{listed}]) as texts"] if self.paths else []),
            *(f"json_extract_string(payload, {queries.literal(path)}) as items{n}" for path, n in self.lists.items()),
            *(["coalesce(try(json(payload))::varchar = payload, false) as canonical"] if self.canonical else []),
        ]
        return f"(select {', '.join(parts)} from built where {rows})"


def pointer(path: tuple[str | None, ...]) -> str:
    """Return the JSON pointer of a path that is in no list."""
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path if step is not None)


def _below(path: Path, name: str) -> Path:
    """Return the path to a key below another."""
    return None if path is None or (None in path and not _SIMPLE.fullmatch(name)) else (*path, name)


def _items(path: Path) -> Path:
    """Return the path to the items of a list: of lists in lists there is none."""
    return (*path, None) if path and all(step and _SIMPLE.fullmatch(step) for step in path) else None


def either(doubts: Iterable[Doubt]) -> Doubt:
    """Return the doubt that is met where any of some is."""
    found = dict.fromkeys(condition for doubt in doubts for condition in doubt)
    return LOOK if LOOK[0] in found else tuple(found)


def both(doubts: Iterable[Doubt]) -> Doubt:
    """Return the doubt that is met where all of some are."""
    found = list(dict.fromkeys(doubts))
    said = [doubt for doubt in found if doubt != LOOK]
    if FINE in found or len(said) < 2:  # noqa: PLR2004 - there is nothing to join
        return FINE if FINE in found else said[0] if said else LOOK
    return (" and ".join(f"({' or '.join(doubt)})" for doubt in said),)


# ---- types


def of_type(kind: FieldType, structure: object, path: Path, texts: Texts) -> Doubt:
    """Return the doubt about values of a structure that shall fit a type. Null always does."""
    if isinstance(structure, Nullable):
        return of_type(kind, structure.of, path, texts)
    if structure == "NULL" or kind.kind == "JSON":
        return FINE
    if not isinstance(structure, str):
        return _nested(kind, structure, path, texts)
    is_number = kind.kind in {"FLOAT", "DOUBLE"} and structure in _NUMBERS
    if is_number or (kind.kind == structure and structure in {"BOOLEAN", "VARCHAR"}):
        return FINE
    return LOOK if path is None else texts.doubt(path, _scalar(kind, structure, path, texts))


def _nested(kind: FieldType, structure: object, path: Path, texts: Texts) -> Doubt:
    """Return the doubt about an object or a list."""
    if kind.kind == "STRUCT" and isinstance(structure, dict):
        return either(
            of_type(child, structure.get(name, "NULL"), _below(path, name), texts) for name, child in kind.fields
        )
    if kind.kind == "LIST" and kind.item and isinstance(structure, list):
        return either(of_type(kind.item, part, _items(path), texts) for part in structure)
    if kind.kind == "MAP" and kind.item and isinstance(structure, dict):  # of any number of keys: too many for SQL
        return either(of_type(kind.item, part, None, texts) for part in structure.values())
    return LOOK


def _scalar(kind: FieldType, structure: str, path: tuple[str | None, ...], texts: Texts) -> str:
    """Return the condition that a scalar does not fit a type, by its text; ``true`` if that does not tell."""
    text = texts.at(path)
    if kind.kind in types.INTEGERS and structure in _WHOLE:
        return f"try_cast({text} as {kind.kind}) is null"
    if kind.kind == "DECIMAL" and kind.precision > kind.scale and (structure in _NUMBERS or structure == "VARCHAR"):
        whole, scale = kind.precision - kind.scale, kind.scale
        pattern = f"-?\\d{{1,{whole}}}([.]\\d{{1,{scale}}})?" if scale else f"-?\\d{{1,{whole}}}([.]0)?"
        odd = f" or {texts.odd(path)}" if structure == "DOUBLE" else ""
        return f"length({text}) > {_SURE} or not regexp_full_match({text}, {queries.literal(pattern)}){odd}"
    if kind.kind in _TEXTS and structure == "VARCHAR":
        return _undated(kind.kind, text)
    if kind.kind == "ENUM" and structure == "VARCHAR":
        return _unlisted(text, kind.values)
    return "true"


def _undated(kind: str, text: str) -> str:
    """Return the condition that a text is not sure to be a date, time, instant or UUID."""
    cast = f" or try_cast({text} as {kind}) is null" if kind != "UUID" else ""
    return f"not regexp_full_match({text}, {queries.literal(_TEXTS[kind])}){cast}"


def _unlisted(text: str, values: Iterable[str]) -> str:
    """Return the condition that a text is none of some; of plain ones by a pattern, which is faster."""
    known = list(values)
    if known and len(known) <= _FEW and all(map(_SIMPLE.fullmatch, known)):
        return f"not regexp_full_match({text}, {queries.literal('|'.join(known))})"
    return f"{text} not in ({', '.join(map(queries.literal, known))})" if known else "true"


# ---- contracts

_ABOUT = {  # the kinds of values that keywords are about; of all others they say nothing
    ("properties", "patternProperties", "additionalProperties", "propertyNames"): {"object"},
    ("required", "minProperties", "maxProperties"): {"object"},
    ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"): {"array"},
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"): {"integer", "number"},
    ("minLength", "maxLength", "pattern", "format"): {"string"},
}
_APPLIES = {word: kinds for words, kinds in _ABOUT.items() for word in words}
_SCALARS = {"enum", "const", *(word for word, kinds in _APPLIES.items() if kinds <= {"integer", "number", "string"})}
_KINDS = {"NULL": "null", "BOOLEAN": "boolean", "VARCHAR": "string", "BIGINT": "integer", "UBIGINT": "integer"}


def of_contract(schema: object, structure: object, path: Path, texts: Texts) -> Doubt:
    """Return the doubt about values of a structure that shall keep a contract."""
    if not isinstance(schema, dict):
        return FINE if schema is True else LOOK
    if isinstance(structure, Nullable):
        kept = of_contract(schema, structure.of, path, texts)
        if path is None or None in path or of_contract(schema, "NULL", path, texts) == FINE:
            return kept  # in a list, ``_array`` looks for nulls at any depth
        return either([kept, (f"{texts.at(path)} is null",)])
    rules = {word: value for word, value in schema.items() if not properties.is_annotation(word) and word != "$schema"}
    if structure == MIXED:
        return LOOK if rules else FINE
    kind = _kind(structure)
    rules = {word: value for word, value in rules.items() if kind in _APPLIES.get(word, {kind})}
    found = [_keyword(word, value, structure, path, texts) for word, value in rules.items()]
    if isinstance(structure, dict):
        found += _object(rules, structure, path, texts)
    elif isinstance(structure, list):
        found += _array(rules, structure, path, texts)
    return either(found)


def _kind(structure: object) -> str:
    """Return the kind of values that a structure has; a number with a point may be an integer all the same."""
    if isinstance(structure, str):
        return _KINDS.get(structure, "number")
    return "object" if isinstance(structure, dict) else "array"


def _keyword(word: str, value: Any, structure: object, path: Path, texts: Texts) -> Doubt:  # noqa: ANN401, PLR0911 - a line each
    """Return the doubt of one keyword; none of those that are about objects or lists alone."""
    match word:
        case "type":
            return FINE if _has_type(value, _kind(structure)) else LOOK
        case "allOf":
            return either(of_contract(part, structure, path, texts) for part in value)
        case "anyOf":
            return both(of_contract(part, structure, path, texts) for part in value)
        case "oneOf":
            fitting = [part for part in value if not _is_excluded(part, structure)]
            return of_contract(fitting[0], structure, path, texts) if len(fitting) == 1 else LOOK
        case "not":
            return FINE if _is_excluded(value, structure) else LOOK
        case "enum" | "const" if structure == "NULL":
            return FINE if None in (value if word == "enum" else [value]) else LOOK
    if word in _SCALARS and isinstance(structure, str) and path is not None:
        return texts.doubt(path, _condition(word, value, structure, path, texts))
    return FINE if _APPLIES.get(word, set()) & {"object", "array"} else LOOK


def _condition(word: str, value: Any, structure: str, path: tuple[str | None, ...], texts: Texts) -> str:  # noqa: ANN401 - of a schema
    """Return the condition that a scalar does not keep a keyword; ``""`` if it does, ``true`` if its text does not tell."""
    if word in {"enum", "const"}:
        return _unlisted(texts.at(path), _listed(value if word == "enum" else [value], _kind(structure)))
    if structure == "VARCHAR":
        return _text(word, value, texts.at(path))
    limit = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if word == "multipleOf":
        return _multiple(limit, structure, path, texts)
    return (_whole_bound if structure in _WHOLE else _bound)(word, limit, path, texts)


def _has_type(said: str | list[str], kind: str) -> bool:
    """Tell whether values of a kind are sure to be of the types that a contract says."""
    names = {said} if isinstance(said, str) else set(said)
    return kind in names or (kind == "integer" and "number" in names)


def _is_excluded(schema: object, structure: object) -> bool:
    """Tell whether no value of a structure keeps a contract, by its types alone."""
    if not isinstance(schema, dict) or structure == MIXED or isinstance(structure, Nullable):
        return schema is False
    kind = _kind(structure)
    said = schema.get("type", kind)
    names = {said} if isinstance(said, str) else set(said)
    possible = {"integer", "number"} if kind in {"integer", "number"} else {kind}
    return not names & possible


def _listed(values: list[Any], kind: str) -> list[str]:
    """Return the texts that values of a kind have among some; those of numbers with a point are not told."""
    match kind:
        case "string":
            return [value for value in values if isinstance(value, str)]
        case "boolean":
            return ["true" if value else "false" for value in values if isinstance(value, bool)]
        case "integer":
            numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
            return [str(int(value)) for value in numbers if value == int(value)]
    return []


def _object(rules: Mapping[str, Any], structure: dict[str, object], path: Path, texts: Texts) -> list[Doubt]:
    """Return the doubts of what is asked of an object. In the items of a list, each may lack some of the keys."""
    doubts = _keys(rules, structure, path, texts)
    declared, patterned = rules.get("properties", {}), rules.get("patternProperties", {})
    for name, part in structure.items():
        own = [schema for pattern, schema in patterned.items() if validators.keeps({"pattern": pattern}, name)]
        if name not in declared:  # there may be any number of such keys: too many for SQL
            doubts += [of_contract(one, part, None, texts) for one in own or [rules.get("additionalProperties", True)]]
            continue
        doubts += [of_contract(one, part, _below(path, name), texts) for one in (declared[name], *own)]
    return doubts


def _keys(rules: Mapping[str, Any], structure: dict[str, object], path: Path, texts: Texts) -> list[Doubt]:
    """Return the doubts of what is asked of the keys of an object."""
    names, required = rules.get("propertyNames", True), rules.get("required", ())
    low, high = rules.get("minProperties", 0), rules.get("maxProperties", math.inf)
    if not structure.keys() >= set(required) or not all(validators.keeps(names, name) for name in structure):
        return [LOOK]
    is_whole = all(isinstance(part, Nullable) for part in structure.values())  # columns are keys of every item
    if (path is not None and None not in path) or is_whole:
        return [FINE if low <= len(structure) <= high else LOOK]
    if low or high < math.inf or (required and (path is None or path.index(None) != len(path) - 1)):
        return [LOOK]
    return [_lacking(path, name, texts) for name in required]


def _lacking(path: Path, name: str, texts: Texts) -> Doubt:
    """Return the doubt that every item of a list, which is an object, has a key."""
    place = _below(path, name)
    if path is None or place is None:
        return LOOK
    length = f"json_array_length(payload, {queries.literal(pointer(path))})"
    return (f"coalesce(len({texts.each(place)}) < {length}, false)",)


def _array(rules: Mapping[str, Any], structure: list[object], path: Path, texts: Texts) -> list[Doubt]:
    """Return the doubts of what is asked of a list, whose items are one structure, without the nulls among them."""
    items, item = rules.get("items", True), structure[0]
    if "prefixItems" in rules or rules.get("uniqueItems"):
        return [LOOK]
    if path is None or None in path:
        return [LOOK if rules.keys() & {"minItems", "maxItems"} else of_contract(items, item, None, texts)]
    length = f"json_array_length(payload, {queries.literal(pointer(path))})"
    doubts: list[Doubt] = []
    if rules.get("minItems"):
        doubts.append((f"coalesce({length} < {int(rules['minItems'])}, false)",))
    if "maxItems" in rules:
        doubts.append((f"coalesce({length} > {int(rules['maxItems'])}, false)",))
    if items is not True:
        doubts.append((f"coalesce(contains({texts.at(path)}, 'null'), false)",))
        if item != "NULL":  # else it is empty, or of nulls alone
            doubts.append(of_contract(items, item, _items(path), texts))
    return doubts


# ---- numbers


def _whole_bound(word: str, limit: Decimal, path: tuple[str | None, ...], texts: Texts) -> str:
    """Return the condition that an integer does not keep a bound."""
    text, lower = texts.at(path), _is_lower(word)
    nearest = math.ceil(limit) if lower else math.floor(limit)
    if nearest == limit and word.startswith("exclusive"):
        nearest += 1 if lower else -1
    if not _LOW <= nearest <= _HIGH:
        return "true"
    return f"coalesce(try_cast({text} as bigint) {'<' if lower else '>'} {nearest}, true)"


def _bound(word: str, limit: Decimal, path: tuple[str | None, ...], texts: Texts) -> str:
    """Return the condition that a number with a point does not keep a bound.

    Its text went through a double. Where the double is beyond that of the limit, so is the number; where they are the
    same, the number is the limit if neither has more digits than a double keeps.
    """
    nearest = float(limit)
    if not math.isfinite(nearest):
        return "true"
    text, lower = texts.at(path), _is_lower(word)
    number, double = f"try_cast({text} as double)", f"'{nearest!r}'::double"
    beyond = "<" if lower else ">"
    if word.startswith("exclusive") or len(_figures(limit)) > _SURE:
        return f"coalesce({number} {beyond}= {double}, true)"
    other = f" and {text} <> '0.0'" if lower and not limit else ""
    return f"coalesce({number} {beyond} {double}, true) or ({number} = {double}{other} and {texts.odd(path)})"


def _is_lower(word: str) -> bool:
    """Tell whether a keyword is a lower bound."""
    return word in {"minimum", "exclusiveMinimum"}


def _figures(number: Decimal) -> tuple[int, ...]:
    """Return the digits of a number, without zeros at its end."""
    return number.normalize(_EXACT).as_tuple().digits


def _multiple(step: Decimal, structure: str, path: tuple[str | None, ...], texts: Texts) -> str:
    """Return the condition that a number is no multiple of a whole number, or has more digits after its point."""
    text = texts.at(path)
    if structure in _WHOLE:
        if _EXACT.remainder(Decimal(1), step) == 0:
            return ""
        if step != step.to_integral_value() or step > _HIGH:
            return "true"
        return f"coalesce(try_cast({text} as bigint) % {int(step)} <> 0, true)"
    if _figures(step) != (1,) or not -_SURE < step.adjusted() <= 0:
        return "true"
    pattern = f"-?\\d+([.]\\d{{1,{-step.adjusted()}}})?" if step < 1 else "-?\\d+([.]0)?"
    return f"not regexp_full_match({text}, '{pattern}') or {texts.odd(path)}"


# ---- texts


def _text(word: str, value: Any, text: str) -> str:  # noqa: ANN401 - of a schema
    """Return the condition that a text does not keep a keyword."""
    match word:
        case "minLength" | "maxLength":
            kept = f"length({text}) {'>=' if word == 'minLength' else '<='} {int(value)}"
        case "format" if value in properties.FORMATS:
            return _undated(properties.FORMATS[value].kind, text)
        case "format" if value in _FORMATS:
            kept = f"regexp_full_match({text}, {queries.literal(_FORMATS[value])})"
        case "pattern" if (pattern := patterns.re2(value)) is not None:
            kept = f"regexp_matches({text}, {queries.literal(pattern)})"
        case _:
            return "true"
    return f"not {kept}"
