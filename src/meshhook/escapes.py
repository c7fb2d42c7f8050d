"""Looking through escapes: the places of some bytes in a text that may be percent-encoded, escaped as in JSON, Python or HTML, and
in base64.

A *view* is the text with one or two kinds of escapes undone, and remembers where each of its bytes came from. What is looked for in
a view is then known by its place in the text itself. Which escape was meant nobody knows, so every reading is tried.
"""

from __future__ import annotations

import binascii
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

Span = tuple[int, int]


class Place(NamedTuple):
    """Where something stands, and which of what was looked for."""

    span: Span
    needle: int


_Undo = Callable[[re.Match[bytes]], bytes]

_PERCENT: Final = re.compile(rb"%[0-9a-f]{2}", re.IGNORECASE)
_PERCENT_PLUS: Final = re.compile(rb"%[0-9a-f]{2}|\+", re.IGNORECASE)
_BACKSLASH: Final = re.compile(
    rb"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2})|(?s:.))",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(rb"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
_LINE_END: Final = re.compile(rb"\r?\n")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{10,}")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_DEPTH_MAX: Final = 3
_DEPTH_IN_BASE64_MAX: Final = 2
_DEEP_BYTES_MAX: Final = 64 * 1024
"""In a longer text one kind of escapes at a time is undone: strangers send texts that are nothing but escapes."""

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


def places(data: bytes, needles: Sequence[bytes], *, into_base64: bool = True) -> list[Place]:
    """Where in ``data`` any of the ``needles`` stands, in any reading and any case of ASCII; in order, none overlapping.

    The needles are in lower case and not empty; of two at one place the first counts.
    """
    found: list[Place] = []
    depth_max = _DEPTH_MAX if into_base64 else _DEPTH_IN_BASE64_MAX
    for views, last in _readings(data, depth_max if len(data) <= _DEEP_BYTES_MAX else 1):
        here = list(_plain_places(last, needles))
        if into_base64:
            here += _places_in_base64(last, needles)
        for place in here:
            span = place.span
            for view in reversed(views):
                span = view.origin(span)
            found.append(Place(span, place.needle))
    return _joined(found)


def _plain_places(data: bytes, needles: Sequence[bytes]) -> Iterator[Place]:
    lower = data.lower()
    for number, needle in enumerate(needles):
        at = lower.find(needle)
        while at >= 0:
            yield Place((at, at + len(needle)), number)
            at = lower.find(needle, at + len(needle))


def _places_in_base64(data: bytes, needles: Sequence[bytes]) -> Iterator[Place]:
    """What stands in something that looks like base64. Where its first group of four begins nobody knows, so all are tried."""
    for run in _BASE64.finditer(data):
        letters = run[0].translate(_FROM_URL_SAFE)
        for shift in range(4):
            whole = letters[shift:]
            # One letter too many is no byte; it is left out.
            whole = whole[: len(whole) - (len(whole) % 4 == 1)]
            decoded = binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
            for place in places(decoded, needles, into_base64=False):
                start, end = place.span
                at = run.start() + shift
                yield Place((at + start * 8 // 6, at + -(-end * 8 // 6)), place.needle)


def _joined(found: list[Place]) -> list[Place]:
    joined: list[Place] = []
    for place in sorted(found, key=lambda place: (place.span[0], place.needle)):
        start, end = place.span
        if joined and start < joined[-1].span[1]:
            first = joined.pop()
            joined.append(Place((first.span[0], max(end, first.span[1])), min(first.needle, place.needle)))
        else:
            joined.append(place)
    return joined


_Kind = tuple[bytes, re.Pattern[bytes], _Undo]
"""One kind of escapes: what is there when any of it is, where, and what each means."""


def _readings(data: bytes, depth_max: int) -> Iterator[tuple[list[View], bytes]]:
    """The data as it is, and with escapes undone, one kind after the other, in every order: each different text once."""
    seen = {data}
    level: list[tuple[list[View], bytes]] = [([], data)]
    for depth in range(depth_max + 1):
        yield from level
        if depth == depth_max:
            return
        deeper = []
        for views, last in level:
            for sign, pattern, undo in _KINDS:
                if sign in last and (view := _view(last, pattern, undo)).data not in seen:
                    seen.add(view.data)
                    deeper.append(([*views, view], view.data))
        level = deeper


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


_KINDS: Final[tuple[_Kind, ...]] = (
    (b"%", _PERCENT, _of_percent),
    (b"+", _PERCENT_PLUS, _of_percent),
    (b"\\", _BACKSLASH, lambda found: _of_backslash(found, x_is_byte=False)),
    (b"\\x", _BACKSLASH, lambda found: _of_backslash(found, x_is_byte=True)),
    (b"&", _ENTITY, lambda found: html.unescape(found[0].decode()).encode("utf-8", "surrogatepass")),
    (b"\n", _LINE_END, lambda found: b""),  # base64 is often broken into lines
)
