"""``stripe``: ``Stripe-Signature: t=<unix>,v1=<hex>``. Signed is ``{t}.{raw body}``; the key is the whole ``whsec_…`` text, not
what it may encode. A delivery is known by the ``id`` in its body.

Source: https://docs.stripe.com/webhooks#verify-manually
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
    check_time,
    hmac_sha256,
    malformed,
    member_of,
    raw,
    required,
    wrong,
)

_SIGNATURE: Final = "stripe-signature"
_PARTS_MAX: Final = 20


class Stripe(Scheme, frozen=True, kw_only=True, tag="stripe"):
    """Webhooks of Stripe."""

    secrets: SecretNames


Settings = Stripe


def faults(settings: Stripe) -> Iterator[Fault]:
    yield from ()


def verifier(settings: Stripe, secrets: Sequence[bytes], window_s: float) -> Verify:
    macs = [hmac_sha256(secret) for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        time, given = _parts(required(headers, _SIGNATURE))
        check_time(time, _SIGNATURE, now_s, window_s)
        if not any_equal(given, [_signature(mac, time, body) for mac in macs]):
            raise wrong()
        return Verified(member_of(body, "id"))

    return verify


def sign(settings: Stripe, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_SIGNATURE: f"t={now_s},v1={_signature(hmac_sha256(secret), str(now_s), body).decode()}"}


def _parts(text: str) -> tuple[str, list[bytes]]:
    """The time and the signatures of a header. Schemes other than ``v1`` are passed over."""
    pairs = [part.partition("=") for part in text.split(",", _PARTS_MAX)[:_PARTS_MAX]]
    times = [value for name, _, value in pairs if name.strip() == "t"]
    given = [raw(value) for name, _, value in pairs if name.strip() == "v1"]
    if len(times) != 1 or not given:
        raise malformed(_SIGNATURE, "t=<unix>,v1=<hex>")
    return times[0], given


def _signature(mac: Mac, time: str, body: bytes) -> bytes:
    return mac(time.encode(), b".", body).hex().encode()
