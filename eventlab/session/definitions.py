"""Defining event types: what a definition clashes with, whether recorded events can be read by it, and which states it breaks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import EventlabError, InvalidArgument, SchemaIncompatible, SchemaInUse, unknown
from eventlab.events import named
from eventlab.schemas import compatibilities, contracts, folders, upcasts
from eventlab.schemas.compatibilities import Earlier, Issue
from eventlab.schemas.forms import SchemaVersion
from eventlab.schemas.registry import NONE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from eventlab.schemas import Definition, EventType, Field, Registry
    from eventlab.schemas.folders import Filed
    from eventlab.session.sessions import Session

_UNCHANGING = "A version never changes: restore the file, and add the change as the next one."
VALIDATIONS = ("enforce", "warn", "off")
_TRIES = 3  # rounds in which others may append meanwhile; the next one keeps them waiting
_BATCH = 20_000
_PATH_END = re.compile(r"[: ]")  # of a reason, which begins with the path of the field
_NAMED = 5  # misfits that are shown
_STORED = "select distinct schema_version from events where event_type = $event_type"
_RECORDED = """
select position, schema_version, payload::varchar as payload from events
where event_type = {event_type} and list_contains({versions}, schema_version) order by position
"""
_LACKING = "select {counts} from events where event_type = {event_type} and schema_version < {version}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to define. ``contract`` None: what was inferred; the others None: as the type has them."""

    event_type: str
    contract: dict[str, Any] | None
    compatibility: str | None = None
    upcast: object = None
    validation: str | None = None

    @classmethod
    def of(
        cls,
        event_type: str,
        given: object = None,
        *,
        compatibility: str | None = None,
        upcast: object = None,
        validation: str | None = None,
    ) -> Asked:
        """Return what is asked, with a schema in any of its forms.

        Raises
        ------
        InvalidEvent, InvalidArgument, SchemaInvalid
            If the name, an option or the schema is not of its form.
        """
        named("event type", event_type)
        compatibilities.check_mode(compatibility)
        if validation is not None and validation not in VALIDATIONS:
            raise InvalidArgument(f"validation is {validation!r}", hint=f"Choose one of {', '.join(VALIDATIONS)}.")
        given = getattr(given, "json_schema", given)  # a proposal, or a version of a type
        contract = None if given is None else contracts.contract(given, event_type=event_type)
        return cls(event_type, contract, compatibility, upcast, validation)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about a definition that somebody asks for.

    Attributes
    ----------
    definition
        The new definition; None if the type has it already.
    issues
        What it clashes with.
    states
        The states that it breaks.
    """

    registry: Registry
    head: int
    definition: Definition | None
    issues: list[Issue] = field(default_factory=list)
    states: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DryRun:
    """How the recorded events of a type fare under a schema.

    Attributes
    ----------
    events, failing
        How many there are, and how many of them it refuses.
    examples
        The first of those: position and reason.
    """

    events: int
    failing: int
    examples: list[tuple[int, str]]


def define(session: Session, asked: Asked, *, force: bool = False) -> int:
    """Define an event type durably, and return the version of its definition.

    Raises
    ------
    SchemaIncompatible
        If it clashes with an earlier version in the type's mode, or recorded events cannot be read by it.
    SchemaInUse
        If it breaks states; not with ``force``.
    """
    store = session.store
    store.check_writable()
    for _ in range(_TRIES):
        verdict = _passed(examine(session, asked), force=force)
        with store.journal.write():
            recorded = _unchanged(session, verdict, asked.event_type)
            if recorded:
                _record(session, verdict)
        if recorded:
            break
    else:
        with store.journal.write():
            _record(session, _passed(examine(session, asked), force=force))
    store.file_definitions()
    return store.registry()[asked.event_type].latest.version


def examine(session: Session, asked: Asked) -> Verdict:
    """Return what is to be said about a definition, as the log is now."""
    store = session.store
    head = session.position
    registry = store.registry(store.journal.state().registry)
    known = registry.get(asked.event_type)
    contract = asked.contract
    if contract is None:
        if known is None:
            message, hint, _ = unknown("event type", asked.event_type, registry.names)
            raise InvalidArgument(message, hint=f"Give its schema. {hint}")
        contract = known.latest.schema
    latest = known.latest if known else None
    agreed = latest if latest is not None and latest.origin == "defined" else None
    mode = asked.compatibility or (agreed.compatibility if agreed else store.layout.compatibility)
    validation = asked.validation or (agreed.validation if agreed else "enforce")
    if agreed is not None and _has(agreed, contract, mode, validation, asked.upcast):
        return Verdict(registry, head, None)
    fields = contracts.fields(contract)
    upcast, bound = _upcast(session, asked, latest, fields)
    made = registry.define(
        asked.event_type,
        fields,
        origin="defined",
        recorded_at=store.clock(),
        contract=contract,
        compatibility=mode,
        validation=validation,
        upcast=upcast,
        bound=bound,
        unread=latest.unread if latest else (),
    )
    if made is None or known is None:
        return Verdict(registry, head, made)
    issues = compatibilities.issues(contract, _earlier(known, made), mode)
    unread, why = _unread(session, known, made)
    if mode == NONE:
        made = replace(made, unread=tuple(sorted({*made.unread, *unread})))
    else:
        issues += [issue for issue in why if issue not in issues]
    if not issues:
        issues += _lacking(session, registry, made)
    return Verdict(registry, head, made, issues, _broken(session, registry, made))


def schema(registry: Registry, event_type: str, version: int | None, *, zone: dt.tzinfo) -> SchemaVersion:
    """Return a version of a type's schema, the latest if ``version`` is None.

    Raises
    ------
    InvalidArgument
        If there is no such type (with near matches) or version.
    """
    known = registry.get(event_type)
    if known is None:
        message, hint, _ = unknown("event type", str(event_type), registry.names)
        raise InvalidArgument(message, hint=hint)
    count = len(known.definitions)
    if version is not None and (not isinstance(version, int) or not 1 <= version <= count):
        raise InvalidArgument(f"{event_type} has no version {version!r}", hint=f"It has the versions 1 to {count}.")
    return SchemaVersion.of(known.definitions[(version or count) - 1], known.definitions, zone=zone)


def load(session: Session, folder: Path) -> list[tuple[str, int]]:
    """Define what a folder of schemas has beyond the registry; return the types and versions that were defined.

    Raises
    ------
    SchemaInvalid, SchemaIncompatible
        If a file is no schema, or differs from the version that the registry has; those before it are defined.
    """
    made = []
    for filed in folders.read(folder):
        defined = _defined(session, filed.event_type)
        if filed.place <= len(defined):
            if (clash := _differs(filed, defined[filed.place - 1])) is not None:
                raise SchemaIncompatible(clash, hint=_UNCHANGING)
            continue
        made.append((filed.event_type, define(session, _of_file(filed))))
    return made


def compare(session: Session, folder: Path) -> list[tuple[Path, str, str]]:
    """Return what the schemas of a folder have against the registry and the recorded events: file, clash and fix each.

    A version that is defined must be the same; the next one of a type must be one that ``define`` would take.
    """
    found = []
    for filed in folders.read(folder):
        defined = _defined(session, filed.event_type)
        if filed.place <= len(defined):
            if (clash := _differs(filed, defined[filed.place - 1])) is not None:
                found.append((filed.path, clash, _UNCHANGING))
        elif filed.place == len(defined) + 1:
            issues = examine(session, _of_file(filed)).issues
            found += [(filed.path, str(issue), issue.fix) for issue in issues]
    return found


def _defined(session: Session, event_type: str) -> list[Definition]:
    """Return the definitions of a type that a person has made."""
    known = session.store.registry().get(event_type)
    return [definition for definition in known.definitions if definition.origin == "defined"] if known else []


def _differs(filed: Filed, definition: Definition) -> str | None:
    """Return how a file differs from the definition in its place; None if it does not."""
    if filed.contract == definition.schema:
        return None
    return f"{filed.path} is not version {definition.version} of {definition.event_type} as it is defined"


def _of_file(filed: Filed) -> Asked:
    return Asked(filed.event_type, filed.contract, filed.compatibility, filed.upcast, filed.validation)


def _has(latest: Definition, contract: dict[str, Any], mode: str, validation: str, upcast: object) -> bool:
    """Tell whether a type is defined so already."""
    same = (latest.contract, latest.compatibility, latest.validation) == (contract, mode, validation)
    return same and (upcast is None or upcast == latest.upcast)


def dry_run(session: Session, event_type: str, given: object) -> DryRun:
    """Return how many of the recorded events of a type a schema would refuse.

    Raises
    ------
    InvalidArgument, SchemaInvalid
        If there is no such type, or the schema is none.
    """
    store = session.store
    registry = store.registry(store.journal.state().registry)
    known = registry.get(event_type)
    if known is None:
        message, hint, _ = unknown("event type", event_type, registry.names)
        raise InvalidArgument(message, hint=hint)
    contract = contracts.contract(given, event_type=event_type)
    made = replace(
        known.latest, origin="defined", contract=contract, fields=contracts.fields(contract), validation="enforce"
    )
    versions = [definition.version for definition in known.definitions]
    count, failing, examples = 0, 0, []
    for position, reason in _verdicts(session, made, versions):
        count += 1
        if reason is not None:
            failing += 1
            examples += [(position, reason)] if failing <= _NAMED else []
    return DryRun(count, failing, examples)


def _passed(verdict: Verdict, *, force: bool) -> Verdict:
    """Return a verdict that lets the definition be, or raise what is against it."""
    made = verdict.definition
    if made is None:
        return verdict
    if verdict.issues:
        first, *others = verdict.issues
        more = f"; and {len(others)} more: .issues has all" if others else ""
        told = str(first).removesuffix(f" {first.fix}").removesuffix(".")
        raise SchemaIncompatible(f"{made.event_type}: {told}{more}", hint=first.fix, issues=verdict.issues)
    if verdict.states and not force:
        states = ", ".join(verdict.states)
        used = f"the states {states} use" if len(verdict.states) > 1 else f"the state {states} uses"
        raise SchemaInUse(
            f"{made.event_type} version {made.version} lacks what {used}",
            hint="Keep the fields, define the states anew first, or say force=True.",
            states=verdict.states,
        )
    return verdict


def _record(session: Session, verdict: Verdict) -> None:
    """Write the definition, inside the journal's ``write``."""
    if verdict.definition is not None:
        session.store.record_definitions([verdict.definition])


