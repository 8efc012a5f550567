"""Sheets: the one way in which a template becomes an HTML file, with a policy by which a browser fetches nothing for it."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from eventlab.charts import themes
from eventlab.reports.drawing import markups

if TYPE_CHECKING:
    from collections.abc import Sequence


def sheet(template: str, *, scripts: Sequence[str] = (), **facts: Any) -> str:  # noqa: ANN401 - what the template shows
    """Return a template as an HTML file.

    Its Content-Security-Policy names the style and the scripts by their hash, so that a browser runs and fetches nothing else,
    whatever else stands in the file. All facts are text, unless they are Markup.

    Parameters
    ----------
    template
        Its name in the folder ``templates``.
    scripts
        That it has, as ``scripts``.
    facts
        What it shows, by name.
    """
    style = rendered(
        "style.css", colors={mode: _colors(palette) for mode, palette in themes.PALETTES.items()}, font=themes.FONT
    )
    policy = f"default-src 'none'; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    if scripts:
        policy += f"; script-src {' '.join(map(_hash, scripts))}"
    ours = {"policy": Markup(policy), "style": Markup(style), "scripts": [Markup(text) for text in scripts]}  # noqa: S704 - ours indeed
    return settled(rendered(template, **ours, **facts))


def mail_style() -> Markup:
    """Return the style sheet of mails, in the light colours."""
    return Markup(rendered("mail.css", light=_colors(themes.PALETTES["light"]), font=themes.FONT))  # noqa: S704 - our own


def rendered(template: str, **facts: Any) -> str:  # noqa: ANN401 - as above
    """Return a template with facts filled in; a fact that it has no place for is no error, one that is missing is."""
    return _environment().get_template(template).render(**facts)


def own(name: str) -> str:
    """Return a file of the folder ``templates`` as it is."""
    return resources.files("eventlab.reports.drawing").joinpath("templates", name).read_text(encoding="utf-8")


def settled(text: str) -> str:
    """Return text that is the same after it was written as a file and read again."""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("eventlab.reports.drawing"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "markdown": markups.markdown,
        "cleaned": markups.html,
        "python": markups.code,
        "json": markups.json_text,
        "beside": markups.link,
    }
    return made


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _colors(palette: themes.Palette) -> dict[str, str]:
    """Return the colours by the names that the style sheet has for them."""
    accent, wait, bad, good, *_ = palette.series
    named = {"ground": palette.ground, "text": palette.text, "muted": palette.muted, "grid": palette.grid}
    return {**named, "accent": accent, "good": good, "wait": wait, "bad": bad}
