"""Receipts: what a sender holds in his hand when his delivery was accepted, and can show later. Pure.

A receipt is a compact JWS (three parts with dots between them), signed with ed25519, so that any JOSE library can check it too. It
says which run the delivery became, where it came in, when, and the SHA-256 of its body.

Source: RFC 7515, RFC 8037, RFC 9864; the form of keys is that of Standard Webhooks (``whsk_``, ``whpk_``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TYPE: Final = "meshhook-receipt+jws"
_ALGORITHM: Final = "Ed25519"
LENGTH_MAX: Final = 4_096
_PRIVATE, _PUBLIC = "whsk_", "whpk_"
_SEED_BYTES: Final = 32
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")


class BadKey(Exception):
    """A key is none; the message says what it should be, and never what it is."""


class BadReceipt(Exception):
    """A text is no receipt, or not one that its key signed; the message says which."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt says. ``iat`` is Unix seconds, ``body_sha256`` hexadecimal.

    ``event`` is there when the body held several events: the ``source`` and ``id`` of the one that became this run.
    """

    run_id: str
    endpoint: str
    body_sha256: str
    iat: int
    duplicate: bool = False
    event: str | None = None


class _Head(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What checks receipts. ``id`` tells it apart from other keys."""

    raw: bytes

    @property
    def id(self) -> str:
        return _encoded(hashlib.sha256(self.raw).digest()[:12])

    @property
    def text(self) -> str:
        return _PUBLIC + base64.b64encode(self.raw).decode()

    @property
    def jwk(self) -> dict[str, str]:
        """As a JSON Web Key."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "alg": _ALGORITHM,
            "use": "sig",
            "kid": self.id,
            "x": _encoded(self.raw),
        }


class SigningKey:
    """What signs receipts.

    Args:
        secret: ``whsk_`` and base64 of the 32 bytes of an ed25519 seed, or of seed and public key.

    Raises:
        BadKey: it is none.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(
            _raw(secret, _PRIVATE, (_SEED_BYTES, 2 * _SEED_BYTES))[:_SEED_BYTES]
        )
        self.public = PublicKey(self._key.public_key().public_bytes_raw())
        self._head = _encoded(msgspec.json.encode(_Head(_ALGORITHM, self.public.id, TYPE)))

    def sign(self, receipt: Receipt) -> str:
        """The receipt as text."""
        said = {name: value for name, value in msgspec.structs.asdict(receipt).items() if value not in (None, False)}
        signed = f"{self._head}.{_encoded(msgspec.json.encode(said))}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"


def new_key() -> str:
    """A new private key, in the form of a secret."""
    return _PRIVATE + base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def key_id(text: str) -> str:
    """Which key is said to have signed a receipt.

    Raises:
        BadReceipt: it is none.
    """
    return _parts(text)[0].kid


def verify(text: str, keys: Mapping[str, PublicKey]) -> Receipt:
    """What a receipt says, when one of ``keys`` (by id) signed it.

    Raises:
        BadReceipt: it is none, or none of these signed it.
    """
    head, said, signed, signature = _parts(text)
    key = keys.get(head.kid)
    if key is None:
        raise BadReceipt("it was signed with a key that is not known here")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, signed)
    except InvalidSignature:
        raise BadReceipt("its signature is wrong: it was changed, or never given out") from None
    try:
        return msgspec.json.decode(said, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadReceipt(f"it does not say what receipts say: {error}") from None


def public_keys(text: str) -> dict[str, PublicKey]:
    """Public keys by id, out of ``whpk_…``, a JSON Web Key, or a set of them.

    Raises:
        BadKey: there is none in it.
    """
    text = text.strip()
    if text.startswith("{"):
        try:
            document: Any = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            raise BadKey("the JSON of the public key can't be read") from None
        found = document.get("keys", [document])
        keys = [_from_jwk(item) for item in found] if isinstance(found, list) else []
    else:
        keys = [PublicKey(_raw(text.encode(), _PUBLIC, (_SEED_BYTES,)))]
    if not keys:
        raise BadKey("there is no public key in it")
    return {key.id: key for key in keys}


def _from_jwk(jwk: Any) -> PublicKey:
    if isinstance(jwk, dict) and jwk.get("crv") == "Ed25519" and isinstance(jwk.get("x"), str):
        try:
            raw = _decoded(jwk["x"])
        except ValueError:
            raw = b""
        if len(raw) == _SEED_BYTES:
            return PublicKey(raw)
    raise BadKey('a JSON Web Key here has "crv": "Ed25519", and 32 bytes in "x"')


def _parts(text: str) -> tuple[_Head, bytes, bytes, bytes]:
    match = _COMPACT.fullmatch(text) if len(text) <= LENGTH_MAX else None
    if match is None:
        raise BadReceipt("it is no receipt: three parts of letters, digits, - and _ with dots between them")
    try:
        head = msgspec.json.decode(_decoded(match[1]), type=_Head)
        said, signature = _decoded(match[2]), _decoded(match[3])
    except (ValueError, msgspec.MsgspecError):  # no base64, no UTF-8, no JSON, or other members
        raise BadReceipt("it is no receipt: its first part does not say how it is signed") from None
    if head.alg != _ALGORITHM or head.typ != TYPE:
        raise BadReceipt("it is signed in another way than receipts are, or is no receipt")
    return head, said, f"{match[1]}.{match[2]}".encode(), signature


def _raw(secret: bytes, prefix: str, lengths: tuple[int, ...]) -> bytes:
    try:
        text = secret.decode("ascii").strip()
        if text.startswith(prefix):
            raw = base64.b64decode(text.removeprefix(prefix), validate=True)
            if len(raw) in lengths:
                return raw
    except (UnicodeDecodeError, binascii.Error):
        pass
    raise BadKey(f"the key must be {prefix} and base64 of {' or '.join(map(str, lengths))} bytes")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