def _unchanged(session: Session, verdict: Verdict, event_type: str) -> bool:
    """Tell whether nothing that matters to a verdict was recorded since, while nobody can write."""
    store = session.store
    if store.journal.state().registry != verdict.registry.version:
        return False
    new = "select count(*) from tail where position > ? and event_type = ?"
    return (
        store.lake.snapshot().sealed <= verdict.head and not store.journal.rows(new, (verdict.head, event_type))[0][0]
    )


def _upcast(
    session: Session, asked: Asked, latest: Definition | None, fields: Mapping[str, Field]
) -> tuple[dict[str, str] | str | None, dict[str, str] | None]:
    """Return the upcast as it is kept, and as SQL over the columns of the version before."""
    if asked.upcast is None:
        return None, None
    if latest is None:
        raise InvalidArgument(f"{asked.event_type} has no version before, so there is nothing to upcast")
    upcast = upcasts.checked(asked.upcast, fields, asked.event_type)
    if isinstance(upcast, str):
        return upcast, None
    bound = upcasts.bound(upcast, latest)
    with queries.connect(session.store.layout.timezone) as connection:
        kinds = upcasts.kinds(connection, bound, latest)
    for name, native in kinds.items():
        if not upcasts.readable(native, fields[name]):
            raise InvalidArgument(
                f"{asked.event_type}: the upcast of {name} yields {native}, the field is {fields[name].type}",
                hint="Yield what can be cast to the field's type.",
            )
    return upcast, bound


