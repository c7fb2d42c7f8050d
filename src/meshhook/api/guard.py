"""What every request of the REST API passes before it is answered: who calls, is the body fit to be read, is there room."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from meshhook import audit, keys
from meshhook.api import cookies, problems, same_origin
from meshhook.api.bridge import Asgi
from meshhook.api.keyring import Keyring, unauthorized
from meshhook.api.room import Room
from meshhook.api.shared import not_found
from meshhook.errors import Refusal

BODY_MAX_BYTES: Final = 2 * 1024 * 1024
_WITH_BODY: Final = ("PUT", "PATCH", "POST")
_BODY_S_MAX: Final = 30.0
_UNREAD: Final = {"connection": "close"}  # the rest of a body that nobody reads would pass for the next request
_OPEN: Final = ("/healthz", "/readyz", "/problems")
_FOR_EVERYBODY: Final = ("/api/v1/receipts",)
_SIGN_IN: Final = ("/api/v1/session",)
_WITHOUT_ROOM: Final = (*_SIGN_IN, "/api/v1/definitions", "/api/v1/expressions")
"""They take room by themselves when they ask the database: what a password costs, or a definition, is no time at the database."""

_WITHOUT_DATABASE: Final = (*_OPEN, "/metrics", "/openapi.json")
_NO_KEY: Final = "An API key is needed: send `Authorization: Bearer mh_…`. `meshhook key create` makes one."
_log = structlog.get_logger("meshhook.api")

HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
"""On every response that does not set them itself. No CORS header: pages of other origins are not let in."""


class Guard:
    """An ASGI application around another."""

    def __init__(self, inner: Asgi, keyring: Keyring, room: Room) -> None:
        self._inner = inner
        self._keyring = keyring
        self._room = room

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        answer = _Answer(send, head=scope["method"] == "HEAD")
        if answer.head:
            scope = {**scope, "method": "GET"}
        try:
            await self.admit(scope)
            if _is_below(scope["path"], _WITHOUT_DATABASE):
                await self._inner(scope, receive, answer.send)
            else:
                await self._answer(scope, await _whole_body(scope, receive), answer)
        except Exception as error:  # noqa: BLE001 whoever asks is always answered
            if not answer.begun:
                await answer.send_problem(problem_of(error, scope["path"]), scope["path"])

    async def admit(self, scope: dict[str, Any]) -> None:
        """Let a request in: its ``state`` says for which project.

        Raises:
            Refusal: it may not come in. Unavailable: nobody can be asked.
        """
        if _is_below(path := scope["path"], _OPEN):
            _check_path(path)
            return
        if _is_below(path, _FOR_EVERYBODY):
            scope["state"] |= {"project_id": keys.NOBODY, "actor": "anybody"}
            _check_path(path)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if _is_below(path, _SIGN_IN):
            scope["state"] |= await self._who_if_anybody(scope["method"], headers)
        else:
            scope["state"] |= await self._who(scope["method"], headers)
        _check_path(path)

    async def _who(self, method: str, headers: Mapping[bytes, str]) -> dict[str, Any]:
        """Who calls: by a key, else by the cookie of a session, else from this machine where no key is in force."""
        if (authorization := headers.get(b"authorization")) is not None:
            project_id, key = holder = await self._keyring.holder_of(authorization)
            return {"project_id": project_id, "actor": holder.actor, "how": "key", "key": key, "token": None}
        if (token := cookies.token_in(headers.get(b"cookie"))) is not None:
            if (opened := await self._keyring.holder_of_session(token)) is not None:
                same_origin.check_cookie_use(method, headers)
                project_id, key = opened
                return {"project_id": project_id, "actor": opened.actor, "how": "session", "key": key, "token": token}
            if self._keyring.in_force:
                raise unauthorized("Your session has ended. Sign in again.")
        if self._keyring.in_force:
            raise unauthorized(_NO_KEY)
        _check_local(headers.get(b"host", ""), headers.get(b"origin"))
        return {"project_id": keys.DEFAULT_PROJECT, "actor": "local", "how": "local", "key": None, "token": token}

    async def _who_if_anybody(self, method: str, headers: Mapping[bytes, str]) -> dict[str, Any]:
        """Who calls where signing in begins: it may be nobody yet, but no page of another site."""
        same_origin.check_sign_in(method, headers)
        try:
            who = await self._who(method, headers)
        except Refusal as refusal:
            if refusal.status != 401 or b"authorization" in headers:
                raise
            token = cookies.token_in(headers.get(b"cookie"))
            who = {"project_id": keys.NOBODY, "actor": "anybody", "how": None, "key": None, "token": token}
        return who | {"secure": same_origin.is_secure(headers)}

    async def _answer(self, scope: dict[str, Any], body: bytes, answer: _Answer) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        with audit.acting_as(scope["state"]["actor"]):
            async with nullcontext() if _is_below(scope["path"], _WITHOUT_ROOM) else self._room.taken():
                await self._inner(scope, receive, answer.send)


def problem_of(error: Exception, path: str) -> Refusal:
    """What to tell about an error; what is nobody's fault but ours is logged."""
    refusal = problems.as_refusal(error)
    if refusal.status == 500:
        _log.error("request failed", path=path, exc_info=error)
    return refusal


