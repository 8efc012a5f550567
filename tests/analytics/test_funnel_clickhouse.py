"""Funnels against ClickHouse itself: the furthest step of each actor, by windowFunnel, over random funnels on two data sets."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import chdb
import polars as pl
import pytest

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = Path(__file__).parents[2] / "data" / "ecom" / "ecom.csv.gz"
LEVELS = """
select actor, windowFunnel({window}{mode})(moment, {conditions}) as level
from file('{path}', Parquet) group by actor having level > 0 order by actor
"""


def shop() -> pl.DataFrame:
    """Return the events of the shop: 32 thousand of real shape, many at one second."""
    frame = pl.read_csv(SHOP, try_parse_dates=True)
    return frame.select(actor="user_id", kind="event", time=pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def generated() -> pl.DataFrame:
    """Return events of few kinds in few seconds: repeats and ties everywhere."""
    chance = random.Random(11)
    start = pl.datetime(2026, 3, 1, time_zone="UTC", time_unit="us")
    rows = [(f"a{chance.randint(0, 900)}", chance.choice("ABCDEFX"), chance.randint(0, 400)) for _ in range(15_000)]
    frame = pl.DataFrame(rows, schema=["actor", "kind", "second"], orient="row")
    return frame.select("actor", "kind", time=start + pl.duration(seconds="second"))


@pytest.fixture(scope="module", params=[shop, generated])
def data(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[el.EventLog, Path]]:
    """Yield a log, and the same events as a Parquet file for ClickHouse."""
    folder, frame = tmp_path_factory.mktemp("clickhouse"), request.param()
    path = folder / "events.parquet"
    frame.select("actor", "kind", moment=pl.col("time").dt.epoch("us").cast(pl.UInt64)).write_parquet(path)
    with el.open(folder / "log", create=True) as log:
        log.ingest(frame, event_type="kind", stream_id="actor", occurred_at="time", payload=[])
        yield log, path


def levels(path: Path, steps: list[str], seconds: int, mode: str) -> dict[str, int]:
    """Return the furthest step of each actor by ClickHouse."""
    text = LEVELS.format(
        window=seconds * 1_000_000,
        mode=f", '{mode}'" if mode else "",
        conditions=", ".join(f"kind = '{step}'" for step in steps),
        path=path,
    )
    frame = pl.from_arrow(chdb.query(text, "ArrowTable"))
    assert isinstance(frame, pl.DataFrame)
    names = [name.decode() if isinstance(name, bytes) else name for name in frame["actor"].to_list()]
    return dict(zip(names, frame["level"].to_list(), strict=True))


@pytest.mark.parametrize(("order", "mode"), [("ordered", ""), ("strict_order", "strict_order")])
@pytest.mark.parametrize("seed", range(15))
def test_levels(data: tuple[el.EventLog, Path], order: str, mode: str, seed: int) -> None:
    """Each actor gets exactly as far as ClickHouse says, in random funnels of distinct steps."""
    log, path = data
    chance = random.Random(seed)
    kinds = sorted(log.sql("select distinct event_type from events").pl()["event_type"].to_list())
    steps = chance.sample(kinds, chance.randint(2, 5))
    seconds = chance.choice((1, 5, 30, 60, 300, 3600, 86_400))
    funnel = log.funnel(steps, within=f"{seconds}s", order=order)
    assert funnel.design is not None
    moments = ", ".join(f"reached_{step} is not null" for step in range(2, len(steps) + 1))
    text = (
        funnel.design.cte(named=True)
        + f" select actor, 1 + len(list_filter([{moments}], lambda x: x)) as level from chains"
    )
    ours = dict(log.sql(text).pl().rows())
    assert ours == levels(path, steps, seconds, mode)
    counts = [sum(level >= step for level in ours.values()) for step in range(1, len(steps) + 1)]
    assert funnel.pl()["reached"].to_list() == counts
