"""``hmac``: any HMAC over the raw body. Which header, algorithm, encoding and prefix, and what exactly is signed, are settings."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec

from meshhook.errors import Fault
from meshhook.signatures.scheme import (
    BadSecret,
    HeaderName,
    Headers,
    Scheme,
    SecretNames,
    Verified,
    Verify,
    any_equal,
    check_time,
    decoded_base64,
    raw,
    required,
    wrong,
)

_PLACE: Final = re.compile(r"\{(\w*)\}")
_PLACES: Final = ("body", "timestamp", "id")
_ENCODED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "hex": lambda data: data.hex().encode(),
    "base64": base64.b64encode,
    "base64url": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
}


class GenericHmac(Scheme, frozen=True, kw_only=True, tag="hmac"):
    """An HMAC in a header."""

    secrets: SecretNames
    header: HeaderName
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    prefix: Annotated[str, msgspec.Meta(max_length=100, description="What stands before the signature.")] = ""
    template: Annotated[
        str,
        msgspec.Meta(
            max_length=1_000, description="What is signed: {body}, {timestamp} and {id} stand for themselves."
        ),
    ] = "{body}"
    timestamp_header: HeaderName | None = None
    timestamp_unit: Literal["s", "ms"] = "s"
    id_header: HeaderName | None = None
    key_encoding: Literal["text", "hex", "base64"] = "text"


Settings = GenericHmac


def faults(settings: GenericHmac) -> Iterator[Fault]:
    places = _PLACE.findall(settings.template)
    if places.count("body") != 1:
        yield Fault(".template", "unsigned-body", "it must hold {body} once, or the body is not signed")
    if unknown := sorted(set(places) - set(_PLACES)):
        yield Fault(
            ".template", "unknown-place", f"{{{unknown[0]}}} stands for nothing; there are {', '.join(_PLACES)}"
        )
    if ("timestamp" in places) != (settings.timestamp_header is not None):
        yield Fault(
            ".timestamp_header", "unsigned-time", "a time must be in a header and, as {timestamp}, in the template"
        )
    if "id" in places and settings.id_header is None:
        yield Fault(".id_header", "missing", "the template holds {id}: name the header it comes in")


def verifier(settings: GenericHmac, secrets: Sequence[bytes], window_s: float) -> Verify:
    keys = [_key(settings, secret) for secret in secrets]
    header = settings.header.lower()
    time_header = settings.timestamp_header.lower() if settings.timestamp_header else None
    id_header = settings.id_header.lower() if settings.id_header else None
    signs_id = "{id}" in settings.template

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        given = raw(required(headers, header))
        time = id = None
        if time_header is not None:
            time = required(headers, time_header)
            scale = 1_000 if settings.timestamp_unit == "ms" else 1
            check_time(time, time_header, now_s * scale, window_s * scale)
        if id_header is not None:
            id = required(headers, id_header) if signs_id else headers(id_header)
        signed = _signed(settings.template, body, time, id)
        if not any_equal([given], [_signature(settings, key, signed) for key in keys]):
            raise wrong()
        return Verified(id or None)

    return verify


def sign(settings: GenericHmac, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    headers, time = {}, str(now_s * 1_000 if settings.timestamp_unit == "ms" else now_s)
    if settings.timestamp_header is not None:
        headers[settings.timestamp_header.lower()] = time
    if settings.id_header is not None:
        headers[settings.id_header.lower()] = id
    signed = _signed(settings.template, body, time, id)
    return headers | {settings.header.lower(): _signature(settings, _key(settings, secret), signed).decode()}


def _signed(template: str, body: bytes, time: str | None, id: str | None) -> bytes:
    values = {"{body}": body, "{timestamp}": raw(time or ""), "{id}": raw(id or "")}
    if template == "{body}":
        return body
    parts = re.split(r"(\{(?:body|timestamp|id)\})", template)
    return b"".join(values[part] if part in values else part.encode() for part in parts)


def _signature(settings: GenericHmac, key: bytes, signed: bytes) -> bytes:
    return settings.prefix.encode() + _ENCODED[settings.encoding](hmac.digest(key, signed, settings.algorithm))


def _key(settings: GenericHmac, secret: bytes) -> bytes:
    if settings.key_encoding == "text":
        return secret
    try:
        text = secret.decode("ascii").strip()
        key = bytes.fromhex(text) if settings.key_encoding == "hex" else decoded_base64(text)
    except ValueError:
        key = None
    if not key:
        raise BadSecret(f"it must be written in {settings.key_encoding}, as key_encoding says")
    return key