def _earlier(known: EventType, made: Definition) -> list[Earlier]:
    """Return the defined versions of a type, each as it was and as the upcasts to a new one make of it."""
    return [
        Earlier(definition.version, definition.schema, _carried(known, made, definition))
        for definition in known.definitions
        if definition.origin == "defined"
    ]


def _carried(known: EventType, made: Definition, definition: Definition) -> dict[str, Any]:
    """Return the contract of an earlier version's events as the upcasts since make of it."""
    carried = definition.schema
    for later in (*known.definitions[definition.version :], made):
        carried = folders.carried(carried, later.schema, later.upcast)
    return carried


def _unread(session: Session, known: EventType, made: Definition) -> tuple[list[int], list[Issue]]:
    """Return the stored versions that cannot be read as a new one, and why.

    Events of inferred versions speak for themselves, where no upcast changes them.
    """
    stored: set[Any] = {row[0] for row in session.rows(_STORED, {"event_type": made.event_type})} - set(made.unread)
    unread: list[int] = []
    why: list[Issue] = []
    spoken = [] if known.upcasts or made.upcast else [d.version for d in known.definitions if d.origin == "inferred"]
    for definition in known.definitions:
        if definition.version in stored and definition.version not in spoken:
            earlier = Earlier(definition.version, definition.schema, _carried(known, made, definition))
            found = compatibilities.issues(made.schema, [earlier], "BACKWARD")
            unread += [definition.version] if found else []
            why += found
    inferred = sorted(stored & set(spoken))
    if inferred and (found := _misfits(session, made, inferred)):
        return [*unread, *inferred], why + found
    return unread, why


