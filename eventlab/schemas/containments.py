"""Whether every payload that one schema admits is admitted by another: jsonschema-rs proves it, on schemas made comparable.

A schema that was written with and one that reads mean unsaid content (no ``additionalProperties``) differently. What a writer
does not declare is no part of its contract, so there it counts as closed; a reader ignores what it does not declare, so there
it counts as open. An object of which nothing at all is declared is free: its content is its point, and counts as open.

The formats that columns have mean what the columns' checks mean (``validators``), which is wider than what jsonschema-rs takes
them for. They are compared by name: as patterns that it cannot look into, exact for the texts that the schemas list.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from jsonschema_rs.canonical import Containment, Satisfiability, UnsupportedOperand, UnsupportedResult

from eventlab.schemas import checks, validators
from eventlab.schemas.types import FieldType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema_rs import CanonicalSchema

Schema = dict[str, Any] | bool
ONE, NAMED, LISTED = ("additionalProperties", "items"), ("properties", "patternProperties"), ("prefixItems",)
IN_PLACE = ("allOf", "anyOf", "oneOf")  # they say more of the same value; all others speak of parts of it
KEYWORDS = frozenset(
    {
        *(*ONE, *NAMED, *LISTED, *IN_PLACE),
        *(
            "type",
            "enum",
            "const",
            "required",
            "propertyNames",
            "not",
            "pattern",
            "format",
            "multipleOf",
            "uniqueItems",
        ),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
        *("minItems", "maxItems", "minProperties", "maxProperties"),
    }
)
_BITS = (("minimum", -(2**63)), ("maximum", 2**63 - 1))
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_LENGTHS = {"date": (10, 10), "date-time": (10, 35), "time": (8, 15), "uuid": (36, 36)}  # of texts that columns read


def covers(reader: Schema, writer: Schema, *, whole: bool = False) -> bool | None:
    """Tell whether every value that ``writer`` admits is one that ``reader`` admits; None where that is not decided.

    ``whole``: the schemas are those of whole payloads, whose unsaid content counts as closed even if nothing is declared.

    Examples
    --------
    >>> covers({"type": "number"}, {"type": "integer"}), covers({"minimum": 3}, {"type": "integer", "minimum": 2})
    (True, False)
    """
    if same(reader, writer):
        return True
    texts = _texts(reader, writer)
    written = _closed(_plain(writer, texts), Declared(), whole=whole)
    try:
        found = _canonical(json.dumps(_plain(reader, texts))).covers(_canonical(json.dumps(written)))
    except (UnsupportedOperand, UnsupportedResult):
        return None
    return None if found == Containment.UNKNOWN else found == Containment.YES


def same(one: object, other: object) -> bool:
    """Tell whether two parts of a schema are the same JSON: to Python, ``1`` and ``True`` are equal."""
    return json.dumps(one) == json.dumps(other)


def is_equal(one: object, other: object) -> bool:
    """Tell whether two JSON values are equal: ``1`` and ``1.0`` are, ``1`` and ``True`` are not, at any depth."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(value, other[key]) for key, value in one.items())
    return one == other


def impossible(*schemas: Schema) -> bool:
    """Tell whether it is proven that no value is admitted by all of the schemas."""
    texts = _texts(*schemas)
    first, *others = (_canonical(json.dumps(_plain(schema, texts))) for schema in schemas)
    try:
        for other in others:
            first = first.intersect(other)
    except (UnsupportedOperand, UnsupportedResult):
        return False
    return first.satisfiability() == Satisfiability.NO


@functools.lru_cache(maxsize=10_000)
def matches(pattern: str, name: str) -> bool:
    """Tell whether a name is one of a pattern, as jsonschema-rs reads it."""
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True).is_valid(name)


def fits_format(name: str, value: object) -> bool:
    """Tell whether a value has a format that a column has; what is no text has every one."""
    return not isinstance(value, str) or checks.check(FieldType(validators.FORMATS[name]), closed=False)(value) is None


def mapped(schema: dict[str, Any], change: Callable[[Schema], Schema]) -> dict[str, Any]:
    """Return a schema with the schemas of its parts changed; those in place, and ``not``, are left as they are."""
    made = {key: value for key, value in schema.items() if key in KEYWORDS}
    for key in ONE:
        if key in made:
            made[key] = change(made[key])
    for key in NAMED:
        if key in made:
            made[key] = {name: change(part) for name, part in made[key].items()}
    for key in LISTED:
        if key in made:
            made[key] = [change(part) for part in made[key]]
    return made


@functools.lru_cache(maxsize=4096)
def _canonical(text: str) -> CanonicalSchema:
    """Return jsonschema-rs's form of a schema."""
    return jsonschema_rs.canonicalize(json.loads(text), validate_formats=True, offline=True)


def _plain(schema: Schema, texts: frozenset[str]) -> Schema:
    """Return a schema without annotations, in which formats are patterns: of ``texts`` exact, else not to be looked into."""
    if isinstance(schema, bool):
        return schema
    made = mapped(schema, lambda part: _plain(part, texts))
    if _integers(made):  # to a column an integer without bounds has 64 bits, too
        made = {key: value for key, value in made.items() if (key, value) not in _BITS}
    for key in IN_PLACE:
        if key in made:
            made[key] = [_plain(branch, texts) for branch in made[key]]
    for key in ("not", "propertyNames"):
        if key in made:
            made[key] = _plain(made[key], texts)
    if made.get("format") not in validators.FORMATS:
        return made
    token = _token(made.pop("format"), texts)
    return {**made, "allOf": [*made.get("allOf", ()), token]}


