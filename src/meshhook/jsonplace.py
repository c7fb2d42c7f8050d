"""Where in a JSON text the value of a JSON path stands, so that a fault can be shown in the text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_PART: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]""")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_SCALAR: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+')
_SKIP: Final = re.compile(r'[\s,:]+|"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+|[\[\]{}]')


class Span(NamedTuple):
    """A part of a text: line and column of its beginning, from 1, its length on that line, and that line."""

    line: int
    column: int
    length: int
    text: str


def find(text: str, path: str) -> Span:
    """The value of ``path`` (such as ``$.nodes[2].id``) in a valid JSON text; if it is not there, what would hold it."""
    begin = _space(text, 0)
    for name, index in _parts(path):
        inner = _member(text, begin, name) if index is None else _item(text, begin, index)
        if inner is None:
            break
        begin = inner
    return span(text, begin, _end(text, begin))


def span(text: str, begin: int, end: int) -> Span:
    """The part of ``text`` from offset ``begin`` to ``end``, cut at the end of its line."""
    line_begin = text.rfind("\n", 0, begin) + 1
    line_end = text.find("\n", begin)
    line_end = len(text) if line_end < 0 else line_end
    length = max(1, min(end, line_end) - begin)
    line = text[line_begin:line_end].rstrip("\r")
    return Span(text.count("\n", 0, begin) + 1, begin - line_begin + 1, length, line)


def _parts(path: str) -> Iterator[tuple[str, int | None]]:
    position = 1
    while (match := _PART.match(path, position)) is not None:
        name, index, quoted = match.groups()
        if index is not None:
            yield "", int(index)
        else:
            yield (name if name is not None else re.sub(r"\\(.)", r"\1", quoted)), None
        position = match.end()


def _member(text: str, begin: int, name: str) -> int | None:
    """Where the value of the last member ``name`` begins: with the same name twice, the last one counts."""
    if not text.startswith("{", begin):
        return None
    found, position = None, _space(text, begin + 1)
    while text.startswith('"', position):
        key_end = _end(text, position)
        value = _space(text, _space(text, key_end) + 1)
        if msgspec.json.decode(text[position:key_end]) == name:
            found = value
        position = _behind_comma(text, _end(text, value))
    return found


def _item(text: str, begin: int, index: int) -> int | None:
    if not text.startswith("[", begin):
        return None
    position = _space(text, begin + 1)
    while index > 0 and not text.startswith("]", position):
        position = _behind_comma(text, _end(text, position))
        index -= 1
    return None if text.startswith("]", position) else position


def _behind_comma(text: str, position: int) -> int:
    position = _space(text, position)
    return _space(text, position + 1) if text.startswith(",", position) else position


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _end(text: str, begin: int) -> int:
    """The end of the value that begins at ``begin``."""
    if (scalar := _SCALAR.match(text, begin)) is not None:
        return scalar.end()
    depth, position = 0, begin
    while (token := _SKIP.match(text, position)) is not None:
        position = token.end()
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
            if depth == 0:
                break
    return position
