"""``delay``: the run waits, for a time or until a moment, and then goes on with its input. It costs nothing meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, compile_template
from meshhook.model import DEFAULT_PORT, Context, Sleep, Work

_SECONDS_MAX: Final = 366 * 24 * 3600

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "seconds": {
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": _SECONDS_MAX,
            "description": "How long to wait; a number, or a template that gives one.",
        },
        "until": {
            "type": "string",
            "minLength": 1,
            "description": "A template that gives a moment (RFC 3339 with an offset, or Unix seconds). If past: no wait.",
        },
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    if "seconds" in config:
        seconds = compile_template(config["seconds"], ".seconds", faults)
        return lambda context: Sleep(_seconds(seconds(context)))
    until = compile_template(config["until"], ".until", faults)

    def sleep_until(context: Context) -> Sleep:
        return Sleep(0, _moment(until(context)))

    return sleep_until


def _seconds(value: Any) -> float:
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _SECONDS_MAX:
        raise ExpressionError("seconds", f"must be a number from 0 to {_SECONDS_MAX}, not {str(value)[:60]!r}")
    return float(value)


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment
    except (TypeError, ValueError, OverflowError, OSError):
        raise ExpressionError(
            "until", f"must be a moment such as 2027-01-31T08:00:00Z, not {str(value)[:60]!r}"
        ) from None
