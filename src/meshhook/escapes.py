"""Looking through escapes: the places of some bytes in a text that may be percent-encoded, or escaped as in JSON, Python or HTML.

A *view* is the text with one or two kinds of escapes undone, and remembers where each of its bytes came from. What is looked for in
a view is then known by its place in the text itself. Which escape was meant nobody knows, so every reading is tried.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

Span = tuple[int, int]
_Undo = Callable[[re.Match[bytes]], bytes]

_PERCENT: Final = re.compile(rb"%[0-9a-f]{2}", re.IGNORECASE)
_PERCENT_PLUS: Final = re.compile(rb"%[0-9a-f]{2}|\+", re.IGNORECASE)
_BACKSLASH: Final = re.compile(
    rb"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2})|(?s:.))",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(rb"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
_LETTERS: Final = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
    b"a": b"\a",
    b"0": b"\0",
}


@dataclass(frozen=True, slots=True)
class View:
    """Bytes, and where they came from: ``starts`` in the view, ``origins`` in what it was made of, ``plain``: byte by byte."""

    data: bytes
    starts: list[int]
    origins: list[int]
    plain: list[bool]
    length: int

    def origin(self, span: Span) -> Span:
        """The place a span of the view came from; an escape is taken whole."""
        return self._begin(span[0]), self._end(span[1] - 1)

    def _begin(self, at: int) -> int:
        piece = bisect_right(self.starts, at) - 1
        return self.origins[piece] + (at - self.starts[piece] if self.plain[piece] else 0)

    def _end(self, at: int) -> int:
        piece = bisect_right(self.starts, at) - 1
        if self.plain[piece]:
            return self.origins[piece] + at - self.starts[piece] + 1
        return self.origins[piece + 1] if piece + 1 < len(self.origins) else self.length


def places(data: bytes, needles: list[bytes]) -> list[Span]:
    """Where in ``data`` any of the ``needles`` stands, in any reading and any case of ASCII; in order, none overlapping.

    The needles are in lower case and not empty.
    """
    spans = list(_plain_places(data, needles))
    for chain in _chains(data):
        views = _through(data, chain)
        for span in _plain_places(views[-1].data, needles):
            for view in reversed(views):
                span = view.origin(span)  # noqa: PLW2901 the same span, one view further back
            spans.append(span)
    return _joined(spans)


def _plain_places(data: bytes, needles: list[bytes]) -> Iterator[Span]:
    lower = data.lower()
    for needle in needles:
        at = lower.find(needle)
        while at >= 0:
            yield at, at + len(needle)
            at = lower.find(needle, at + len(needle))


def _joined(spans: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


_Kind = tuple[re.Pattern[bytes], _Undo]


def _chains(data: bytes) -> Iterator[tuple[_Kind, ...]]:
    """The readings worth trying: those whose escapes are there at all."""
    percent, plus, backslash = b"%" in data, b"+" in data, b"\\" in data
    if percent:
        yield (_percent,)
        if b"%25" in data:
            yield _percent, _percent
    if plus:
        yield (_percent_plus,)
    if backslash:
        yield (_backslash_bytes,)
        yield (_backslash_text,)
        if b"\\\\" in data:
            yield _backslash_text, _backslash_text
        if percent or b"\\u0025" in data:
            yield _backslash_text, _percent
        if b"&" in data or b"\\u0026" in data:
            yield _backslash_text, _entity
    if b"&" in data:
        yield (_entity,)


def _through(data: bytes, chain: tuple[_Kind, ...]) -> list[View]:
    views: list[View] = []
    for pattern, undo in chain:
        views.append(_view(data, pattern, undo))
        data = views[-1].data
    return views


def _view(data: bytes, pattern: re.Pattern[bytes], undo: _Undo) -> View:
    out = bytearray()
    starts, origins, plain, at = [0], [0], [True], 0

    def piece(origin: int, is_plain: bool) -> None:
        starts.append(len(out))
        origins.append(origin)
        plain.append(is_plain)

    for found in pattern.finditer(data):
        out += data[at : found.start()]
        piece(found.start(), False)
        out += undo(found)
        at = found.end()
        piece(at, True)
    out += data[at:]
    return View(bytes(out), starts, origins, plain, len(data))


def _of_percent(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[0][1:], 16)]) if found[0] != b"+" else b" "


def _of_backslash(found: re.Match[bytes], *, x_is_byte: bool) -> bytes:
    high, low, four, eight, two = found.groups()
    if high is not None:
        return _utf8(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if four is not None or eight is not None:
        return _utf8(int(four or eight, 16))
    if two is not None:
        return bytes([int(two, 16)]) if x_is_byte else _utf8(int(two, 16))
    letter = found[0][1:]
    return _LETTERS.get(letter, letter)


def _utf8(point: int) -> bytes:
    return chr(point).encode("utf-8", "surrogatepass") if point <= 0x10FFFF else b"?"


_percent: Final[_Kind] = (_PERCENT, _of_percent)
_percent_plus: Final[_Kind] = (_PERCENT_PLUS, _of_percent)
_backslash_bytes: Final[_Kind] = (_BACKSLASH, lambda found: _of_backslash(found, x_is_byte=True))
_backslash_text: Final[_Kind] = (_BACKSLASH, lambda found: _of_backslash(found, x_is_byte=False))
_entity: Final[_Kind] = (_ENTITY, lambda found: html.unescape(found[0].decode()).encode("utf-8", "surrogatepass"))
