"""``http_call``: one request to the outside world, tried again as its policy says. Here it is made ready; ``egress`` sends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from meshhook import call_auth
from meshhook.budget import one_budget
from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, as_text, compile_expression, compile_template, is_true
from meshhook.model import DEFAULT_PORT, Call, Context, Request, Retry, Work
from meshhook.placeholders import Filled

_RETRIED_STATUSES: Final = [408, 425, 429, 500, 502, 503, 504]
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESERVED_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
_TEMPLATES: Final = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_SECONDS: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": 600}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "default": "GET"},
        "url": {
            "type": "string",
            "minLength": 1,
            "maxLength": 10_000,
            "description": "A template that gives an http(s) URL.",
        },
        "headers": {**_TEMPLATES, "description": "Templates by header name."},
        "query": {**_TEMPLATES, "description": "Templates by parameter name, added to the URL."},
        "json": {"description": "The body: any template, sent as JSON."},
        "form": {**_TEMPLATES, "description": "The body: templates by field, sent as a form."},
        "text": {"type": "string", "description": "The body: a template, sent as text."},
        "timeout_s": {**_SECONDS, "default": 30},
        "connect_timeout_s": {**_SECONDS, "default": 5},
        "redirects": {"type": "integer", "minimum": 0, "maximum": 10, "default": 5},
        "response_limit_bytes": {"type": "integer", "minimum": 1, "maximum": 10 * 1024 * 1024, "default": 1024 * 1024},
        "auth": call_auth.SCHEMA,
        "success": {
            "type": "string",
            "minLength": 1,
            "description": "JMESPath over {status, headers, body} and what every expression sees: is this what was hoped for? "
            "Any 2xx when left out.",
        },
        "output": {
            "description": "A template over {status, headers, body} and what every expression sees: the output of the step. "
            "{status, headers, body} when left out."
        },
        "retry": {
            "type": "object",
            "properties": {
                "attempts": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
                "backoff_s": {"type": "number", "minimum": 0, "maximum": 86_400, "default": 1},
                "backoff_max_s": {"type": "number", "minimum": 0, "maximum": 86_400, "default": 60},
                "statuses": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 100, "maximum": 599},
                    "default": _RETRIED_STATUSES,
                },
                "on_unknown": {
                    "enum": ["retry", "fail"],
                    "default": "retry",
                    "description": "When nobody knows whether an attempt arrived: the Idempotency-Key makes retrying safe.",
                },
            },
            "additionalProperties": False,
        },
    },
    "required": ["url"],
    "additionalProperties": False,
    "dependentSchemas": {
        "json": {"properties": {"form": False, "text": False}},
        "form": {"properties": {"text": False}},
    },
}


def ports(config: dict[str, Any]) -> list[str]:
    return [DEFAULT_PORT]


def compile(config: dict[str, Any], faults: Faults) -> Work:
    secrets: set[str] = set()
    url = compile_template(config["url"], ".url", faults, secrets)
    headers = compile_template(config.get("headers", {}), ".headers", faults, secrets)
    query = compile_template(config.get("query", {}), ".query", faults, secrets)
    body = _compile_body(config, faults, secrets)
    prove = call_auth.compile(config.get("auth"), ".auth", faults, secrets)
    succeeded = _compile_success(config, faults)
    output = compile_template(config["output"], ".output", faults) if "output" in config else None
    retry = _retry(config.get("retry", {}))
    _check_names(config, faults)
    call_auth.check(config, faults)

    def request(context: Context) -> Request:
        content_type, data = body(context)
        proof = prove(context)
        given = headers(context) | proof.headers
        return Request(
            method=config.get("method", "GET"),
            url=_full_url(url(context), query(context)),
            headers=({"content-type": content_type} if content_type else {}) | _checked_headers(given),
            body=data,
            connect_timeout_s=config.get("connect_timeout_s", 5),
            timeout_s=config.get("timeout_s", 30),
            response_limit_bytes=config.get("response_limit_bytes", 1024 * 1024),
            redirects=config.get("redirects", 5),
            signing_secret=proof.signing_secret,
        )

    def call(context: Context) -> Call:
        made = Call(request(context), retry, lambda response: succeeded({**context, **response.as_output()}))
        if output is not None:
            made = replace(made, output=lambda response: output({**context, **response.as_output()}))
        if secrets:
            # What an expression finds wrong is found now; what it is made with in the end is made by ``fill``, for sending alone.
            made = replace(made, secrets=frozenset(secrets), fill=lambda values: request(Filled(context, values)))
        return made

    return one_budget(call)


def _check_names(config: dict[str, Any], faults: Faults) -> None:
    for name in config.get("headers", {}):
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            faults.append((f".headers.{name}", ExpressionError(name, "is no header that can be set here")))


def _compile_body(
    config: dict[str, Any], faults: Faults, secrets: set[str]
) -> Callable[[Context], tuple[str | None, bytes | None]]:
    if "json" in config:
        data = compile_template(config["json"], ".json", faults, secrets)
        return lambda context: ("application/json", msgspec.json.encode(data(context)))
    if "form" in config:
        form = compile_template(config["form"], ".form", faults, secrets)
        return lambda context: (
            "application/x-www-form-urlencoded",
            urlencode({name: as_text(value) for name, value in form(context).items()}).encode(),
        )
    if "text" in config:
        text = compile_template(config["text"], ".text", faults, secrets)
        return lambda context: ("text/plain; charset=utf-8", as_text(text(context)).encode())
    return lambda context: (None, None)


def _compile_success(config: dict[str, Any], faults: Faults) -> Callable[[Context], bool]:
    if "success" not in config:
        return lambda seen: 200 <= seen["status"] < 300
    condition = compile_expression(config["success"], ".success", faults)
    return lambda seen: is_true(condition(seen))


def _retry(config: dict[str, Any]) -> Retry:
    return Retry(
        attempts=config.get("attempts", 3),
        backoff_s=config.get("backoff_s", 1),
        backoff_max_s=config.get("backoff_max_s", 60),
        statuses=frozenset(config.get("statuses", _RETRIED_STATUSES)),
        on_unknown=config.get("on_unknown", "retry"),
    )


def _full_url(url: Any, query: dict[str, Any]) -> str:
    text = as_text(url).strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text or parts.username is not None:
        raise ExpressionError("url", f"must be an http(s) URL without credentials in it, not {text[:100]!r}")
    if not query:
        return text
    added = urlencode({name: as_text(value) for name, value in query.items()})
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


def _checked_headers(headers: dict[str, Any]) -> dict[str, str]:
    texts = {name.lower(): as_text(value) for name, value in headers.items()}
    for name, text in texts.items():
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise ExpressionError(f"headers.{name}", "the value holds a control character")
    return texts
