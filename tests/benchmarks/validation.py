"""What validation costs: a bulk load into types with contracts, enforced against off, and the check of one small event."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import timeit
from typing import TYPE_CHECKING

import eventlab as el
from eventlab.events import encoded
from eventlab.schemas import Registry, contracts, validators
from tests.benchmarks.sources import MAPPING, TYPES, connected
from tests.benchmarks.tables import Row, timed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.sources import Folder

_EVENTS = 1_000_000
_ROUNDS = 3
_CALLS = 20_000
CONTRACT = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "pattern": "^customer-[0-9]+$", "maxLength": 40},
        "item": {"type": "string", "minLength": 1, "maxLength": 40},
        "qty": {"type": "integer", "minimum": 1, "maximum": 1000},
        "amount": {"type": "number", "minimum": 0, "maximum": 1_000_000, "multipleOf": 0.01},
        "status": {"type": "string", "enum": ["new", "paid", "shipped", "returned"]},
        "due": {"type": "string", "format": "date"},
        "session": {"type": "string", "format": "uuid"},
    },
    "required": ["customer", "item", "qty", "amount", "status"],
}
PAYLOAD = {
    "customer": "customer-48211",
    "item": "item-77",
    "qty": 3,
    "amount": 12.5,
    "status": "paid",
    "due": "2026-03-01",
    "session": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
}
_MORE = """
copy (
    select *, ['new', 'paid', 'shipped', 'returned'][(1 + hash(order_id, qty) % 4)::bigint] as status,
        (happened_at + interval 14 days)::date as due, md5(concat(order_id, happened_at))::uuid::varchar as session
    from '{source}'
) to '{target}' (format {form})
"""


def validation(folder: Folder) -> Iterator[Row]:
    """Load a million events of five types with a contract, and check one event as an append does."""
    for suffix, name in ((".parquet", "Parquet"), (".jsonl", "JSON lines")):
        source = _source(folder, suffix)
        found: dict[str, list[float]] = {"enforce": [], "off": []}
        for _ in range(_ROUNDS):
            for mode, seconds in found.items():
                seconds.append(_load(source, folder.fresh("validation"), mode))
        ours, theirs = (statistics.median(found[mode]) for mode in ("enforce", "off"))
        yield Row(
            f"bulk load of 1 M events that is validated, from {name}, against one that is not", ours, theirs, 1.5, "s"
        )
    folder.fresh("validation")
    yield Row("validation of a small event at append", _microseconds(), None, 30, "µs")


def _source(folder: Folder, suffix: str) -> Path:
    """Return a file of events with all fields of the contract; made if it is not there."""
    path = folder.path / f"validated-{folder.events(_EVENTS)}{suffix}"
    if not path.exists():
        form = "json" if suffix == ".jsonl" else "parquet, compression zstd"
        made = path.with_name(f"made-{path.name}")
        with connected() as connection:
            connection.execute(_MORE.format(source=folder.file(_EVENTS, suffix), target=made, form=form))
        made.rename(path)
    return path


def _load(source: Path, target: Path, mode: str) -> float:
    """Return the seconds of a load in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.validation", source, target, mode]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def _microseconds() -> float:
    """Return how long the check of one event takes."""
    fields = contracts.fields(CONTRACT)
    definition = Registry().define("OrderPlaced", fields, origin="defined", recorded_at=0, contract=CONTRACT)
    assert definition is not None
    text = encoded(PAYLOAD, "")
    assert validators.reason(definition, PAYLOAD, text) is None
    rounds = timeit.repeat(lambda: validators.reason(definition, PAYLOAD, text), number=_CALLS, repeat=_ROUNDS)
    return statistics.median(rounds) / _CALLS * 1e6


def _job(source: str, target: str, mode: str) -> None:
    """Define the types, load, and print the seconds of the load."""
    with el.open(target, create=True) as log:
        for name in TYPES:
            log.define(name, CONTRACT, validation=mode)
        print(timed(lambda: log.ingest(source, **MAPPING, progress=False)))  # noqa: T201 - to its parent


if __name__ == "__main__":
    _job(*sys.argv[1:])