def _misfits(session: Session, made: Definition, versions: Sequence[int]) -> list[Issue]:
    """Return what recorded events of inferred versions have against a definition, an issue a path."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for position, reason in _verdicts(session, made, versions):
        if reason is not None:
            path = _PATH_END.split(reason, maxsplit=1)[0]
            counts[path] += 1
            first.setdefault(path, f"{reason}, at position {position}")
    return [
        Issue(
            path=path,
            kind="recorded_misfit",
            old=f"{count:,} recorded event{'s' * (count > 1)}: {first[path]}",
            new=str(made.fields.get(path, "")),
            mode=made.compatibility,
            against=max(versions),
            fix="Define what the recorded events have (log.infer proposes it), say in an upcast how they are read, or NONE.",
        )
        for path, count in counts.most_common()
    ]


def _verdicts(session: Session, made: Definition, versions: Sequence[int]) -> Iterator[tuple[int, str | None]]:
    """Yield the position of each recorded event of some versions, and why a definition would refuse it; None if it would not."""
    text = queries.fill(
        _RECORDED, event_type=queries.literal(made.event_type), versions=queries.literal(list(versions))
    )
    for batch in session.sql(text).to_arrow_reader(_BATCH):
        for position, payload in zip(batch["position"].to_pylist(), batch["payload"].to_pylist(), strict=True):
            yield position, made.refusal(made.decoded(payload), payload)


def _lacking(session: Session, registry: Registry, made: Definition) -> list[Issue]:
    """Return the required fields that upcasts leave NULL in recorded events; runs Python upcasts over all of them."""
    required = [name for name in made.required if name in made.stored]
    if made.upcast is None or not required:
        return []
    new = registry.adding(made)
    column = queries.identifier(made.event_type)
    counts = [f"count(*) filter ({column}.{queries.identifier(name)} is null)" for name in required]
    text = queries.fill(
        _LACKING,
        counts=counts,
        event_type=queries.literal(made.event_type),
        version=str(made.version),
    )
    with session.trying(new):
        relation = session.sql(text, registry=new, with_states=False)
        with queries.explained():
            [found] = relation.fetchall()
    return [
        Issue(
            path=name,
            kind="upcast_null",
            old=f"{count:,} recorded events",
            new="NULL",
            mode=made.compatibility,
            against=made.version - 1,
            fix=f"Let the upcast yield {name} for every event: coalesce(…, a default).",
        )
        for name, count in zip(required, found, strict=True)
        if count
    ]


def _broken(session: Session, registry: Registry, made: Definition) -> list[str]:
    """Return the states that can be asked now and could not be with a new definition."""
    new = registry.adding(made)
    words = {made.event_type.lower(), registry[made.event_type].view}
    broken = []
    with session.trying(new):
        for name, entry in sorted(registry.states.items()):
            text = entry.text or ""
            if not any(word in text.lower() for word in words):
                continue
            if _asks(session, text, registry) and not _asks(session, text, new):
                broken.append(name)
    return broken


def _asks(session: Session, text: str, registry: Registry) -> bool:
    """Tell whether the SELECT of a state binds."""
    try:
        session.sql(text, registry=registry, with_states=False)
    except EventlabError:
        return False
    return True
