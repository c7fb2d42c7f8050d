"""What the schemes share: their settings, what a verifier is, and how a delivery is refused. Pure."""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Annotated, Final, NamedTuple

import msgspec

from meshhook.errors import Refusal

REPLAY_WINDOW_S: Final = 300
_DIGITS_MAX: Final = 15
_BLOCK_BYTES: Final = 64

SecretName = Annotated[
    str,
    msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="The name of a secret, never its value."),
]
SecretNames = Annotated[
    tuple[SecretName, ...],
    msgspec.Meta(min_length=1, max_length=10, description="Any one of them fits: two while a secret is being rotated."),
]
HeaderName = Annotated[str, msgspec.Meta(pattern="^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]


class Scheme(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="scheme"
):
    """Settings of one way to prove where a delivery comes from."""


class Verified(NamedTuple):
    """What a proven delivery says about itself: the provider's name for it, if it has one, and a challenge to be answered."""

    key: str | None = None
    challenge: str | None = None


Headers = Callable[[str], str | None]
"""The value of a header by its name in lower case."""

Verify = Callable[[Headers, bytes, float], Verified]
"""Checks headers and raw body at a time in Unix seconds. Raises ``Refusal`` (401) when they don't prove the delivery."""


Mac = Callable[..., bytes]
"""The authentication code of a text, given in any number of pieces."""


class BadSecret(ValueError):
    """A secret is there, and is none that this scheme can use. The message never holds the secret."""


class CannotSign(ValueError):
    """Nothing here can sign as the provider would; the message says why."""


def missing(header: str) -> Refusal:
    """The proof is not there at all."""
    return Refusal(
        401, "signature-missing", "The signature is missing", f"The header {header} is missing. Nothing was stored."
    )


def wrong(detail: str = "It fits none of the secrets of this endpoint and the body as it arrived.") -> Refusal:
    """The proof is there, and proves nothing."""
    return Refusal(401, "signature-wrong", "The signature is wrong", f"{detail} Nothing was stored.")


def malformed(header: str, form: str) -> Refusal:
    """The proof can't be read."""
    return Refusal(
        401,
        "signature-malformed",
        "The signature can't be read",
        f"{header} must have the form {form}. Nothing was stored.",
    )


def stale(age_s: float, window_s: float) -> Refusal:
    """The proof is too old, or from the future."""
    when = "old" if age_s > 0 else "in the future"
    return Refusal(
        401,
        "signature-stale",
        "The signature is outside the replay window",
        f"It is {abs(age_s):.0f} s {when}; {window_s:g} s are allowed. Check the clocks on both sides. Nothing was stored.",
    )


@contextmanager
def asking(challenge: str) -> Iterator[None]:
    """Refusals within say how to prove oneself (``WWW-Authenticate``; RFC 9110, section 11.6.1)."""
    try:
        yield
    except Refusal as refusal:
        refusal.headers["www-authenticate"] = challenge
        raise


def required(headers: Headers, name: str) -> str:
    """A header that must be there.

    Raises:
        Refusal: it is not.
    """
    value = headers(name)
    if not value:
        raise missing(name)
    return value


def check_time(text: str, header: str, now_s: float, window_s: float) -> None:
    """Check a time in Unix seconds against the replay window.

    Raises:
        Refusal: it is no time, or outside of the window.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        raise malformed(header, "of a Unix time")
    age_s = now_s - int(text)
    if abs(age_s) > window_s:
        raise stale(age_s, window_s)


def hmac_sha256(key: bytes) -> Mac:
    """HMAC-SHA-256 under one key, made ready: ``hmac.digest`` takes three times as long, most of it to look up the algorithm.

    Source: RFC 2104, section 4.
    """
    short = sha256(key).digest() if len(key) > _BLOCK_BYTES else key
    inner, outer = (sha256(bytes(byte ^ pad for byte in short.ljust(_BLOCK_BYTES, b"\0"))) for pad in (0x36, 0x5C))

    def mac(*pieces: bytes) -> bytes:
        within, whole = inner.copy(), outer.copy()
        for piece in pieces:
            within.update(piece)
        whole.update(within.digest())
        return whole.digest()

    return mac


def raw(text: str) -> bytes:
    """A header as bytes: strings that are no ASCII can't be compared in constant time."""
    return text.encode("utf-8", "backslashreplace")


def decoded_base64(text: str) -> bytes | None:
    """Bytes written in base64 in the one way there is to write them; else every flipped padding bit would be another proof."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return data if binascii.b2a_base64(data, newline=False).decode() == text else None


def member_of(body: bytes, name: str) -> str | None:
    """A text in the JSON object of a body that was verified; ``None`` when there is none."""
    try:
        document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(document[name], type=str) or None
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def any_equal(given: Iterable[bytes], expected: Sequence[bytes]) -> bool:
    """Whether one of the given proofs is one of the expected, in a time that does not tell how much of which fits."""
    found = False
    for one in given:
        for other in expected:
            found |= hmac.compare_digest(one, other)
    return found


def body_verifier(header: str, id_header: str, sign: Callable[[Mac, bytes], bytes], secrets: Sequence[bytes]) -> Verify:
    """The verifier of senders that sign the body and nothing else.

    ``sign`` is what ``header`` then holds; the delivery is known by ``id_header``, which nobody has signed.
    """
    macs = [hmac_sha256(secret) for secret in secrets]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        given = raw(required(headers, header))
        if not any_equal([given], [sign(mac, body) for mac in macs]):
            raise wrong()
        return Verified(headers(id_header) or None)

    return verify
