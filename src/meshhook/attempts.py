"""Whether a call is tried again, and when. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

from meshhook.model import CallError, Response, Retry, Start

RETRIED_ERRORS: Final = frozenset({"connect", "timeout", "broken", "unknown", "vault"})
"""Kinds of ``CallError`` another attempt may mend; a refused address or an overlong answer stays what it is."""


def failed(start: Start, error: CallError, response: Response | None, run_id: str, now: datetime) -> dict[str, Any]:
    """The event ``call.failed``: with ``retry_at`` when the policy allows another attempt, without when this was the last."""
    retry = start.call.retry
    told: dict[str, Any] = {"type": error.type, "reason": error.reason, "node": start.node}
    if response is not None:
        told["status"] = response.status
    body = {"type": "call.failed", "node": start.node, "attempt": start.attempt, "sent": error.sent, "error": told}
    if start.attempt < retry.attempts and _may_mend(retry, error, response):
        pause_s = backoff_s(retry, start.attempt, f"{run_id}/{start.node}", response)
        body["retry_at"] = (now + timedelta(seconds=pause_s)).isoformat()
    return body


def _may_mend(retry: Retry, error: CallError, response: Response | None) -> bool:
    if response is not None:
        return response.status in retry.statuses
    return error.type in RETRIED_ERRORS and (error.sent != "unknown" or retry.on_unknown == "retry")


def backoff_s(retry: Retry, attempt: int, salt: str, response: Response | None) -> float:
    """Seconds until the next attempt: full jitter over an exponential bound, at least what ``Retry-After`` asks for.

    The jitter is drawn from ``salt`` and the attempt, so that the machine stays a pure function.

    Source: Brooker, "Exponential Backoff and Jitter" (2015); RFC 9110, section 10.2.3.
    """
    bound = min(retry.backoff_max_s, retry.backoff_s * 2.0 ** min(attempt - 1, 30))
    share = int.from_bytes(hashlib.sha256(f"{salt}/{attempt}".encode()).digest()[:8]) / 2**64
    asked = response.headers.get("retry-after", "") if response is not None else ""
    least = min(float(asked), retry.backoff_max_s) if asked.isdecimal() else 0.0
    return max(least, bound * share)
