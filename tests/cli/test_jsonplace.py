"""Finding the place of a JSON path in a text: by hand, and for every path of random documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.jsonplace import find

TEXT = """{ "a" : [ 1, {"b\\"c": "x, ]}" , "d": [[]] } ],
  "a.b": null,
  "a": {"twice": true}
}"""


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("$", 1, '{ "a" : [ 1, {"b\\"c": "x, ]}" , "d": [[]] } ],'),
        ("$.a", 3, '{"twice": true}'),
        ("$.a.twice", 3, "true"),
        ("$['a.b']", 2, "null"),
        ("$.a.gone.further", 3, '{"twice": true}'),
        ("$.nothing", 1, '{ "a" : [ 1, {"b\\"c": "x, ]}" , "d": [[]] } ],'),
    ],
)
def test_by_hand(path: str, line: int, found: str) -> None:
    place = find(TEXT, path)
    assert place.line == line
    assert place.text[place.column - 1 : place.column - 1 + place.length] == found


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


@given(documents, st.sampled_from([None, 1, "\t"]))
def test_every_value_is_found(document: Any, indent: Any) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=indent is None)
    lines = text.split("\n")
    for path, value in values(document, "$"):
        place = find(text, path)
        below = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert json.JSONDecoder().raw_decode(below)[0] == value, path


def values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from values(item, f"{path}[{index}]")
    if isinstance(value, dict):
        for name, item in value.items():
            escaped = name.replace("\\", "\\\\").replace("'", "\\'")
            yield from values(item, f"{path}['{escaped}']")
