"""The SQL of typed columns: how a payload becomes one, and how the columns of a type are read as its latest fields."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.schemas import types

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventlab.schemas.registry import Definition, EventType
    from eventlab.schemas.types import FieldType

Branches = list[tuple[int | None, str]]  # SQL by the version before which it holds, ascending; None: the rest
_PAYLOAD = "from_json(payload"  # what is read from a payload is of any type's: its reader tells them apart
_NUMBERS = {*types.INTEGERS, "DOUBLE", "FLOAT", "DECIMAL"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The names that a query has: typed columns and fields that are not among them are left out. None: nothing is."""

    words: frozenset[str] | None = None
    prefixed: bool = False  # whether a word begins with payload_, and so may mean any field

    @classmethod
    def by(cls, texts: Iterable[str]) -> Wanted:
        """Return what the words of queries can mean."""
        words = frozenset().union(*map(queries.words, texts))
        return cls(words, any(word.startswith("payload_") for word in words))

    def has(self, name: str) -> bool:
        """Tell whether a query can mean what has this name, or ``payload_`` before it."""
        if self.words is None or self.prefixed or name.lower() in self.words:
            return True
        return queries.words(name) <= self.words  # of a name with other characters than a word has


def parsed(event_type: EventType, column: str) -> str:
    """Return the SQL that makes one physical column of a type of ``payload``; NULL on the rows of others."""
    own = f"event_type = {queries.literal(event_type.name)}"
    if len({definition.column for definition in event_type.definitions}) > 1:
        own += f" and {_within([d for d in event_type.definitions if d.column == column])}"
    return f"case when {own} then {_from_json(event_type.columns[column])} end"


def physical(event_type: EventType) -> dict[str, str]:
    """Return each physical column of a type with the name of its DuckDB type."""
    return {column: str(types.physical(struct)) for column, struct in event_type.columns.items()}


def latest(event_type: EventType) -> FieldType | None:
    """Return the STRUCT as which ``events`` shows a type; None if it has no fields."""
    return event_type.whole or types.struct(event_type.latest.stored.items())


def fields(event_type: EventType, wanted: Wanted) -> dict[str, FieldType]:
    """Return the stored fields of a type that are wanted."""
    return {name: kind for name, kind in event_type.latest.stored.items() if wanted.has(name)}


def from_files(event_type: EventType, wanted: Wanted, values: dict[str, str] | None = None) -> str:
    """Return the SQL that reads a type's STRUCT from its physical columns; of ``values``, what ``upcasts`` makes of them."""
    if event_type.whole is not None:
        return queries.identifier(event_type.latest.column)
    stored = fields(event_type, wanted)
    if values is None:
        values = {name: _field(event_type.definitions, event_type, name, kind) for name, kind in stored.items()}
    else:
        values = {name: _to_stored(values[name], event_type.latest.kinds[name]) for name in stored}
    parts = ", ".join(f"{queries.identifier(name)} := {value}" for name, value in values.items())
    if wanted.words is not None and _PAYLOAD not in parts:  # only fields are asked for, which are NULL by themselves
        return f"struct_pack({parts})"
    return f"case when {_own(event_type)} then struct_pack({parts}) end"


