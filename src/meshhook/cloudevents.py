"""CloudEvents 1.0 over HTTP: which mode a request is in, and what events it holds. Pure.

Three modes, told apart by the content type in any letter case, the batch first since its name begins like the others:

- batch: ``application/cloudevents-batch+json``, an array of events, each judged on its own;
- structured: ``application/cloudevents+json``, one event with its attributes in the body;
- binary: any other content type; the attributes are headers, ``ce-id`` and so on, and the body is the data.

Whatever the mode, the same event becomes the same attributes and the same data.

Source: CloudEvents 1.0.2, core specification, HTTP protocol binding, and JSON event format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from meshhook.delivery import KEY_LENGTH_MAX, body_json, checked_json
from meshhook.errors import Refusal

Mode = Literal["batch", "structured", "binary"]
Attribute = str | int | bool

_FAMILY: Final = "application/cloudevents"
_STRUCTURED: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_HEADER: Final = "ce-"
_ATTRIBUTES_MAX: Final = 100
_INT_MAX: Final = 2**31

_NAME: Final = re.compile(r"[a-z0-9]{1,64}")
_TEXT: Final = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]*")
_REFERENCE: Final = re.compile(r"""[^\s<>"{}|\\^`]+""")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:" + _REFERENCE.pattern)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_REQUIRED: Final = ("specversion", "id", "source", "type")
_STRINGS: Final = (*_REQUIRED, "datacontenttype", "dataschema", "subject", "time")

_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


class CloudEvent(NamedTuple):
    """One event: its attributes, extensions included, and its data as JSON text, as a body of that type becomes data."""

    attributes: Mapping[str, Attribute]
    data: str

    @property
    def content_type(self) -> str:
        """The media type of the data; JSON when the event does not say."""
        return str(self.attributes.get("datacontenttype", "application/json"))

    @property
    def key(self) -> str:
        """What stands for this event: its source and id, or their hash when they are too long for a key or not plain text.

        No source holds a space, so two events share a key only when they share both.
        """
        key = f"{self.attributes['source']} {self.attributes['id']}"
        if len(key) <= KEY_LENGTH_MAX and key.isascii():
            return key
        return "sha256:" + hashlib.sha256(key.encode()).hexdigest()

    @property
    def content(self) -> bytes:
        """The data in one spelling: a redelivery in another mode, or with other spaces, is the same content."""
        return _encode_sorted(msgspec.json.decode(self.data))


class _Faulty(Exception):
    def __init__(self, path: str, code: str, message: str) -> None:
        self.fault = {"path": path, "code": code, "message": message}
        super().__init__(message)


