"""JSON values that are equal only when they are the same: 1, 1.0 and true are three values, -0.0 is not 0.0."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_canonical: Final = msgspec.json.Encoder(order="sorted").encode

NO_VALUE: Final = "nothing"


def canonical(value: Any) -> bytes:
    """The one text of a value: equal texts, equal values, equal types, down to every member."""
    return _canonical(value)


def difference(stored: Any, expected: Any, path: str = "$") -> str | None:
    """The first place where two values differ, and how; None when they are the same."""
    if canonical(stored) == canonical(expected):
        return None
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in sorted(stored.keys() | expected.keys()):
            if key not in stored or key not in expected:
                return f"at {path}.{key}: {_show(stored, key)} instead of {_show(expected, key)}"
            if found := difference(stored[key], expected[key], f"{path}.{key}"):
                return found
    if isinstance(stored, list) and isinstance(expected, list):
        if len(stored) != len(expected):
            return f"at {path}: {len(stored)} items instead of {len(expected)}"
        for index, (left, right) in enumerate(zip(stored, expected, strict=True)):
            if found := difference(left, right, f"{path}[{index}]"):
                return found
    return f"at {path}: {_cut(stored)} instead of {_cut(expected)}"


def _show(value: dict[str, Any], key: str) -> str:
    return _cut(value[key]) if key in value else NO_VALUE


def _cut(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
