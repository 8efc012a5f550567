"""What an analysis gives: a lazy table with its SQL, which a person can look at, take further, or chart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.displays import Displayed
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

Charter = Callable[["Result"], Any]


@dataclass(frozen=True, slots=True)
class Result(Displayed):
    """The rows of an answer, computed when they are asked for, as the log was when the question was asked.

    Attributes
    ----------
    relation
        The DuckDB relation.
    sql
        The SQL of the answer.
    kind
        Which answer it is, like ``"history"``.
    facts
        What it rests on and how it was asked: basis, moments, names of keys.
    """

    relation: queries.Relation
    sql: str
    kind: str = "table"
    facts: dict[str, Any] = field(default_factory=dict)
    charter: Charter | None = None

    def pl(self) -> pl.DataFrame:
        """Return the rows as a Polars frame."""
        with queries.explained(text=self.sql):
            frame: pl.DataFrame = self.relation.pl()
        return frame

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        with queries.explained(text=self.sql):
            return self.relation.to_arrow_table()

    def df(self) -> Any:  # noqa: ANN401 - a pandas frame, where pandas is installed
        """Return the rows as a pandas frame."""
        with queries.explained(text=self.sql):
            return self.relation.df()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples."""
        with queries.explained(text=self.sql):
            return self.relation.fetchall()

    def show(self) -> None:
        """Print the first rows."""
        with queries.explained(text=self.sql):
            self.relation.show()

    def chart(self) -> Any:  # noqa: ANN401 - an Altair chart, which is loaded only here
        """Return a chart of the rows.

        Raises
        ------
        InvalidArgument
            If there is no chart of this kind of answer.
        """
        if self.charter is None:
            raise InvalidArgument(f"there is no chart of a {self.kind}", hint="Chart its .pl() with Altair.")
        return self.charter(self)

    def __repr__(self) -> str:
        return str(self.relation)
