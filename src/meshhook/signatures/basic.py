"""``basic``: HTTP Basic authentication. It proves who sends, not what: use it over TLS alone.

Source: RFC 7617.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec

from meshhook.errors import Fault
from meshhook.signatures.scheme import (
    Headers,
    Scheme,
    SecretNames,
    Verified,
    Verify,
    any_equal,
    asking,
    raw,
    required,
    wrong,
)

_HEADER: Final = "authorization"


class Basic(Scheme, frozen=True, kw_only=True, tag="basic"):
    """A name and a password. The secret is the password."""

    secrets: SecretNames
    username: Annotated[str, msgspec.Meta(pattern="^[^:\x00-\x1f\x7f]{1,200}$", description="Without a colon.")]


Settings = Basic


def faults(settings: Basic) -> Iterator[Fault]:
    yield from ()


def verifier(settings: Basic, secrets: Sequence[bytes], window_s: float) -> Verify:
    expected = [_credentials(settings, secret) for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        with asking('Basic realm="meshhook", charset="UTF-8"'):
            scheme, _, given = required(headers, _HEADER).partition(" ")
            if scheme.lower() != "basic" or not any_equal([raw(given)], expected):
                raise wrong("The name or the password is not the one of this endpoint.")
        return Verified()

    return verify


def sign(settings: Basic, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    return {_HEADER: f"Basic {_credentials(settings, secret).decode()}"}


def _credentials(settings: Basic, password: bytes) -> bytes:
    return binascii.b2a_base64(settings.username.encode() + b":" + password, newline=False)
