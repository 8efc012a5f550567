"""``eventlab types``: listing, showing, defining, inferring and checking event types, and their folder of schemas."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import contextlib
import json as jsons
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from eventlab.cli import outputs
from eventlab.cli.options import TABLE, AsJson, At, KnownAt, Output, Store, UsageError, mapping
from eventlab.cli.values import counted, printable
from eventlab.errors import EventlabError

_LISTING = "select event_type, view, versions, origin, events, fields from event_types order by event_type"
_VERSIONS = """
select version, recorded_at, origin, compatibility, validation, upcast, fields from schema_versions
where event_type = $event_type order by version
"""

types = App(name="types", help="List the event types of a log; define, infer and check them.")
EventType = Annotated[str, Parameter(name="TYPE", help="The event type.")]
Folder = Annotated[Path, Parameter(name="FOLDER", help="A folder of schemas: a file a version, OrderPlaced/1.json.")]


class IncompatibleError(EventlabError):
    """A check that failed; what is wrong is printed already."""

    code = "incompatible"


@types.default
def listing(store: Store, /, *, at: At = None, known_at: KnownAt = None, output: Output = TABLE) -> None:
    """List the event types, with their views, versions and fields."""
    import eventlab as el  # noqa: PLC0415

    output.checked()
    with el.open(store, read_only=True) as log:
        asked = log if at is None and known_at is None else log.at(at, known_at=known_at)
        outputs.show(asked.sql(_LISTING), output)


@types.command
def show(
    store: Store,
    event_type: EventType,
    /,
    *,
    form: Annotated[
        Literal["versions", "json-schema", "duckdb"],
        Parameter(help="All versions (the default), or the latest as this."),
    ] = "versions",
    output: Output = TABLE,
) -> None:
    """Show the versions of a type, or its latest schema."""
    import eventlab as el  # noqa: PLC0415

    output.checked()
    with el.open(store, read_only=True) as log:
        schema = log.schema(event_type)
        if form == "versions":
            outputs.show(log.sql(_VERSIONS, {"event_type": event_type}), output)
        else:
            said = schema.json_schema if form == "json-schema" else schema.duckdb
            sys.stdout.write(jsons.dumps(said, ensure_ascii=False, indent=2) + "\n")


@types.command
def define(
    store: Store,
    event_type: EventType,
    schema: Annotated[
        str | None,
        Parameter(
            name="SCHEMA",
            help="A file of JSON Schema, or JSON: a schema, or the DuckDB type of each field. As inferred.",
        ),
    ] = None,
    /,
    *,
    compatibility: Annotated[str | None, Parameter(help="BACKWARD, FORWARD, FULL, each _TRANSITIVE, or NONE.")] = None,
    upcast: Annotated[
        str | None, Parameter(help='JSON of SQL by field, \'{"total": "price * qty"}\', or module:function.')
    ] = None,
    validation: Annotated[
        Literal["enforce", "warn", "off"] | None, Parameter(help="Of events that do not fit.")
    ] = None,
    force: Annotated[bool, Parameter(help="Even if a state uses a field that it drops.")] = False,
    dry_run: Annotated[
        bool, Parameter(help="Say what it clashes with and how recorded events fare; define nothing.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Define a type, or promote what was inferred from its events."""
    import eventlab as el  # noqa: PLC0415

    given = None if schema is None else _document(schema)
    change: Any = _document(upcast) if upcast is not None and upcast.lstrip().startswith("{") else upcast
    with el.open(store, read_only=dry_run) as log:
        if dry_run:
            issues = log.check(event_type, given, compatibility=compatibility, upcast=change)
            known = event_type in {name for (name,) in log.sql("select event_type from event_types").fetchall()}
            run = log.dry_run(event_type, given) if known and given is not None else None
            _tell(event_type, [str(issue) for issue in issues], run, as_json=json)
            return
        version = log.define(
            event_type, given, compatibility=compatibility, upcast=change, validation=validation, force=force
        )
    facts = {"event_type": event_type, "version": version}
    outputs.report(f"{event_type} has version {version}.", facts, as_json=json)


