"""Values as real senders send them: other scripts, escapes, numbers at the edges, nothing at all.

Shared by the payload generators. No reference model reads this file: a model reads the payload.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from meshproof.draw import Draw

NAMES = (
    "Ada Lovelace",
    "Łukasz Żółć",
    "李小龍",
    "محمد بن موسى",
    "O'Brien & Söhne",
    'Zoë "Zed" D\'Arcy',
    "नरेन्द्र",
    "Nguyễn Thị Minh Khai",
    "Jean-François 👩🏽‍💻",
    "Ivan\tTab\nNewline",
    "back\\slash",
    "<b>bold</b> &amp; {{ input }}",
    "e\u0301 combining",
    "\u202eright to left",
    "line\u2028separator",
    "",
)

TEXTS = (
    "shipped",
    "línea 1\r\nlínea 2",
    "naïve café ☕ – ‘quoted’",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the basic plane 🦑",
    "tab\tbell\u0007 backspace\b",
    "'; DROP TABLE runs; --",
    "null",
    '{"not": "parsed"}',
    "$1 %s \\N {} {{ }}",
    "x" * 300,
)

NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    9007199254740993,  # 2^53 + 1: lost by whoever goes through a double
    -9223372036854775808,
    18446744073709551615,
    123456789012345678901234567890,
    0.1,
    -2.5e-10,
    1e21,
    6.02214076e23,
    3.0,
)

NOTHINGS: tuple[Any, ...] = (None, [], {}, "", False)


def email(draw: Draw) -> str:
    """An address; some with a plus sign or another script."""
    return draw.pick(("ada@example.com", "l.z+orders@example.pl", "李@例え.jp", "o'brien@example.ie")) + str(
        draw.below(1000)
    )


def dump(draw: Draw, data: Any) -> bytes:
    """The data as JSON, in one of the ways real senders write it: compact, spaced, with escapes, with raw UTF-8."""
    style = draw.below(4)
    if style == 0:
        return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode()
    compact = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    # json.dumps(indent=2) gives the same and leaves a cycle behind: a generator, which never collects, grew by them.
    return msgspec.json.format(compact, indent=2) if style == 1 else compact
