"""``github``: ``X-Hub-Signature-256``, the hexadecimal HMAC-SHA256 of the raw body. No time is signed, so a delivery is known by
its ``X-GitHub-Delivery`` alone.

Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from meshhook.errors import Fault
from meshhook.signatures.scheme import Mac, Scheme, SecretNames, Verify, body_verifier, hmac_sha256

_SIGNATURE: Final = "x-hub-signature-256"
_ID: Final = "x-github-delivery"


class GitHub(Scheme, frozen=True, kw_only=True, tag="github"):
    """Webhooks of GitHub."""

    secrets: SecretNames


Settings = GitHub


def faults(settings: GitHub) -> Iterator[Fault]:
    yield from ()


def verifier(settings: GitHub, secrets: Sequence[bytes], window_s: float) -> Verify:
    return body_verifier(_SIGNATURE, _ID, _signature, secrets)


def sign(settings: GitHub, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_SIGNATURE: _signature(hmac_sha256(secret), body).decode(), _ID: id, "x-github-event": "ping"}


def _signature(mac: Mac, body: bytes) -> bytes:
    return b"sha256=" + mac(body).hex().encode()
