"""One webhook as it arrives: its dedupe key, its body, and the ``trigger`` a run sees. Pure.

Raises ``Refusal`` for what must not be stored; every refusal here is the sender's to mend.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from meshhook.errors import Refusal
from meshhook.jsontext import deeper_than

KEY_LENGTH_MAX: Final = 255
BODY_DEPTH_MAX: Final = 100
_decode_json = msgspec.json.Decoder().decode
_encode_json = msgspec.json.Encoder().encode

_FIELDS_MAX: Final = 10_000
# The charsets of the web. Python knows others that are no charsets at all, and some of them are slow by intent.
_CHARSET: Final = re.compile(
    r'charset="?((?:utf-?(?:8|16|32)|us-ascii|ascii|iso-?8859|latin|windows-|cp|shift_jis|euc-|gb|big5|koi8)[a-z0-9_-]*)'
)
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_BARE_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED_KEY: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 9651, section 3.3.3

# Never stored: what lets somebody in, what proves a delivery, and what is about the connection rather than the delivery.
_CONNECTION: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRET: Final = re.compile(r"auth|cookie|hmac|key|password|secret|session|signature|token")
_SAFE_KEYS: Final = frozenset({"idempotency-key"})


def dedupe_key(idempotency_key: str | None, webhook_id: str | None) -> str | None:
    """The dedupe key of a delivery: ``Idempotency-Key`` (a quoted string, or bare), else ``webhook-id``.

    Raises:
        Refusal: 400 ``invalid-key``.
    """
    if idempotency_key is not None:
        quoted = _QUOTED_KEY.fullmatch(idempotency_key)
        key = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else idempotency_key
        return _checked_key(key, "Idempotency-Key", spaces=quoted is not None)
    if webhook_id is not None:
        return _checked_key(webhook_id, "webhook-id", spaces=False)
    return None


def provider_key(key: str) -> str:
    """The name a provider gave to a delivery, as its dedupe key.

    Raises:
        Refusal: 400 ``invalid-key``.
    """
    return _checked_key(key, "What the sender calls the delivery", spaces=False)


def _checked_key(key: str, header: str, *, spaces: bool) -> str:
    plain = key.replace(" ", "x") if spaces else key
    if not _BARE_KEY.fullmatch(plain):
        raise Refusal(
            400,
            "invalid-key",
            "The dedupe key can't be used",
            f"{header} must be 1 to {KEY_LENGTH_MAX} printable ASCII characters; quote it if it holds spaces.",
        )
    return key


def trigger_json(
    method: str, path: str, query_string: str, headers: Iterable[tuple[str, str]], content_type: str, body: bytes
) -> str:
    """The ``trigger`` of a delivery as JSON text. A JSON body is embedded as it came, so no digit of it is lost.

    Raises:
        Refusal: 400 ``invalid-json``: the content type says JSON and the body is none, or nested too deeply.
    """
    return trigger_of(method, path, query_string, headers, content_type, body_json(content_type, body))


def trigger_of(
    method: str,
    path: str,
    query_string: str,
    headers: Iterable[tuple[str, str]],
    content_type: str,
    data: str,
    *,
    event: Mapping[str, Any] | None = None,
) -> str:
    """The ``trigger`` of a delivery whose body became ``data`` (JSON text); ``event`` holds the attributes of a CloudEvent."""
    head: dict[str, Any] = {
        "method": method,
        "path": path,
        "query": _grouped(parse_qsl(query_string, keep_blank_values=True)) if query_string else {},
        "headers": {name: value for name, value in headers if _is_kept(name)},
        "content_type": content_type or None,
    }
    if event is not None:
        head["event"] = event
    return _encode_json(head)[:-1].decode() + ',"body":' + data + "}"


def body_json(content_type: str, body: bytes) -> str:
    """A body as the data a run sees, as JSON text: by its content type JSON, a form, text, or bytes in base64.

    Raises:
        Refusal: 400 ``invalid-json``.
    """
    if not body:
        return "null"
    media_type, _, parameters = content_type.lower().partition(";")
    media_type = media_type.strip()
    if media_type == "application/json" or media_type.endswith("+json"):
        return checked_json(body)
    if media_type == "application/x-www-form-urlencoded":
        return _encode_json(_grouped(_form(body))).decode()
    text = _as_text(body, parameters)
    if text is not None and (not media_type or media_type.startswith("text/") or media_type.endswith(("xml", "yaml"))):
        return _encode_json(text).decode()
    return _encode_json({"base64": base64.b64encode(body).decode()}).decode()


def checked_json(body: bytes) -> str:
    """The text of a body that is JSON and not nested too deeply.

    Raises:
        Refusal: 400 ``invalid-json``.
    """
    try:
        _decode_json(body)
        if deeper_than(body, BODY_DEPTH_MAX):
            raise RecursionError
        return body.decode()
    except RecursionError:
        reason = f"it is nested deeper than {BODY_DEPTH_MAX} levels"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = str(error)
    raise Refusal(
        400,
        "invalid-json",
        "The body is no JSON",
        f"The content type says JSON, but the body can't be read as such: {reason}. Nothing was stored.",
    )


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Refusal(
            400,
            "invalid-form",
            "The form has too many fields",
            f"A form may have at most {_FIELDS_MAX} fields. Nothing was stored.",
        ) from None


def _as_text(body: bytes, parameters: str) -> str | None:
    charset = _CHARSET.search(parameters)
    try:
        text = body.decode(charset[1] if charset else "utf-8")
    except (UnicodeError, LookupError):
        return None
    return None if charset and _LONE_SURROGATE.search(text) else text  # some charsets can spell what is no text


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    grouped: dict[str, Any] = {}
    for name, value in pairs:
        if name not in grouped:
            grouped[name] = value
        elif isinstance(grouped[name], list):
            grouped[name].append(value)
        else:
            grouped[name] = [grouped[name], value]
    return grouped


_kept: dict[str, bool] = {}


def _is_kept(name: str) -> bool:
    kept = _kept.get(name)
    if kept is None:
        kept = name not in _CONNECTION and (name in _SAFE_KEYS or not _SECRET.search(name))
        if len(_kept) < 10_000:  # names come from strangers
            _kept[name] = kept
    return kept
