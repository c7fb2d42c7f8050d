"""JSON text: how deeply it nests. Whatever is stored must be readable by every process, however deep its own stack is."""

from __future__ import annotations

import re
from typing import Final

_INNERMOST: Final = re.compile(rb"\[\]|\{\}")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def deeper_than(text: bytes, levels: int) -> bool:
    """Whether valid JSON nests deeper than ``levels``; almost always answered by counting brackets."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    brackets = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text).translate(None, delete=_NO_BRACKETS)
    for _ in range(levels):
        brackets = _INNERMOST.sub(b"", brackets)  # one layer: what closes only now is left for the next round
        if not brackets:
            return False
    return bool(brackets)