def mode_of(content_type: str) -> Mode:
    """How the events of a request are packed.

    Raises:
        Refusal: 415 ``unsupported-event-format``: an event format that is not JSON.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type.startswith(_FAMILY):
        return "binary"
    if media_type == _BATCH:
        return "batch"
    if media_type == _STRUCTURED:
        return "structured"
    raise Refusal(
        415,
        "unsupported-event-format",
        "This event format is not known",
        f"Events come as {_STRUCTURED}, as {_BATCH}, or with their attributes in ce- headers; not as {media_type[:100]}. "
        "Nothing was stored.",
    )


def from_headers(headers: Iterable[tuple[str, str]], content_type: str, body: bytes) -> CloudEvent | None:
    """The event of a request in binary mode; ``None`` when no header says that it is one.

    Raises:
        Refusal: 400 ``invalid-event``, or ``invalid-json`` for data that says it is JSON.
    """
    found = [(name[len(_HEADER) :], value) for name, value in headers if name.startswith(_HEADER)]
    if not any(name == "specversion" for name, _ in found):
        return None
    try:
        attributes: dict[str, Attribute] = {}
        for name, value in found:
            if name in attributes:
                raise _Faulty(_HEADER + name, "duplicate", "the header is there twice")
            if name != "datacontenttype":  # Content-Type says it, and it alone
                attributes[name] = _header_value(_HEADER + name, value)
        if content_type:
            attributes["datacontenttype"] = content_type
        _check(attributes, _HEADER)
    except _Faulty as fault:
        raise _invalid(fault) from None
    return CloudEvent(attributes, body_json(content_type, body))


def from_body(body: bytes) -> CloudEvent:
    """The event of a request in structured mode.

    Raises:
        Refusal: 400 ``invalid-event`` or ``invalid-json``.
    """
    return _from_json(checked_json(body).encode(), "$")


def from_batch(body: bytes, events_max: int) -> list[CloudEvent | Refusal]:
    """The events of a batch in their order, or why one of them is none; the others do not suffer for it.

    Raises:
        Refusal: 400 ``invalid-event`` or ``invalid-json``: it is no array; 413 ``batch-too-large``.
    """
    try:
        items = _decode_items(checked_json(body or b" ").encode())
    except msgspec.ValidationError:
        raise _invalid(_Faulty("$", "wrong-value", "a batch is an array of events")) from None
    if len(items) > events_max:
        raise Refusal(
            413,
            "batch-too-large",
            "The batch holds too many events",
            f"A batch for this endpoint may hold {events_max} events; this one holds {len(items)}. Nothing was stored.",
        )
    return [_event_or_refusal(bytes(item), f"$[{index}]") for index, item in enumerate(items)]


def _event_or_refusal(text: bytes, path: str) -> CloudEvent | Refusal:
    try:
        return _from_json(text, path)
    except Refusal as refusal:
        return refusal


def _from_json(text: bytes, path: str) -> CloudEvent:
    try:
        try:
            members = _decode_members(text)
        except msgspec.ValidationError:
            raise _Faulty(path, "wrong-value", "an event is a JSON object") from None
        data, in_base64 = members.pop("data", None), members.pop("data_base64", None)
        decoded = {name: msgspec.json.decode(value) for name, value in members.items()}
        attributes = {name: value for name, value in decoded.items() if value is not None}
        _check(attributes, path + ".")
        return CloudEvent(attributes, _data_json(attributes, data, in_base64, path))
    except _Faulty as fault:
        raise _invalid(fault) from None


def _data_json(
    attributes: Mapping[str, Any], data: msgspec.Raw | None, in_base64: msgspec.Raw | None, path: str
) -> str:
    """The data as it would have become from a body in binary mode."""
    content_type = str(attributes.get("datacontenttype", "application/json"))
    if in_base64 is not None and bytes(in_base64) != b"null":
        if data is not None and bytes(data) != b"null":
            raise _Faulty(f"{path}.data_base64", "duplicate", "an event has data or data_base64, not both")
        return body_json(content_type, _from_base64(msgspec.json.decode(in_base64), f"{path}.data_base64"))
    if data is None:
        return "null"
    text = bytes(data).decode()
    is_form = content_type.lower().startswith("application/x-www-form-urlencoded")
    if is_form and isinstance(value := msgspec.json.decode(text), str):
        return body_json(content_type, value.encode())
    return text


def _from_base64(value: Any, path: str) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _Faulty(path, "wrong-value", "it is no base64")


def _header_value(path: str, value: str) -> str:
    """A header as an attribute: unquoted when it is quoted, then percent-decoded exactly once."""
    value = value.strip(" \t")
    if (quoted := _QUOTED.fullmatch(value)) is not None:
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        return unquote_to_bytes(value.encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        raise _Faulty(path, "wrong-value", "percent-decoded, it is no UTF-8") from None


def _check(attributes: Mapping[str, Any], prefix: str) -> None:
    """Raise the first fault of the attributes."""
    if len(attributes) > _ATTRIBUTES_MAX:
        raise _Faulty(prefix.rstrip("."), "too-large", f"an event may have {_ATTRIBUTES_MAX} attributes")
    for name in _REQUIRED:
        if name not in attributes:
            raise _Faulty(prefix + name, "missing", f"an event has a {name}")
    for name, value in attributes.items():
        if reason := _fault_of(name, value):
            raise _Faulty(prefix + name[:100], "wrong-value", reason)


def _fault_of(name: str, value: Any) -> str | None:
    if _NAME.fullmatch(name) is None or name in ("data", "data_base64"):
        return "the name of an attribute has lower-case letters and digits alone, and is not data"
    if name in _STRINGS and (not isinstance(value, str) or not value):
        return "it must be a string that is not empty"
    match value:
        case bool():
            return None
        case int():
            return None if -_INT_MAX <= value < _INT_MAX else "a number must be whole and fit in 32 bits"
        case str():
            return _fault_of_text(name, value)
        case _:
            return "it must be a string, a whole number or a boolean"


def _fault_of_text(name: str, value: str) -> str | None:
    if _TEXT.fullmatch(value) is None:
        return "it holds a character that no attribute may hold"
    match name:
        case "specversion" if value != "1.0":
            return "only version 1.0 is known"
        case "source" if _REFERENCE.fullmatch(value) is None:
            return "it must be a URI reference"
        case "dataschema" if _URI.fullmatch(value) is None:
            return "it must be a URI with its scheme"
        case "time" if not _is_time(value):
            return "it must be a time like 2026-01-31T12:00:00Z"
        case _:
            return None


def _is_time(value: str) -> bool:
    if (match := _TIME.fullmatch(value)) is None:
        return False
    try:
        datetime.strptime(match[1], "%Y-%m-%d")  # noqa: DTZ007 - a date alone, to see whether there is such a day
    except ValueError:
        return False
    return True


def _invalid(fault: _Faulty) -> Refusal:
    return Refusal(
        400,
        "invalid-event",
        "This is no CloudEvent",
        f"{fault.fault['path']}: {fault}. Nothing of it was stored.",
        extra={"errors": [fault.fault]},
    )
