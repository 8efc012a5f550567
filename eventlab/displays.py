"""What shows itself in a notebook. How it does is the business of ``eventlab.jupyter``, which is loaded when one asks."""

from __future__ import annotations

from typing import Any


class Displayed:
    """A log, an answer or a receipt: HTML in a notebook, plain text in IPython's terminal; both bounded, whatever it holds."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from eventlab.jupyter import reprs  # noqa: PLC0415 - so that import eventlab stays light

        return reprs.html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # noqa: ANN401 - IPython's
        """Return both forms, made of one look at the data."""
        from eventlab.jupyter import reprs  # noqa: PLC0415 - as above

        return reprs.bundle(self)
