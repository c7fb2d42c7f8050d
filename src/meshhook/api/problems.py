"""Problem documents (RFC 9457): how every refusal and every failure is told."""

from __future__ import annotations

from typing import Final

import msgspec

from meshhook.batch import Closed
from meshhook.errors import NoPartition, OutcomeUnknown, Refusal, Unavailable

CONTENT_TYPE: Final = "application/problem+json"


def document(refusal: Refusal, instance: str) -> bytes:
    """The problem document of ``refusal``, for the path ``instance``."""
    return msgspec.json.encode(
        {
            "type": f"/problems/{refusal.problem}",
            "title": refusal.title,
            "status": refusal.status,
            "detail": refusal.detail,
            "instance": instance,
            **refusal.extra,
        }
    )


def as_refusal(error: Exception) -> Refusal:
    """What to tell the sender when ``error`` ends a request. Only 4xx and 503 promise that nothing was stored."""
    match error:
        case Refusal():
            return error
        case Closed():
            return shutting_down()
        case NoPartition():
            return Refusal(
                503,
                "no-partition",
                "There is no place for a run of today",
                "The clock of this server is days off, or no worker runs that prepares the days to come. Nothing was stored.",
                headers={"retry-after": "30"},
            )
        case Unavailable():
            return Refusal(
                503,
                "database-unavailable",
                "The database can't be reached",
                "Nothing was stored; send again later.",
                headers={"retry-after": "2"},
            )
        case OutcomeUnknown():
            return Refusal(
                504,
                "outcome-unknown",
                "The outcome is unknown",
                "The connection to the database broke while the delivery was being stored, so it may or may not have been. "
                "Send it again with the same Idempotency-Key: it can't run twice.",
            )
        case _:
            return Refusal(500, "internal", "Something broke in MeshHook", "The log of the server says more.")


def shutting_down() -> Refusal:
    """This process is about to stop."""
    return Refusal(
        503,
        "shutting-down",
        "This server is shutting down",
        "Nothing was stored; send again.",
        headers={"retry-after": "1", "connection": "close"},
    )
