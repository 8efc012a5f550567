"""Retellings: an author's Markdown written again from what it means, so that nothing in it is HTML or is fetched.

Who reads Markdown, a chat or a code host, may also read HTML in it and show pictures from anywhere. A page escapes both; here
the text is parsed as for a page and written anew with only what that gave.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eventlab.reports.drawing import markups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it.token import Token

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$@]|(?<=\w):(?=//)|(?<=\bwww)\.")
_FIRST = re.compile(r"^(\s*)([#+=-])|^(\s*\d+)([.)])", re.MULTILINE)  # with what else a line would begin a block
_TICKS = re.compile(r"`+")
_BARE = re.compile(r"(?<!\\)\|")  # in inline code, where a table still sees it
_PIPE = r"\\|"
_MARKS = {"strong": "**", "em": "*", "s": "~~"}


def plain(text: str) -> str:
    r"""Return text as Markdown that says just that, on one line: no mark, link, picture, mention or formula.

    Examples
    --------
    >>> print(plain("a|b <b> *c* http://d"))
    a\|b \<b\> \*c\* http\://d
    """
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def code(text: str) -> str:
    """Return text as inline code, on one line, whatever backticks are in it."""
    line = " ".join(text.split()) or " "
    ticks = "`" * (_longest(line) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{gap}{line}{gap}{ticks}"


def fenced(text: str, language: str = "") -> str:
    """Return text as a block of code that nothing in it can end."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def retold(text: str) -> str:
    r"""Return Markdown that says the same, in which tags are text and pictures that would be fetched are words.

    Examples
    --------
    >>> print(retold("*Hi* <b> ![x](http://d/e.png)"))
    *Hi* \<b\> !\[x\](http\://d/e.png)
    """
    return "\n\n".join(_blocks(markups.parsed(text)))


def _blocks(tokens: Sequence[Token]) -> list[str]:
    """Return the blocks of a run of tokens, each as Markdown."""
    found: list[str] = []
    at = 0
    while at < len(tokens):
        end = _end(tokens, at)
        found.append(_block(tokens[at], tokens[at + 1 : end]))
        at = end + 1
    return [block for block in found if block.strip()]


def _end(tokens: Sequence[Token], at: int) -> int:
    """Return where a block ends that begins at a token."""
    depth = 0
    for here in range(at, len(tokens)):
        depth += tokens[here].nesting
        if depth == 0:
            return here
    return len(tokens)  # pragma: no cover - the parser closes what it opens


def _block(token: Token, inside: Sequence[Token]) -> str:  # noqa: PLR0911 - one a kind
    """Return a block as Markdown."""
    match token.type:
        case "heading_open":
            return f"{'#' * max(2, int(token.tag[1:]))} {_line(inside)}"
        case "paragraph_open":
            return _FIRST.sub(lambda found: f"{found[1] or found[3] or ''}\\{found[2] or found[4]}", _inline(inside))
        case "blockquote_open":
            return _indented("\n\n".join(_blocks(inside)), "> ", "> ")
        case "bullet_list_open":
            return _listed(inside, lambda _: "- ")
        case "ordered_list_open":
            first = int(token.attrs.get("start", 1))
            return _listed(inside, lambda number: f"{first + number}. ")
        case "fence" | "code_block":
            return fenced(token.content.rstrip("\n"), "python" if token.info.strip() == "python" else "")
        case "table_open":
            return _tabled(inside)
        case "hr":
            return "---"
        case _:
            return plain(token.content)


def _listed(tokens: Sequence[Token], mark: Callable[[int], str]) -> str:
    """Return a list's items."""
    items: list[str] = []
    at = 0
    while at < len(tokens):
        end = _end(tokens, at)
        given = mark(len(items))
        tight = at + 1 < end and tokens[at + 1].hidden
        parts = _blocks(tokens[at + 1 : end])
        body = ("\n" if tight and len(parts) == 2 else "\n\n").join(parts)  # noqa: PLR2004 - a line and what is below it
        items.append(_indented(body, given, " " * len(given)))
        at = end + 1
    return "\n".join(items)


def _indented(text: str, first: str, others: str) -> str:
    lines = text.split("\n")
    return "\n".join(f"{first if number == 0 else others}{line}".rstrip() for number, line in enumerate(lines))


def _tabled(tokens: Sequence[Token]) -> str:
    """Return a table."""
    rows: list[list[str]] = []
    right: list[bool] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            if len(rows) == 1:
                right.append("right" in str(token.attrs.get("style", "")))
            rows[-1].append(_line(tokens[at + 1 : at + 2]))
    return table(rows[0], rows[1:], right)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Return a table of cells that are Markdown already; ``right``: which columns are aligned there."""
    lines = [head, ["---:" if side else "---" for side in right], *rows]
    return "\n".join(f"| {' | '.join(_BARE.sub(_PIPE, cell) for cell in line)} |" for line in lines)


def _line(tokens: Sequence[Token]) -> str:
    return " ".join(_inline(tokens).split())


def _inline(tokens: Sequence[Token]) -> str:
    """Return the text of a block."""
    parts: list[str] = []
    address = ""
    for child in (child for token in tokens for child in token.children or ()):
        if child.type == "link_open":
            address = str(child.attrs.get("href", ""))
            parts.append("" if markups.picture(address) else "[")
        elif child.type == "link_close":
            parts.append(
                "" if markups.picture(address) else f"](<{address}>)" if set(address) & {"(", ")"} else f"]({address})"
            )
        else:
            parts.append(_text(child))
    return "".join(parts)


def _text(token: Token) -> str:
    """Return a part of a block's text as Markdown."""
    name = token.type.rpartition("_")[0]
    if name in _MARKS:
        return _MARKS[name]
    match token.type:
        case "softbreak":
            return "\n"
        case "hardbreak":
            return "\\\n"
        case "code_inline":
            return code(token.content)
        case "image":
            return plain(f"![{token.content}]({_short(token)})")
        case _:
            return _SPECIAL.sub(r"\\\g<0>", token.content)


def _short(token: Token) -> str:
    """Return where a picture is; of one that is in the text itself only that."""
    address = str(token.attrs.get("src", ""))
    return "picture" if markups.picture(address) else address


def _longest(text: str) -> int:
    return max(map(len, _TICKS.findall(text)), default=0)
