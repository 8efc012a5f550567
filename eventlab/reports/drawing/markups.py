"""Markup: Markdown, HTML and code of a report as HTML in which nothing is fetched and nothing of the data is markup."""

from __future__ import annotations

import functools
import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
_PLACES = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)  # where a link of an author may lead
_BESIDE = re.compile(r"[\w.~%-]+(?:/[\w.~%-]*)*(?:#[\w.-]*)?")  # a file near the page: no colon, so no scheme
_SCHEMES = {"http", "https", "mailto"}
_TAGS = {
    *(
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
    ),
    *(
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
    ),
    *("mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody"),
    *("td", "tfoot", "th", "thead", "time", "tr", "u", "ul", "var"),
}
_UNSEEN = {"script", "style", "title", "template", "noscript", "iframe", "object", "svg", "math", "textarea"}
_ATTRIBUTES = {
    "*": {"title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
    "details": {"open"},
    "time": {"datetime"},
}


def markdown(text: str) -> Markup:
    """Return Markdown as HTML: tags in it are text, and so is a picture that would be fetched.

    Headings begin at the second level, for the first is the report's title.

    Examples
    --------
    >>> print(markdown("# *Hi* <b>"))
    <h2><em>Hi</em> &lt;b&gt;</h2>
    <BLANKLINE>
    """
    return Markup(_markdown().render(text))  # noqa: S704 - it escapes all that is not Markdown


def html(text: str, *, pictures: bool = True) -> Markup:
    """Return HTML that somebody's object shows itself as, without scripts, styles, and pictures that would be fetched.

    Without ``pictures`` those that are in the text itself are left out too: most mail programs show none.
    """
    import nh3  # noqa: PLC0415 - most reports show no HTML of others

    return Markup(  # noqa: S704 - it is cleaned here
        nh3.clean(
            text,
            tags=_TAGS if pictures else _TAGS - {"img"},
            clean_content_tags=_UNSEEN,
            attributes=_ATTRIBUTES,
            attribute_filter=_attribute,
            url_schemes=_SCHEMES | {"data"},
            url_relative="deny",
            link_rel="noopener noreferrer",
        )
    )


def words(text: str) -> str:
    """Return what HTML says, without its tags.

    Examples
    --------
    >>> words("<b>3 &lt; 4</b><script>alert(1)</script>")
    '3 < 4'
    """
    import nh3  # noqa: PLC0415 - as above

    spaced = re.sub(r"(?i)</(?:p|div|tr|li|h[1-6])>|<br\s*/?>", "\n\\g<0>", text)
    bare = unescape(nh3.clean(spaced, tags=set(), clean_content_tags=_UNSEEN))
    return "\n".join(filter(None, (" ".join(line.split()) for line in bare.splitlines())))


def code(text: str) -> Markup:
    """Return Python as HTML, with classes by which its parts are coloured."""
    from pygments import highlight  # noqa: PLC0415 - as above
    from pygments.formatters.html import HtmlFormatter  # noqa: PLC0415 - the package itself makes its names, not safely on threads
    from pygments.lexers.python import PythonLexer  # noqa: PLC0415 - as above

    marked: str = highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return Markup(f"<pre><code>{marked.rstrip()}</code></pre>")  # noqa: S704 - Pygments escapes what it marks


def json_text(value: Any) -> Markup:  # noqa: ANN401 - anything that JSON can have
    r"""Return JSON for a ``<script>`` element, which no text in it can end.

    Examples
    --------
    >>> print(json_text({"name": "</script><!--"}))
    {"name":"\u003c/script\u003e\u003c!--"}
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))  # noqa: S704 - see above


def link(path: str) -> str:
    """Return a relative path as an address: whatever its characters, it leads to a file beside the page.

    Examples
    --------
    >>> link("daily/2013-02-09 a.html"), link("javascript:alert(1)")
    ('daily/2013-02-09%20a.html', 'javascript%3Aalert%281%29')
    """
    return quote(path.replace("\\", "/").lstrip("/"), safe="/.-_~")


def _attribute(_: str, name: str, value: str) -> str | None:
    """Return an attribute's value, or None where it would fetch or run something."""
    if name == "src":
        return value if _PICTURE.fullmatch(value) else None
    if name == "href":
        return value if _PLACES.match(value) else None
    return value


@functools.cache
def _markdown() -> MarkdownIt:
    """Return the reader of Markdown: CommonMark with tables and strikethrough, without HTML."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - who writes no report needs none

    reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    reader.validateLink = _leads  # type: ignore[method-assign,assignment]  # the library's own way
    reader.add_render_rule("image", _image)
    for name in ("heading_open", "heading_close"):
        reader.add_render_rule(name, _heading)
    reader.add_render_rule("link_open", _link)
    reader.add_render_rule("fence", _fence)
    reader.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    for name in ("th_open", "td_open"):
        reader.add_render_rule(name, _cell)
    return reader


def parsed(text: str) -> Sequence[Token]:
    """Return Markdown as the tokens that ``markdown`` renders."""
    return _markdown().parse(text)


def picture(address: str) -> bool:
    """Whether a picture's address is the picture itself, so that nothing is fetched."""
    return _PICTURE.fullmatch(address) is not None


def _leads(address: str) -> bool:
    """Whether a link or a picture may have an address; else its Markdown is text."""
    return _PLACES.match(address) is not None or _BESIDE.fullmatch(address) is not None or picture(address)


def _image(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:  # noqa: ANN401 - the library's
    """Return a picture that is in the text; of any other its words."""
    token = tokens[at]
    told = renderer.renderInlineAsText(token.children or [], options, env)
    address = str(token.attrs.get("src", ""))
    if picture(address):
        return f'<img src="{escape(address)}" alt="{escape(told)}">'
    return str(escape(f"![{told}]({address})"))


def _heading(renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401, ARG001 - the library's
    """Return a heading, of the second level at most."""
    token = tokens[at]
    level = max(2, int(token.tag[1:]))
    return f"<h{level}>" if token.nesting > 0 else f"</h{level}>\n"


def _link(renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401, ARG001 - the library's
    """Return the beginning of a link, from which the page behind it learns nothing."""
    address = str(tokens[at].attrs.get("href", ""))
    if picture(address):
        return "<a>"
    return f'<a href="{escape(address)}" rel="noopener noreferrer">'


def _fence(renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401, ARG001 - the library's
    """Return code as text, whatever language it says that it is in."""
    return f"<pre><code>{escape(tokens[at].content)}</code></pre>\n"


def _cell(renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401, ARG001 - the library's
    """Return the beginning of a table's cell, aligned by a class, for the page allows no styles of its parts."""
    token = tokens[at]
    right = "right" in str(token.attrs.get("style", ""))
    return f'<{token.tag} class="number">' if right else f"<{token.tag}>"
