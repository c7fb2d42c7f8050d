"""How an ``http_call`` proves who it is: a bearer token, a user and password, a header, or a signature as Standard Webhooks says.

All values are templates in which ``{{ secrets.NAME }}`` may stand; nobody is told to write them down in a definition.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from meshhook.errors import ExpressionError
from meshhook.mapping import Faults, as_text, compile_template
from meshhook.model import Context
from meshhook.placeholders import STAND_IN

_VALUE: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 10_000}
_HEADER: Final[dict[str, Any]] = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"}
_GONE: Final = 410


def _kind(type: str, /, **values: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {"type": {"const": type}}, "required": ["type"]},
        "then": {
            "properties": {"type": True, **values},
            "required": list(values),
            "additionalProperties": False,
        },
    }


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "How the call proves who it is. The values are templates, and may be {{ secrets.NAME }}.",
    "properties": {"type": {"enum": ["bearer", "basic", "header", "standard_webhooks"]}},
    "required": ["type"],
    "allOf": [
        _kind("bearer", token=_VALUE),
        _kind("basic", user=_VALUE, password=_VALUE),
        _kind("header", name=_HEADER, value=_VALUE),
        _kind("standard_webhooks", secret=_VALUE),
    ],
}


class Proof(NamedTuple):
    """What a request carries: headers as they are, and the secret to sign each attempt with."""

    headers: dict[str, str]
    signing_secret: str | None = None


def compile(config: dict[str, Any] | None, at: str, faults: Faults, secrets: set[str]) -> Callable[[Context], Proof]:
    """A function from context to proof; the names of secrets it uses are added to ``secrets``."""
    if config is None:
        return lambda context: Proof({})

    def text(name: str) -> Callable[[Context], str]:
        render = compile_template(config[name], f"{at}.{name}", faults, secrets)
        return lambda context: as_text(render(context))

    match config["type"]:
        case "bearer":
            token = text("token")
            return lambda context: Proof({"authorization": f"Bearer {token(context)}"})
        case "basic":
            user, password = text("user"), text("password")
            return lambda context: Proof({"authorization": _basic(user(context), password(context))})
        case "header":
            value, name = text("value"), config["name"].lower()
            return lambda context: Proof({name: value(context)})
        case _:
            secret = text("secret")
            return lambda context: Proof({}, secret(context))


def check(config: dict[str, Any], faults: Faults) -> None:
    """What the schema can't see: the same header twice, a status that means stop among those that are tried again."""
    auth = config.get("auth")
    if auth is None:
        return
    sets = {
        "standard_webhooks": {"webhook-id", "webhook-timestamp", "webhook-signature"},
        "header": {auth.get("name", "").lower()},
    }
    taken = sets.get(auth["type"], {"authorization"})
    for name in config.get("headers", {}):
        if name.lower() in taken:
            faults.append((f".headers.{name}", ExpressionError(name, "is set by `auth` already")))
    if auth["type"] == "header" and taken & {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "idempotency-key",
    }:
        faults.append((".auth.name", ExpressionError(auth["name"], "is no header that can be set here")))
    if auth["type"] == "standard_webhooks" and _GONE in config.get("retry", {}).get("statuses", ()):
        faults.append(
            (".retry.statuses", ExpressionError("410", "tells a sender of webhooks to stop: it can't be tried again"))
        )


def _basic(user: str, password: str) -> str:
    if ":" in user.replace(STAND_IN, ""):
        raise ExpressionError("auth.user", "a user name in basic authentication can't hold a colon")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
