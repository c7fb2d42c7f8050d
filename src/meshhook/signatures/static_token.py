"""``token``: a secret in a header, as it is. It proves who sends, not what: use it over TLS alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from meshhook.errors import Fault
from meshhook.signatures.scheme import (
    CannotSign,
    HeaderName,
    Headers,
    Scheme,
    SecretNames,
    Verified,
    Verify,
    any_equal,
    raw,
    required,
    wrong,
)


class Token(Scheme, frozen=True, kw_only=True, tag="token"):
    """A static token, such as GitLab's ``X-Gitlab-Token`` or ``Authorization: Bearer``."""

    secrets: SecretNames
    header: HeaderName
    prefix: Annotated[str, msgspec.Meta(max_length=100, description='What stands before it, such as "Bearer ".')] = ""


Settings = Token


def faults(settings: Token) -> Iterator[Fault]:
    yield from ()


def verifier(settings: Token, secrets: Sequence[bytes], window_s: float) -> Verify:
    header = settings.header.lower()
    expected = [settings.prefix.encode() + secret for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        if not any_equal([raw(required(headers, header))], expected):
            raise wrong("The token is not the one of this endpoint.")
        return Verified()

    return verify


def sign(settings: Token, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    try:
        return {settings.header.lower(): settings.prefix + secret.decode("ascii")}
    except UnicodeDecodeError:
        raise CannotSign("the token is no ASCII, and no header can hold it") from None
