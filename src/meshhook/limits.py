"""The limits of a workflow: how many of its runs may be worked on at once, how often one may start, and in what order.

A definition says it in its ``settings``; here that is compiled into a function from the data of a run to its ``Placing``: the
lane it waits in, and what holds for that lane. Pure; who waits for whom is decided in the database (``sql/functions/claim.sql``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from meshhook.mapping import Faults, Render, compile_expression, compile_template
from meshhook.model import PRIORITIES, Context, Place, Placing

SLOTS_MAX: Final = 100_000
RATE_MAX: Final = 1_000_000
SECONDS_MAX: Final = 366 * 86_400.0
_KEY_LENGTH_MAX: Final = 200

_SECONDS: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": SECONDS_MAX}
_KEY: Final = {
    "type": "string",
    "description": "JMESPath over {input, trigger}: runs with the same value share the limit; left out, all runs do.",
}

SCHEMA: Final[dict[str, Any]] = {
    "concurrency": {
        "type": "object",
        "description": "How many runs may be worked on at once; with several shards, in each of them.",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "maximum": SLOTS_MAX},
            "key": _KEY,
            "strategy": {"enum": ["queue", "cancel-oldest", "reject"], "default": "queue"},
        },
        "required": ["limit"],
        "additionalProperties": False,
    },
    "rate": {
        "type": "object",
        "description": "How many runs may start: a bucket of `limit` starts, refilled over `per_s` seconds; one in each shard.",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "maximum": RATE_MAX},
            "per_s": _SECONDS,
            "key": _KEY,
        },
        "required": ["limit", "per_s"],
        "additionalProperties": False,
    },
    "priority": {
        "type": "string",
        "description": "high, normal or low, or a template over {input, trigger} that gives one of them.",
        "default": "normal",
    },
    "queue_ttl_s": _SECONDS | {"description": "A run that has not started so long after it was accepted is given up."},
}
"""The members of ``settings`` in a definition that are read here."""


def compile_limits(settings: Mapping[str, Any], faults: Faults) -> Place | None:
    """What places a run of these settings; ``None`` when its runs need no placing.

    Expressions that don't compile are added to ``faults``, with their path below ``settings``.
    """
    concurrency, rate = settings.get("concurrency"), settings.get("rate")
    priority = settings.get("priority", "normal")
    template = compile_template(priority, ".priority", faults)
    lane_key = _key(concurrency, ".concurrency.key", faults)
    rate_key = _key(rate, ".rate.key", faults)
    ttl_s = settings.get("queue_ttl_s")
    if concurrency is None and rate is None and ttl_s is None and priority in PRIORITIES:
        return None

    def place(context: Context) -> Placing:
        pace = None if rate is None else key_text(rate_key(context))
        return Placing(
            lane=key_text(lane_key(context)) if concurrency is not None else pace,
            slots=concurrency["limit"] if concurrency is not None else None,
            strategy=concurrency.get("strategy", "queue") if concurrency is not None else "queue",
            bucket=pace,
            starts=rate["limit"] if rate is not None else None,
            per_s=float(rate["per_s"]) if rate is not None else None,
            priority=priority_of(template(context)),
            ttl_s=ttl_s,
        )

    return place


def priority_of(value: Any) -> int:
    """0 for high, 1 for normal, 2 for low; whatever is none of them is normal."""
    return PRIORITIES.index(value) if value in PRIORITIES else 1


def _key(limit: Mapping[str, Any] | None, at: str, faults: Faults) -> Render:
    if limit is None or "key" not in limit:
        return lambda context: None
    return compile_expression(limit["key"], at, faults)


def key_text(value: Any) -> str:
    """The key as it is stored: JSON with sorted members, or the hash of it where that is long."""
    text = msgspec.json.encode(value, order="sorted")
    return text.decode() if len(text) <= _KEY_LENGTH_MAX else f"sha256:{hashlib.sha256(text).hexdigest()}"
