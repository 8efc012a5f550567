"""``python -m tests.benchmarks [NAME …] [--quick] [--markdown] [--folder DIR]``: run the benchmarks, show their table.

Data and stores are kept in the folder, so that the next run begins at once. Exits 1 if a ratio is exceeded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import (
    appends,
    funnels,
    loads,
    reads,
    registries,
    reports,
    retentions,
    rivals,
    states,
    tables,
    validation,
    visits,
)
from tests.benchmarks.sources import Folder

BENCHMARKS = {
    function.__name__: function
    for function in (
        appends.appends,
        loads.loads,
        reads.queries,
        loads.many_types,
        reads.opening,
        reads.refresh,
        states.states,
        registries.registries,
        validation.validation,
        funnels.funnels,
        visits.visits,
        retentions.retentions,
        rivals.eventsourcing,
        reports.reports,
    )
}


def main() -> int:
    """Run what the command line names, all if it names nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a twentieth of the events: to see that it runs")
    parser.add_argument("--markdown", action="store_true", help="the table as the README has it")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "eventlab-benchmarks")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = Folder(given.folder.resolve(), scale=20 if given.quick else 1)
    rows: list[tables.Row] = []
    for name in given.names or BENCHMARKS:
        for row in BENCHMARKS[name](folder):
            print(*row.cells(), sep="  ", file=sys.stderr, flush=True)  # noqa: T201 - as it goes
            rows.append(row)
    if given.markdown:
        print(tables.markdown(rows))  # noqa: T201 - the result
    else:
        tables.show(rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