@types.command
def infer(
    source: Annotated[str, Parameter(name="SOURCE", help="A file, a quoted pattern of files, or a SQL SELECT.")],
    /,
    *,
    event_type: Annotated[
        str | None, Parameter(help="SQL over the source's columns (the column event_type, type or event).")
    ] = None,
    payload: Annotated[str | None, Parameter(help="SQL that yields a STRUCT or JSON, or several columns.")] = None,
    out: Annotated[Path | None, Parameter(help="Write a folder of schemas, a file a type.")] = None,
    json: Annotated[bool, Parameter(name="--json", help="Print the JSON Schema of each type.")] = False,
) -> None:
    """Propose a schema for each event type of a file, with the evidence. Needs no store."""
    from eventlab.cli.tables import print_table  # noqa: PLC0415
    from eventlab.schemas import folders  # noqa: PLC0415
    from eventlab.store import inferences  # noqa: PLC0415
    from eventlab.store.mappings import Mapping  # noqa: PLC0415
    from eventlab.store.progress import reporting  # noqa: PLC0415

    with reporting(None) as progress:
        found = inferences.infer(source, Mapping(event_type=event_type, payload=mapping(payload)), progress=progress)
    if out is not None:
        for proposal in found.values():
            folders.propose(out, proposal.event_type, proposal.json_schema)
    if json:
        said = {name: proposal.json_schema for name, proposal in found.items()}
        sys.stdout.write(jsons.dumps(said, ensure_ascii=False, indent=2) + "\n")
        return
    columns = ["event_type", "field", "type", "present", "nulls", "absent", "distinct_values", "examples"]
    rows = [
        (name, *(row[column] for column in columns[1:-1]), ", ".join(row["examples"] or []))
        for name, proposal in found.items()
        for row in proposal.evidence.iter_rows(named=True)
    ]
    print_table([column.replace("_", " ") for column in columns], rows)
    if out is not None:
        sys.stdout.write(f"Wrote {counted(len(found), 'schema')} to {printable(str(out))}.\n")


@types.command
def check(
    folder: Folder,
    /,
    *,
    store: Annotated[Path | None, Parameter(help="Compare with this store's definitions and events, too.")] = None,
    json: AsJson = False,
) -> None:
    """Fail if a version in a folder of schemas is incompatible with those before it: for a CI run.

    Each version is checked in the mode that it says, or the one before it. With --store the versions of the folder must be
    those of the store, and further ones must be compatible with them and with the recorded events.
    """
    import eventlab as el  # noqa: PLC0415
    from eventlab.schemas import folders  # noqa: PLC0415

    filed = folders.read(folder)
    problems = [{"file": str(new.path), "issue": str(issue), "fix": issue.fix} for new, issue in folders.check(filed)]
    if store is not None and not problems:
        with el.open(store, read_only=True) as log:
            found = log.check_schemas(folder)
            problems += [{"file": str(path), "issue": clash, "fix": fix} for path, clash, fix in found]
    if json:
        outputs.report("", {"schemas": len(filed), "problems": problems}, as_json=True)
    else:
        for problem in problems:
            sys.stdout.write(f"{printable(problem['file'])}: {printable(problem['issue'])}\n")
        if not problems:
            sys.stdout.write(f"{counted(len(filed), 'schema')}, all compatible.\n")
    if problems:
        raise IncompatibleError(f"{counted(len(problems), 'incompatible change')}", hint=problems[0]["fix"])


@types.command(name="export")
def export_(store: Store, folder: Folder, /, *, json: AsJson = False) -> None:
    """Write every definition to a folder of schemas."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store, read_only=True) as log:
        paths = log.export_schemas(folder)
    facts = {"files": [str(path) for path in paths]}
    outputs.report(f"Wrote {counted(len(paths), 'schema')} to {folder}.", facts, as_json=json)


@types.command(name="import")
def import_(store: Store, folder: Folder, /, *, json: AsJson = False) -> None:
    """Define what a folder of schemas has beyond the store."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store) as log:
        made = log.import_schemas(folder)
    facts = {"defined": [{"event_type": name, "version": version} for name, version in made]}
    outputs.report(f"Defined {counted(len(made), 'version')}.", facts, as_json=json)


def _document(text: str) -> object:
    """Return JSON from an argument, or from the file that it names."""
    with contextlib.suppress(OSError, ValueError):  # JSON is no path, and may be too long for one
        if not text.lstrip().startswith("{") and Path(text).exists():
            text = Path(text).read_text(encoding="utf-8")
    try:
        return jsons.loads(text)
    except ValueError:
        raise UsageError(f"{text[:60]!r} is no JSON and no file", hint="Give a file of JSON Schema, or JSON.") from None


def _tell(event_type: str, issues: list[str], run: object, *, as_json: bool) -> None:
    """Print what a dry run found, and fail if there is anything against the schema."""
    events, failing = getattr(run, "events", 0), getattr(run, "failing", 0)
    examples = [{"position": position, "reason": reason} for position, reason in getattr(run, "examples", ())]
    facts = {"event_type": event_type, "issues": issues, "events": events, "failing": failing, "examples": examples}
    text = "\n".join([*issues, f"{failing:,} of {counted(events, 'recorded event')} would be refused."])
    outputs.report(text, facts, as_json=as_json)
    if issues:
        raise IncompatibleError(counted(len(issues), "incompatible change"), hint="Nothing was defined.")
