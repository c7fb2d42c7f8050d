"""``github``: ``X-Hub-Signature-256``, the hexadecimal HMAC-SHA256 of the raw body. No time is signed, so a delivery is known by
its ``X-GitHub-Delivery`` alone.

Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from meshhook.errors import Fault
from meshhook.signatures.scheme import (
    Headers,
    Mac,
    Scheme,
    SecretNames,
    Verified,
    Verify,
    any_equal,
    hmac_sha256,
    raw,
    required,
    wrong,
)

_SIGNATURE: Final = "x-hub-signature-256"
_ID: Final = "x-github-delivery"


class GitHub(Scheme, frozen=True, kw_only=True, tag="github"):
    """Webhooks of GitHub."""

    secrets: SecretNames


Settings = GitHub


def faults(settings: GitHub) -> Iterator[Fault]:
    yield from ()


def verifier(settings: GitHub, secrets: Sequence[bytes], window_s: float) -> Verify:
    macs = [hmac_sha256(secret) for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        given = raw(required(headers, _SIGNATURE))
        if not any_equal([given], [_signature(mac, body) for mac in macs]):
            raise wrong()
        return Verified(headers(_ID) or None)

    return verify


def sign(settings: GitHub, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_SIGNATURE: _signature(hmac_sha256(secret), body).decode(), _ID: id, "x-github-event": "ping"}


def _signature(mac: Mac, body: bytes) -> bytes:
    return b"sha256=" + mac(body).hex().encode()
