"""``shopify``: ``X-Shopify-Hmac-SHA256``, the base64 HMAC-SHA256 of the raw body. A delivery is known by ``X-Shopify-Webhook-Id``.

Source: https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook-to-ensure-its-coming-from-shopify
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from typing import Final

from meshhook.errors import Fault
from meshhook.signatures.scheme import Mac, Scheme, SecretNames, Verify, body_verifier, hmac_sha256

_SIGNATURE: Final = "x-shopify-hmac-sha256"
_ID: Final = "x-shopify-webhook-id"


class Shopify(Scheme, frozen=True, kw_only=True, tag="shopify"):
    """Webhooks of Shopify."""

    secrets: SecretNames


Settings = Shopify


def faults(settings: Shopify) -> Iterator[Fault]:
    yield from ()


def verifier(settings: Shopify, secrets: Sequence[bytes], window_s: float) -> Verify:
    return body_verifier(_SIGNATURE, _ID, _signature, secrets)


def sign(settings: Shopify, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_SIGNATURE: _signature(hmac_sha256(secret), body).decode(), _ID: id}


def _signature(mac: Mac, body: bytes) -> bytes:
    return binascii.b2a_base64(mac(body), newline=False)
