"""RSGI to ASGI: lets the REST application (Litestar, ASGI) live behind the same RSGI server as the hot path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

Asgi = Callable[[dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
_VERSIONS: Final = {"version": "3.0", "spec_version": "2.3"}


async def serve(application: Asgi, scope: Any, protocol: Any) -> None:
    """Answer one RSGI request by an ASGI application."""
    exchange = _Exchange(protocol)
    await application(asgi_scope(scope), exchange.receive, exchange.send)


def asgi_scope(scope: Any) -> dict[str, Any]:
    """An RSGI request as ASGI describes it."""
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": scope.path.encode(),
        "query_string": scope.query_string.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in scope.headers.items()],
        "client": _address(scope.client),
        "server": _address(scope.server),
        "state": {},
        "extensions": {},
    }


def _address(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() else None


class _Exchange:
    """One request and its response, in ASGI messages."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._body_read = False
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._stream: Any = None

    async def receive(self) -> dict[str, Any]:
        if not self._body_read:
            self._body_read = True
            return {"type": "http.request", "body": await self._protocol(), "more_body": False}
        await self._protocol.client_disconnect()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._stream is None and not more:
            self._protocol.response_bytes(self._status, self._headers, body)
            return
        if self._stream is None:
            self._stream = self._protocol.response_stream(self._status, self._headers)
        if body:
            await self._stream.send_bytes(body)