class _Answer:
    """The response of one request, with our headers."""

    def __init__(self, send: Any, *, head: bool) -> None:
        self._send = send
        self.head = head
        self.begun = False

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            own = {name.lower() for name, _ in message["headers"]}
            ours = [(name, value) for name, value in HEADERS.items() if name not in own]
            message = {**message, "headers": [*message["headers"], *ours]}
        elif self.head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def send_problem(self, refusal: Refusal, path: str) -> None:
        headers = [(b"content-type", problems.CONTENT_TYPE.encode())]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": problems.document(refusal, path)})


async def _whole_body(scope: dict[str, Any], receive: Any) -> bytes:
    """The body, read before anything is held for this request: a slow sender keeps nobody waiting but himself.

    Raises:
        Refusal: it is too long, does not say how long it is, or takes too long.
    """
    if scope["method"] not in _WITH_BODY:
        return b""  # what is sent all the same is not read
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"").decode("latin-1")
    if not length and scope["method"] == "POST" and b"transfer-encoding" not in headers:
        return b""  # many a client sends no length when there is no body (RFC 9112, section 6.3)
    if not length:
        raise Refusal(
            411,
            "length-required",
            "The length of the body is missing",
            "Send the body with a Content-Length header.",
            headers=_UNREAD,
        )
    if not (length.isascii() and length.isdecimal()) or int(length) > BODY_MAX_BYTES:
        raise Refusal(
            413,
            "body-too-large",
            "The body is too large",
            f"A body may have at most {BODY_MAX_BYTES} bytes. Nothing was stored.",
            headers=_UNREAD,
        )
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S_MAX):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(
            408, "body-too-slow", "The body took too long", "Nothing was stored; send it again.", headers=_UNREAD
        ) from None
    except RuntimeError:  # what the server raises when the sender has gone
        raise Refusal(
            400, "body-incomplete", "The body ended too early", "Nothing was stored; send it again."
        ) from None


def _check_path(path: str) -> None:
    """Refuse what Litestar would read another path out of, or answer with a page of its own."""
    if "//" in path or path.endswith("/") or path.startswith("/openapi.json/"):
        raise not_found()


def _check_local(host: str, origin: str | None) -> None:
    """Without keys only this machine may call, and no page of another site that happens to be open in its browser.

    Such a page can send requests here, or make its own name point to this machine (DNS rebinding); either shows in these
    headers. Only HTTP/2 comes without a host, and no browser speaks that to a server without TLS.
    """
    if (host and not _is_loopback(host)) or (origin is not None and origin.partition("://")[2] != host):
        raise Refusal(
            403,
            "not-local",
            "Only calls from this machine are answered here",
            "No API key is in force, so a call must come from this machine, by a loopback address. Set require_key to true to "
            "be reached in another way, and send a key.",
        )


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)