def _integers(schema: dict[str, Any]) -> bool:
    """Tell whether a schema admits integers and null alone."""
    kinds = schema.get("type", "any")
    return {*(kinds if isinstance(kinds, list) else [kinds])} - {"null"} == {"integer"}


def _token(name: str, texts: frozenset[str]) -> dict[str, Any]:
    """Return what stands for a format: a pattern that tells of each of ``texts`` whether it has it, and is its own otherwise."""
    fitting = sorted(text for text in texts if fits_format(name, text))
    known = "|".join(_SPECIAL.sub(r"\\\g<0>", text) for text in fitting)
    least, most = _LENGTHS[name]
    opaque = f"(?={name})format"
    return {"pattern": f"^(?:{known})$|{opaque}" if fitting else opaque, "minLength": least, "maxLength": most}


def _texts(*schemas: Schema) -> frozenset[str]:
    """Return the texts that occur in schemas, those of enums and constants among them: jsonschema-rs tries these on patterns."""
    found: set[str] = set()
    left: list[Any] = list(schemas)
    while left:
        part = left.pop()
        if isinstance(part, str):
            found.add(part)
        elif isinstance(part, dict):
            left += part.values()
        elif isinstance(part, list):
            left += part
    return frozenset(found)


def _branches(schema: dict[str, Any]) -> Iterator[tuple[str, Schema]]:
    """Return the schemas in place in a schema, each with its keyword."""
    return ((key, branch) for key in IN_PLACE for branch in schema.get(key, ()))


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared of an object: the names, the patterns, how many there must be, and whether content is said.

    ``within``: the same of the values of its properties, and of the items of a list, by keyword and name.
    """

    names: frozenset[str] = frozenset()
    patterns: frozenset[str] = frozenset()
    least: int = 0
    said: bool = False
    within: Mapping[tuple[str, str], Declared] = field(default_factory=dict)

    def __or__(self, other: Declared) -> Declared:
        names, patterns = self.names | other.names, self.patterns | other.patterns
        within = {**other.within, **self.within}
        within |= {key: self.within[key] | other.within[key] for key in self.within.keys() & other.within.keys()}
        return Declared(names, patterns, max(self.least, other.least), self.said or other.said, within)

    def of(self, key: str, name: str = "") -> Declared:
        """Return what is declared of the value of a property, or of the items."""
        return self.within.get((key, name), _NOTHING)

    @property
    def opens(self) -> bool:
        """Whether content counts as open though it is not said to be: more is asked for than is declared."""
        return self.least > len(self.names) and not self.patterns


_NOTHING = Declared()


def _own(schema: dict[str, Any]) -> Declared:
    """Return what a schema itself declares; the name of a required property is declared with it."""
    names = frozenset(schema.get("properties", ())) | frozenset(schema.get("required", ()))
    said = "additionalProperties" in schema or "propertyNames" in schema
    within = {("properties", name): declared(part) for name, part in schema.get("properties", {}).items()}
    within |= {("items", ""): declared(schema["items"])} if "items" in schema else {}
    return Declared(names, frozenset(schema.get("patternProperties", ())), schema.get("minProperties", 0), said, within)


def declared(schema: Schema, keys: tuple[str, ...] = IN_PLACE) -> Declared:
    """Return what a schema declares, with those in place in it under ``keys``."""
    if isinstance(schema, bool):
        return Declared()
    found = _own(schema)
    for key, branch in _branches(schema):
        if key in keys:
            found |= declared(branch, keys)
    return found


def _closed(schema: Schema, beside: Declared, *, whole: bool) -> Schema:
    """Return a schema whose unsaid content is closed at every level, but for what is declared ``beside`` it.

    Of schemas in place each is closed for itself, since what one of several alternatives declares is declared in it alone. Those
    of ``oneOf`` are kept as well: closed, fewer of them would overlap, and more would be admitted.
    """
    if isinstance(schema, bool):
        return schema
    known = beside | _own(schema)
    branches = list(_branches(schema))
    made = _parts(schema, functools.reduce(Declared.__or__, (declared(branch) for _, branch in branches), beside))
    closed: dict[str, list[Schema]] = {key: [] for key, _ in branches}
    for i, (key, branch) in enumerate(branches):
        around = known
        for j, (other_key, other) in enumerate(branches):
            if i != j and (other_key != key or key == "allOf"):
                around |= declared(other)
        closed[key].append(_closed(branch, around, whole=whole))
    for key in ("allOf", "anyOf"):
        if key in closed:
            made[key] = closed[key]
    if "oneOf" in closed:
        made["allOf"] = [*made.get("allOf", ()), {"anyOf": closed["oneOf"]}]
    described = whole or schema.get("properties") or known.patterns or beside.names
    if branches or known.said or known.opens or not described or not _may_be_object(schema):
        return made
    made["properties"] = {**dict.fromkeys(sorted(known.names), True), **made.get("properties", {})}
    made["patternProperties"] = {**dict.fromkeys(sorted(known.patterns), True), **made.get("patternProperties", {})}
    return {**made, "additionalProperties": False}


def _parts(schema: dict[str, Any], beside: Declared) -> dict[str, Any]:
    """Return a schema with the schemas of its parts closed, but for what another schema in place declares of the same part."""
    made = mapped(schema, lambda part: _closed(part, _NOTHING, whole=False))
    for name, part in schema.get("properties", {}).items():
        made["properties"][name] = _closed(part, beside.of("properties", name), whole=False)
    if "items" in schema:
        made["items"] = _closed(schema["items"], beside.of("items"), whole=False)
    return made


def _may_be_object(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type", "object")
    return "object" in (kinds if isinstance(kinds, list) else [kinds])