def upcasts(event_type: EventType, wanted: Wanted) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return how old events become the latest version: steps, and the SQL of each field over the last of them.

    A step is the SQL of columns, by name, over those of the step before; the first is over files. Renames need none: they are said
    in place. An upcast that computes has a step of its own, since a later one may name what it makes more than once. A field
    between two upcasts has its own type; ``held`` names its column.
    """
    needed = list(zip(event_type.stages, _needed(event_type, wanted), strict=True))
    (stage, names), steps, version = needed[0], list[dict[str, str]](), "schema_version"
    current: dict[str, Branches] = {name: [(None, _stored(stage, name, event_type))] for name in names}
    for number, ((earlier, _), (stage, names)) in enumerate(itertools.pairwise(needed), start=1):
        before, last, bound = earlier[-1], stage[-1], stage[0].version
        made = _made(stage[0], before, names)
        carried = _carried(made, current, before)
        if carried is None:
            values = {name: _branched(version, branches) for name, branches in current.items()}
            if not steps:
                version = queries.identifier(f"__{last.number}")
                steps.append(_first(event_type, before, values, needed[number:]))
            elif any(sql != queries.identifier(held(before, name)) for name, sql in values.items()):
                steps.append({held(before, name): sql for name, sql in values.items()})
            if isinstance(stage[0].upcast, str):
                called = f"case when {version} < {bound} then {_called(stage[0], before)} end"
                steps.append({_object(stage[0]): called})
        new: dict[str, Branches] = {}
        for name in names:
            kind, source = last.kinds[name], None if carried is None else carried.get(name)
            old: Branches = [(None, made.get(name, "null"))] if source is None else current[source]
            if source is None or before.kinds[source] != kind:
                old = [(upper, _tried(sql, kind)) for upper, sql in old]
            rest = queries.identifier(_read(last, name)) if steps else _stored(stage, name, event_type)
            new[name] = [*((upper or bound, sql) for upper, sql in old), (None, rest)]
        current = new
        if carried is None:
            steps.append({held(last, name): _branched(version, branches) for name, branches in new.items()})
            current = {name: [(None, queries.identifier(held(last, name)))] for name in names}
    return steps, {name: _branched(version, branches) for name, branches in current.items()}


def _branched(version: str, branches: Branches) -> str:
    """Return the SQL of a field of which each stretch of versions is read in its own way, the oldest first."""
    *earlier, (_, last) = branches
    cases = " ".join(f"when {version} < {upper} then {sql}" for upper, sql in earlier)
    return f"case {cases} else {last} end" if cases else last


def _carried(made: dict[str, str], current: Iterable[str], before: Definition) -> dict[str, str] | None:
    """Return from which field each field that an upcast makes is carried over; None if it computes, or repeats one."""
    forms = {form: name for name in current for h in (held(before, name),) for form in (h, queries.identifier(h))}
    carried = {name: forms[sql] for name, sql in made.items() if sql in forms}
    repeated = len(set(carried.values())) < len(carried)
    return None if repeated or len(carried) < len(made) else carried


def _first(
    event_type: EventType,
    before: Definition,
    current: dict[str, str],
    later: Sequence[tuple[Sequence[Definition], list[str]]],
) -> dict[str, str]:
    """Return the step that reads all from files that is needed: NULL on the rows of other types."""
    read = {f"__{before.number}": "schema_version", **{held(before, name): sql for name, sql in current.items()}}
    for stage, names in later:
        read |= {_read(stage[-1], name): _stored(stage, name, event_type) for name in names}
    return {name: f"case when {_own(event_type)} then {sql} end" for name, sql in read.items()}


def _own(event_type: EventType) -> str:
    """Return the condition that an event is of a type."""
    return f"event_type = {queries.literal(event_type.name)}"


def _read(last: Definition, name: str) -> str:
    """Return the name of the column that holds a field of a version as files have it."""
    return f"{held(last, name)} from files"


def _stored(stage: Sequence[Definition], name: str, event_type: EventType) -> str:
    """Return the SQL that reads a field of a stage, as of its last version, from files; of other versions it means nothing."""
    kind, stored = stage[-1].kinds[name], stage[-1].stored.get(name)
    return f"null::{public(kind)}" if stored is None else shown(_field(stage, event_type, name, stored), stored, kind)


def upcast_payload(event_type: EventType) -> str:
    """Return the SQL of a payload as upcasts make it of the latest version, over ``events``; NULL where it is as recorded."""
    struct = queries.identifier(event_type.name)
    stored, kinds = event_type.latest.stored, event_type.latest.kinds
    values = {  # JSON is text to files, and would be text in the payload
        name: f"try_cast({struct}.{queries.identifier(name)} as {public(kinds[name])})" for name in stored
    }
    parts = ", ".join(f"{queries.identifier(name)} := {value}" for name, value in values.items())
    old = f"schema_version < {event_type.upcasts[-1].version}"
    value = f"to_json(struct_pack({parts}))::varchar" if parts else "'{}'"
    return f"case when {old} then {value} end"


def _needed(event_type: EventType, wanted: Wanted) -> list[list[str]]:
    """Return for each stage the fields of its last version that the wanted ones are made of, by the upcasts after it."""
    stages = event_type.stages
    needed = [[name for name in event_type.latest.kinds if wanted.has(name)]]
    for earlier, stage in zip(reversed(stages[:-1]), reversed(stages[1:]), strict=True):
        before, kinds = earlier[-1], earlier[-1].kinds
        if isinstance(stage[0].upcast, str):
            needed.append(list(kinds))
            continue
        texts = " ".join(_made(stage[0], before, needed[-1]).values())
        needed.append([name for name in kinds if queries.identifier(held(before, name))[1:-1] in texts])
    return needed[::-1]


def held(definition: Definition, name: str) -> str:
    """Return the name of the column that holds a field of a version between two upcasts."""
    return f"__{definition.number}_{definition.version}_{name}"


def function(definition: Definition) -> str:
    """Return the name in SQL of the Python function that is a definition's upcast."""
    return f"eventlab_upcast_{definition.number}_{definition.version}"


