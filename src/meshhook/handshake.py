"""The handshake before webhooks: a sender asks with OPTIONS whether, and how fast, it may send. Pure.

Source: CloudEvents, HTTP 1.1 Web Hooks for Event Delivery 1.0, section 4 (abuse protection).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from meshhook.endpoint_parts import Handshake, RateLimit
from meshhook.errors import Refusal

_ORIGIN: Final = re.compile(r"[\x21-\x7e]{1,253}")
_RATE: Final = re.compile(r"\*|[1-9][0-9]{0,17}")


def agreement(
    origin: str | None, rate: str | None, agreed: Handshake, limit: RateLimit | None, methods: Iterable[str]
) -> list[tuple[str, str]]:
    """The header fields that say yes.

    Args:
        origin: ``WebHook-Request-Origin``. rate: ``WebHook-Request-Rate``, requests a minute.
        limit: the rate limit of the endpoint; without one, any rate is allowed.

    Raises:
        Refusal: 400 ``invalid-handshake``, 403 ``origin-refused``.
    """
    if origin is None or _ORIGIN.fullmatch(origin) is None:
        raise _invalid("The header WebHook-Request-Origin must say who wants to send, as a host name.")
    if rate is not None and _RATE.fullmatch(rate) is None:
        raise _invalid("The header WebHook-Request-Rate must be a whole number of requests a minute, or *.")
    if not agreed.agrees_to(origin):
        raise Refusal(
            403,
            "origin-refused",
            "This origin is not agreed to",
            f"This endpoint does not agree to deliveries from {origin[:100]}.",
        )
    allowed = "*" if limit is None else str(max(1, int(limit.as_quota.per_s * 60)))
    return [
        ("webhook-allowed-origin", origin),
        ("webhook-allowed-rate", allowed),
        ("allow", ", ".join([*methods, "OPTIONS"])),
    ]


def _invalid(detail: str) -> Refusal:
    return Refusal(400, "invalid-handshake", "This is no handshake", detail)
