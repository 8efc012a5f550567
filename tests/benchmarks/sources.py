"""The data of the benchmarks, made once and kept in the folder: files of events, and stores that hold them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

import eventlab as el

TYPES = ("OrderPlaced", "ItemAdded", "PaymentReceived", "OrderShipped", "OrderDelivered")
FIELDS = ("customer", "item", "qty", "amount")
MAPPING = {"event_type": "kind", "stream_id": "order_id", "occurred_at": "happened_at"}
STREAM_EVENTS = 10

# Events come in order of time, a year of them; those of a stream are spread over it.
_EVENTS = """
select
    {kinds}[(1 + hash(n, 1) % {types})::bigint] as kind,
    'order-' || hash(n, 2) % {streams} as order_id,
    timestamptz '2025-01-01 00:00:00+00' + to_microseconds(n * {step}) as happened_at,
    'customer-' || hash(n, 3) % 50_000 as customer,
    'item-' || hash(n, 4) % 2_000 as item,
    (1 + hash(n, 5) % 9)::bigint as qty,
    (hash(n, 6) % 1_000_000 / 100)::{amount} as amount
from range({events}) as numbers(n)
"""
# The same rows as a store's files have them, by hand: the envelope, the payload as text, and a column a type.
TYPED = """
select
    row_number() over () as position,
    md5(concat(order_id, kind, epoch_us(happened_at), customer, item, qty, amount))::uuid::varchar as event_id,
    order_id as stream_id,
    row_number() over (partition by order_id order by happened_at) as version,
    kind as event_type, 1 as schema_version, happened_at as occurred_at, now() as recorded_at,
    null::varchar as actor, null::varchar as correlation_id, null::varchar as causation_id,
    null::varchar as compensates, null::varchar as metadata,
    to_json({customer: customer, item: item, qty: qty, amount: amount})::varchar as payload,
    COLUMNS
from SOURCE order by happened_at
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where data lies.

    ``scale`` divides the numbers of events: 1 is the whole, 20 a quick look. ``years`` is how long they took to happen.
    """

    path: Path
    scale: int = 1
    years: int = 1

    def events(self, number: int) -> int:
        """Return a number of events, scaled."""
        return number // self.scale

    @property
    def _span(self) -> str:
        return "" if self.years == 1 else f"-{self.years}y"

    def file(self, number: int, suffix: str, types: int = len(TYPES)) -> Path:
        """Return a file of so many events, of so many types; made if it is not there."""
        events = self.events(number)
        path = self.path / f"events-{events}-{types}{self._span}{suffix}"
        if not path.exists():
            names = TYPES if types == len(TYPES) else tuple(f"Type{n}" for n in range(types))
            text = _EVENTS.format(
                kinds=list(names),
                types=types,
                streams=events // STREAM_EVENTS,
                events=events,
                step=self.years * 31_000_000_000_000 // events,
                amount="double" if suffix == ".jsonl" else "decimal(18,2)",
            )
            form = "json" if suffix == ".jsonl" else "parquet, compression zstd"
            made = path.with_name(f"made-{path.name}")
            with connected() as connection:
                connection.execute(f"copy ({text}) to '{made}' (format {form})")
            made.rename(path)
        return path

    def typed(self, number: int) -> Path:
        """Return one Parquet file of the rows of a store, made by hand."""
        path = self.path / f"typed-{self.events(number)}{self._span}.parquet"
        if not path.exists():
            source = self.file(number, ".parquet")
            made = path.with_name(f"made-{path.name}")
            copy_typed(f"'{source}'", made)
            made.rename(path)
        return path

    def store(self, number: int) -> Path:
        """Return a store of so many events; made if it is not there."""
        path = self.path / f"store-{self.events(number)}{self._span}"
        if not path.exists():
            made = path.with_name(f"made-{path.name}")
            shutil.rmtree(made, ignore_errors=True)
            with el.open(made, create=True) as log:
                log.ingest(str(self.file(number, ".parquet")), **MAPPING)
            made.rename(path)
        return path

    def fresh(self, name: str) -> Path:
        """Return a path where nothing is."""
        path = self.path / f"scratch-{name}"
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        return path

    def copied(self, number: int, name: str) -> Path:
        """Return a copy of a store, to be changed."""
        return Path(shutil.copytree(self.store(number), self.fresh(name)))


def connected() -> duckdb.DuckDBPyConnection:
    """Return DuckDB as it comes, with the clock of the stores."""
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false; set timezone = 'UTC'")
    return connection


def copy_typed(source: str, path: Path, types: tuple[str, ...] = TYPES) -> None:
    """Write the rows of ``source`` as a store's file has them, by DuckDB alone."""
    struct = "{" + ", ".join(f"{name}: {name}" for name in FIELDS) + "}"
    columns = ", ".join(f"case when kind = '{name}' then {struct} end as {name}" for name in types)
    text = TYPED.replace("COLUMNS", columns).replace("SOURCE", source)
    with connected() as connection:
        connection.execute(f"copy ({text}) to '{path}' (format parquet, compression zstd)")