def shown(value: str, stored: FieldType, kind: FieldType) -> str:
    """Return the SQL of a stored value as its own type; NULL where it is none, which only an unchecked event can have."""
    return value if stored == kind else f"try_cast({value} as {public(kind)})"


def public(kind: FieldType) -> str:
    """Return the DuckDB type as which a field is shown; a part of which nothing is known yet is JSON."""
    return str(kind) if "NULL" not in str(kind) else "JSON"


def _made(definition: Definition, before: Definition, names: Iterable[str]) -> dict[str, str]:
    """Return the SQL of those fields that an upcast makes, over the columns that hold the version before."""
    if isinstance(definition.upcast, str):
        answer = queries.identifier(_object(definition))
        return {name: f"{answer}.{queries.identifier(name)}" for name in names if name in definition.stored}
    bound, kinds = definition.bound or {}, definition.kinds
    carried = {n: queries.identifier(held(before, n)) for n in names if n in before.kinds and n in kinds}
    return {**carried, **{name: bound[name] for name in names if name in bound}}


def _called(definition: Definition, before: Definition) -> str:
    """Return the SQL that gives the fields of the version before to a Python function, as a STRUCT of what it returns."""
    fields = ", ".join(
        f"{queries.identifier(name)} := {queries.identifier(held(before, name))}" for name in before.kinds
    )
    given = f"to_json(struct_pack({fields}))::varchar" if fields else "'{}'"
    struct = types.struct(definition.stored.items())
    answer = f"{function(definition)}({given})"
    return answer if struct is None else f"from_json({answer}, {queries.literal(types.structure(dict(struct.fields)))})"


def _object(definition: Definition) -> str:
    """Return the name of the column of what the Python upcast to a definition returns."""
    return f"__{definition.number}_{definition.version}"


def _tried(value: str, kind: FieldType) -> str:
    """Return the SQL of an upcast value as a field's type; NULL where it fails."""
    return "null" if value == "null" else f"try_cast(try({value}) as {public(kind)})"


def _to_stored(value: str, kind: FieldType) -> str:
    """Return the SQL of a value of a field's own type as files hold it."""
    stored = types.stored(kind)
    return value if stored is None or types.physical(stored) == kind else f"({value})::{types.physical(stored)}"


def _from_json(struct: FieldType) -> str:
    """Return the SQL that reads ``payload`` as a STRUCT as files have it."""
    text = f"{_PAYLOAD}, {queries.literal(types.structure(dict(struct.fields)))})"
    physical = types.physical(struct)
    return text if physical == struct else f"{text}::{physical}"


def _within(definitions: Sequence[Definition]) -> str:
    """Return the condition that an event is of one of these versions, which are next to each other."""
    return f"schema_version between {definitions[0].version} and {definitions[-1].version}"


def _field(definitions: Sequence[Definition], event_type: EventType, name: str, kind: FieldType) -> str:
    """Return the SQL of one field over the physical columns of some versions: as stored, widened, or from the payload again."""
    cases = []
    for column in dict.fromkeys(definition.column for definition in definitions):
        own = [definition for definition in definitions if definition.column == column]
        struct = event_type.columns.get(column)
        stored = dict(struct.fields).get(name) if struct else None
        kinds = [d.kinds[name] for d in own if name in d.kinds]
        if not all(types.holds(kind, types.stored(old) or old) for old in kinds):  # defined so under NONE
            continue
        if stored is not None and types.same(stored, kind):
            value = f"{queries.identifier(column)}.{queries.identifier(name)}"
        elif stored is not None and {stored.kind, kind.kind} <= _NUMBERS and types.widen(stored, kind) == kind:
            value = f"{queries.identifier(column)}.{queries.identifier(name)}::{kind}"
        elif stored is not None or any(map(types.is_vague, kinds)):  # files lack what was only known to be empty
            value = f"{_from_json(types.FieldType('STRUCT', fields=((name, kind),)))}.{queries.identifier(name)}"
        else:
            continue
        cases.append((own, value))
    if not cases:
        return f"null::{types.physical(kind)}"
    if len(cases) == 1 and len(cases[0][0]) == len(definitions):
        return cases[0][1]
    return f"case {' '.join(f'when {_within(own)} then {value}' for own, value in cases)} end"
