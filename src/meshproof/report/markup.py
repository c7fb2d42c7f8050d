"""HTML that cannot be broken out of: every text is escaped, unless it was made here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

import msgspec


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = object
"""What may stand inside an element: markup as it is, lists one after the other, None as nothing, all else as text."""

EMPTY: Final = Markup("")


def text(child: Child) -> Markup:
    """A child as HTML."""
    if child is None:
        return EMPTY
    if isinstance(child, Markup):
        return child
    if isinstance(child, Iterable) and not isinstance(child, str | bytes):
        return Markup("".join(text(one) for one in child))
    return Markup(escape(str(child)))


def el(tag: str, *children: Child, **attributes: object) -> Markup:
    """An element. `class_` is class, `data_x` is data-x; an attribute that is None or False is left out."""
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{tag}{written}>{text(children)}</{tag}>")


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], **attributes: object) -> Markup:
    """A table that scrolls by itself where the page is narrow."""
    return el(
        "div",
        el(
            "table",
            el("thead", el("tr", [el("th", cell, scope="col") for cell in head])),
            el("tbody", [el("tr", [el("td", cell) for cell in row]) for row in rows]),
            **attributes,
        ),
        class_="scroll",
    )


def script_data(value: object) -> Markup:
    """JSON that is safe inside a script element: nothing in it can end the element or begin another."""
    encoded = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return Markup(encoded)
