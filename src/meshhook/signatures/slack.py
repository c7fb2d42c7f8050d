"""``slack``: ``X-Slack-Signature: v0=<hex>`` over ``v0:{timestamp}:{raw body}``. An event is known by its ``event_id``;
the challenge by which Slack checks an address is answered once it is proven to come from Slack.

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
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
    member_of,
    raw,
    required,
    wrong,
)

_SIGNATURE: Final = "x-slack-signature"
_TIME: Final = "x-slack-request-timestamp"


class Slack(Scheme, frozen=True, kw_only=True, tag="slack"):
    """Events, commands and interactions of Slack."""

    secrets: SecretNames


Settings = Slack


def faults(settings: Slack) -> Iterator[Fault]:
    yield from ()


def verifier(settings: Slack, secrets: Sequence[bytes], window_s: float) -> Verify:
    macs = [hmac_sha256(secret) for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        given, time = raw(required(headers, _SIGNATURE)), required(headers, _TIME)
        check_time(time, _TIME, now_s, window_s)
        if not any_equal([given], [_signature(mac, time, body) for mac in macs]):
            raise wrong()
        if b'"url_verification"' in body and member_of(body, "type") == "url_verification":
            return Verified(challenge=member_of(body, "challenge"))
        return Verified(member_of(body, "event_id"))

    return verify


def sign(settings: Slack, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_TIME: str(now_s), _SIGNATURE: _signature(hmac_sha256(secret), str(now_s), body).decode()}


def _signature(mac: Mac, time: str, body: bytes) -> bytes:
    return b"v0=" + mac(b"v0:%b:" % time.encode(), body).hex().encode()
