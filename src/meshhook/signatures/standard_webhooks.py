"""``standard_webhooks``: Standard Webhooks 1.0.0, symmetric (HMAC-SHA256) and asymmetric (ed25519); also under ``svix-*`` headers.

Signed is ``{id}.{timestamp}.{raw body}``. A secret is ``whsec_`` (shared), ``whpk_`` (public key) or ``whsk_`` (private key).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from meshhook.errors import Fault
from meshhook.signatures.scheme import (
    BadSecret,
    CannotSign,
    Headers,
    Mac,
    Scheme,
    SecretName,
    Verified,
    Verify,
    any_equal,
    check_time,
    decoded_base64,
    hmac_sha256,
    malformed,
    missing,
    raw,
    required,
    wrong,
)

_SHARED, _PUBLIC, _PRIVATE = "whsec_", "whpk_", "whsk_"
_SHARED_BYTES: Final = range(24, 65)
_SIGNATURES_MAX: Final = 20
_SIGNATURE_BYTES: Final = 64

PublicKey = Annotated[str, msgspec.Meta(pattern="^whpk_[A-Za-z0-9+/]{43}=$")]
_Check = Callable[[bytes, bytes, list[str], list[str]], bool]
"""Whether one of the given signatures, symmetric or asymmetric, signs a head and a body."""

_WEBHOOK, _SVIX = ((f"{family}-id", f"{family}-timestamp", f"{family}-signature") for family in ("webhook", "svix"))


class StandardWebhooks(Scheme, frozen=True, kw_only=True, tag="standard_webhooks"):
    """Standard Webhooks, as Svix and many others send them."""

    secrets: Annotated[tuple[SecretName, ...], msgspec.Meta(max_length=10)] = ()
    public_keys: Annotated[
        tuple[PublicKey, ...],
        msgspec.Meta(max_length=10, description="Public keys are no secrets, and may stand here."),
    ] = ()


Settings = StandardWebhooks


def faults(settings: StandardWebhooks) -> Iterator[Fault]:
    if not settings.secrets and not settings.public_keys:
        yield Fault("", "missing", "`secrets` or `public_keys` must name at least one")


def verifier(settings: StandardWebhooks, secrets: Sequence[bytes], window_s: float) -> Verify:
    checks = [_check_of(_text(secret)) for secret in secrets] + [_check_of(key) for key in settings.public_keys]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        names, id = _WEBHOOK, headers("webhook-id")
        if id is None and (svix_id := headers("svix-id")) is not None:
            names, id = _SVIX, svix_id
        if not id:
            raise missing(names[0])
        time = required(headers, names[1])
        symmetric, asymmetric = _given(required(headers, names[2]), names[2])
        if "." in id:  # then nobody knows where the id ends and the time begins in what is signed
            raise malformed(names[0], "of a name without a full stop")
        check_time(time, names[1], now_s, window_s)
        head = _head(id, time)
        fits = [check(head, body, symmetric, asymmetric) for check in checks]
        if not any(fits):
            raise wrong()
        return Verified(id)

    return verify


def sign(settings: StandardWebhooks, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    text, head = _text(secret), _head(id, str(now_s))
    if text.startswith(_PUBLIC):
        raise CannotSign("a public key (whpk_) can verify but not sign")
    if text.startswith(_PRIVATE):
        signature = "v1a," + binascii.b2a_base64(_private_key(text).sign(head + body), newline=False).decode()
    else:
        signature = "v1," + _symmetric(hmac_sha256(_shared_key(text)), head, body).decode()
    return {"webhook-id": id, "webhook-timestamp": str(now_s), "webhook-signature": signature}


def _given(text: str, header: str) -> tuple[list[str], list[str]]:
    """The signatures of a header, symmetric and asymmetric; those of versions to come are passed over."""
    if text.startswith("v1,") and " " not in text:
        return [text[3:]], []
    parts = [part.partition(",") for part in text.split(" ", _SIGNATURES_MAX)[:_SIGNATURES_MAX]]
    symmetric = [value for version, _, value in parts if version == "v1"]
    asymmetric = [value for version, _, value in parts if version == "v1a"]
    if not symmetric and not asymmetric:
        raise malformed(header, "v1,<base64> or v1a,<base64>")
    return symmetric, asymmetric


def _check_of(text: str) -> _Check:
    if text.startswith((_PUBLIC, _PRIVATE)):
        key = _private_key(text).public_key() if text.startswith(_PRIVATE) else _public_key(text)
        return lambda head, body, _, given: any(_is_signed_by(key, signature, head + body) for signature in given)
    mac = hmac_sha256(_shared_key(text))
    return lambda head, body, given, _: any_equal(map(raw, given), [_symmetric(mac, head, body)])


def _is_signed_by(key: Ed25519PublicKey, signature: str, signed: bytes) -> bool:
    data = decoded_base64(signature)
    if data is None or len(data) != _SIGNATURE_BYTES:
        return False
    try:
        key.verify(data, signed)
    except InvalidSignature:
        return False
    return True


def _head(id: str, time: str) -> bytes:
    """What is signed before the body."""
    return b"%b.%b." % (raw(id), time.encode())


def _symmetric(mac: Mac, head: bytes, body: bytes) -> bytes:
    return binascii.b2a_base64(mac(head, body), newline=False)


def _text(secret: bytes) -> str:
    try:
        return secret.decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadSecret("it must be whsec_, whpk_ or whsk_ and base64") from None


def _shared_key(text: str) -> bytes:
    key = decoded_base64(text.removeprefix(_SHARED))
    if key is None or len(key) not in _SHARED_BYTES:
        raise BadSecret("it must be whsec_ and the base64 of 24 to 64 bytes")
    return key


def _public_key(text: str) -> Ed25519PublicKey:
    data = decoded_base64(text.removeprefix(_PUBLIC))
    if data is None or len(data) != 32:
        raise BadSecret("it must be whpk_ and the base64 of 32 bytes")
    return Ed25519PublicKey.from_public_bytes(data)


def _private_key(text: str) -> Ed25519PrivateKey:
    data = decoded_base64(text.removeprefix(_PRIVATE))
    if data is None or len(data) not in (32, 64):  # the seed, or the seed and the public key
        raise BadSecret("it must be whsk_ and the base64 of 32 or 64 bytes")
    return Ed25519PrivateKey.from_private_bytes(data[:32])
