"""Taking the payloads out of events that are kept for their story alone. Pure.

What came in, what went out and what steps made is replaced by its hash and size; when and how everything happened stays. An event
that was trimmed names the members that were: ``"trimmed": ["trigger"]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

PAYLOADS: Final = ("trigger", "input", "output", "payload", "headers", "body")
"""Members of events that hold what is the users' own. Errors stay: they say why a run failed."""

MARK: Final = "trimmed"
_decode = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_encode = msgspec.json.Encoder().encode


def is_trimmed(event: Mapping[str, Any]) -> bool:
    """Whether payloads were taken out of an event."""
    return MARK in event


def trimmed(events: str) -> str | None:
    """A JSON array of events without their payloads; ``None`` when there are none to take out."""
    decoded = _decode(events)
    names = [_trim(event) for event in decoded]
    return _encode(decoded).decode() if any(names) else None


def _trim(event: dict[str, msgspec.Raw]) -> list[str]:
    """Take the payloads out of one event; which ones."""
    if MARK in event:
        return []
    names: list[str] = [name for name in PAYLOADS if name in event and bytes(event[name]) != b"null"]
    for name in names:
        raw = bytes(event[name])
        mark = {MARK: {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}}
        event[name] = msgspec.Raw(_encode(mark))
    if names:
        event[MARK] = msgspec.Raw(_encode(names))
    return names
