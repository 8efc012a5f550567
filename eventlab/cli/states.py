"""The command ``state``: list, define, drop and ask states."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, Token

from eventlab.cli import outputs
from eventlab.cli.options import TABLE, At, KnownAt, Output, Store, UsageError, moment, one
from eventlab.cli.values import printable

if TYPE_CHECKING:
    from eventlab.log import EventLog, LogView
    from eventlab.queries import Relation
    from eventlab.session.results import Result
    from eventlab.states import State

_SQL = re.compile(r"\s*(--|/\*|\(|select\b|from\b|with\b)", re.IGNORECASE)
_STATES = (
    "select unnest($names::varchar[]) as state, unnest($versions::int[]) as version, unnest($texts::varchar[]) as text"
)


def _pair(kind: object, tokens: Sequence[Token]) -> tuple[int | str, int | str]:
    """Return two moments."""
    first, second = (moment(kind, [token]) for token in tokens)
    return first, second


def state(
    store: Store,
    name: Annotated[str | None, Parameter(name="NAME", help="The state; without it all are listed.")] = None,
    /,
    *,
    at: At = None,
    known_at: KnownAt = None,
    key: Annotated[
        list[str] | None, Parameter(help="Only the row of this key; once for each column that the state is grouped by.")
    ] = None,
    history: Annotated[bool, Parameter(help="Every state that the key has been in, or all keys.")] = False,
    diff: Annotated[
        tuple[int | str, int | str] | None,
        Parameter(converter=_pair, n_tokens=2, help="What differs between two moments."),
    ] = None,
    every: Annotated[str | None, Parameter(help="The measure as of the end of each 1d, 1h …")] = None,
    measure: Annotated[
        str, Parameter(help="An aggregate over the state's columns, for --every (count(*)).")
    ] = "count(*)",
    explain: Annotated[bool, Parameter(help="How its answers are made.")] = False,
    define: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="Define it: SELECT … FROM events … GROUP BY …, a file with it, or - to read it.",
        ),
    ] = None,
    drop: Annotated[bool, Parameter(help="Drop it; views of before still know it.")] = False,
    output: Output = TABLE,
) -> None:
    """Show a state, as it is or as it was; or list, define and drop states."""
    import eventlab as el  # noqa: PLC0415

    output.checked()
    one(
        history=history, diff=diff is not None, every=every is not None, explain=explain, define=define is not None, drop=drop
    )  # fmt: skip
    one(key=key is not None, diff=diff is not None, every=every is not None, define=define is not None, drop=drop)
    changes = define is not None or drop
    one(at=at is not None or known_at is not None, define=define is not None, drop=drop)
    if name is None:
        if changes or key or history or diff or every or explain:
            raise UsageError("NAME is missing", hint="Say which state; without options all are listed.")
        with el.open(store, read_only=True) as log:
            outputs.show(_listing(log if at is None and known_at is None else log.at(at, known_at=known_at)), output)
        return
    if changes:
        with el.open(store) as log:
            _change(log, name, define, output)
        return
    with el.open(store, read_only=True) as log:
        asked = (log if at is None and known_at is None else log.at(at, known_at=known_at)).state(name)
        if explain:
            lines = asked.explain().splitlines()
            if output.json:
                outputs.report("", {"state": name, "explain": lines}, as_json=True)
            else:
                sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
            return
        outputs.show(_asked(asked, key, history=history, diff=diff, every=every, measure=measure).relation, output)


def _asked(
    state: "State",
    key: list[str] | None,
    *,
    history: bool,
    diff: tuple[int | str, int | str] | None,
    every: str | None,
    measure: str,
) -> "Result":
    """Return the answer that was asked for."""
    keys = None if key is None else tuple(key)
    if diff is not None:
        return state.diff(*diff)
    if every is not None:
        return state.over_time(every, measure)
    if history:
        return state.history(keys)
    return state.now() if keys is None else state.get(keys)


def _change(log: "EventLog", name: str, define: str | None, output: Output) -> None:
    """Define a state, or drop it if there is no definition, and say so."""
    if define is None:
        log.drop_state(name)
        outputs.report(f"The state {name} is dropped.", {"state": name, "dropped": True}, as_json=output.json)
        return
    defined = log.define_state(name, _text(define))
    facts = {"state": name, "version": defined.version, "text": defined.text}
    outputs.report(f"The state {name} is defined, version {defined.version}.", facts, as_json=output.json)


def _text(define: str) -> str:
    """Return the SELECT that an option says, holds in a file, or leaves to standard input."""
    if define == "-":
        return sys.stdin.buffer.read().decode()
    if _SQL.match(define):
        return define
    if not Path(define).is_file():
        message = f"--define {printable(define)!r} is neither a SELECT nor a file"
        raise UsageError(message, hint="Write --define 'SELECT … FROM events GROUP BY …', or name a file with it.")
    return Path(define).read_text(encoding="utf-8")


def _listing(log: "EventLog | LogView") -> "Relation":
    """Return the states with their texts."""
    states = [log.state(name) for name in log.states]
    columns = {
        "names": [state.name for state in states],
        "versions": [state.version for state in states],
        "texts": [" ".join(state.text.split()) for state in states],
    }
    return log.sql(_STATES, columns)
