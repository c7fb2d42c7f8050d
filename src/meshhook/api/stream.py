"""``GET /api/v1/runs/{id}/stream`` and ``GET /api/v1/stream``: server-sent events, straight on RSGI.

Who may watch is decided as for any other call of the API; what is sent, and when, by ``live``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, get_args
from urllib.parse import parse_qs

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from meshhook.api import problems
from meshhook.api.bridge import asgi_scope
from meshhook.api.guard import HEADERS, problem_of
from meshhook.errors import Refusal
from meshhook.frames import Position
from meshhook.live import Live
from meshhook.model import RunStatus
from meshhook.sources import Source
from meshhook.watching import Filter

_PROJECT: Final = "/api/v1/stream"
_RUN: Final = re.compile(r"/api/v1/runs/([^/]+)/stream")
_SEQ_MAX: Final = 2**31 - 2
_VALUES_MAX: Final = 100
_STUCK_S: Final = 60.0
"""A reader who takes nothing for so long is let go: he can resume."""

_CLOSE_S: Final = 2.0
_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),  # nginx would hold events back until it has a buffer full
    *((name.decode(), value.decode()) for name, value in HEADERS.items()),
]

Admit = Callable[[dict[str, Any]], Awaitable[None]]


class Streams:
    """Answers every request for a live stream. ``admit`` is what every call of the API passes."""

    def __init__(self, live: Live, admit: Admit) -> None:
        self._live = live
        self._admit = admit
        self._open: set[asyncio.Task[Any]] = set()

    def takes(self, path: str) -> bool:
        """Whether a path is that of a stream."""
        return path == _PROJECT or _RUN.fullmatch(path) is not None

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request: a stream, or a problem document."""
        request = asgi_scope(scope)
        try:
            await self._admit(request)
            _check_method(scope.method)
            if self._live.closing:
                raise problems.shutting_down()
            source = await self._source(scope, request["state"]["project_id"])
        except Exception as error:  # noqa: BLE001 whoever asks is always answered
            refusal = problem_of(error, scope.path)
            headers = [("content-type", problems.CONTENT_TYPE), *refusal.headers.items(), *_HEADERS[2:]]
            protocol.response_bytes(refusal.status, headers, problems.document(refusal, scope.path))
            return
        if source is None:
            protocol.response_empty(204, _HEADERS[2:])
        elif scope.method == "HEAD":
            protocol.response_empty(200, _HEADERS)
        else:
            await self._serve(source, protocol, lambda: self._admit(asgi_scope(scope)))

    async def close(self) -> None:
        """Wait until all streams have ended; those whose readers take nothing are broken off."""
        if self._open:
            _, stuck = await asyncio.wait(self._open, timeout=_CLOSE_S)
            for task in stuck:
                task.cancel()

    async def _source(self, scope: Any, project_id: int) -> Source | None:
        parameters = parse_qs(scope.query_string)
        cursor = scope.headers.get("last-event-id") or _last(parameters, "after")
        if run := _RUN.fullmatch(scope.path):
            return await self._live.of_run(project_id, run[1], _seq(cursor))
        return await self._live.of_project(_filter(project_id, parameters), _position(cursor))

    async def _serve(self, source: Source, protocol: Any, may_go_on: Callable[[], Awaitable[None]]) -> None:
        sending = asyncio.ensure_future(self._send(source, protocol.response_stream(200, _HEADERS), may_go_on))
        gone = asyncio.ensure_future(protocol.client_disconnect())
        self._open.add(sending)
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.discard(sending)
            sending.cancel()
            gone.cancel()  # a future of the server's own making: asyncio.gather can't wait for it
            await asyncio.wait({sending})

    async def _send(self, source: Source, transport: Any, may_go_on: Callable[[], Awaitable[None]]) -> None:
        async with aclosing(self._live.stream(source, may_go_on)) as texts:
            async for text in texts:
                try:
                    async with asyncio.timeout(_STUCK_S):
                        await transport.send_bytes(text)
                except (ProtocolClosed, TimeoutError):
                    return


def _check_method(method: str) -> None:
    if method not in ("GET", "HEAD"):
        detail = f"A stream is read with GET, not {method[:20]}."
        raise Refusal(405, "method-not-allowed", "This path takes other methods", detail, headers={"allow": "GET"})


def _seq(cursor: str | None) -> int:
    if not cursor:
        return 0
    if cursor.isascii() and cursor.isdecimal() and len(cursor) < 11 and int(cursor) <= _SEQ_MAX:
        return int(cursor)
    raise _bad_cursor("the `id` of an event of this run: a number")


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    if (position := Position.parse(cursor)) is not None:
        return position
    raise _bad_cursor("the `id` of an event of this stream, such as 123.4.5")


def _bad_cursor(allowed: str) -> Refusal:
    detail = f"Last-Event-ID, or `after`, must be {allowed}. Without one the stream begins at its beginning, or now."
    return Refusal(400, "bad-cursor", "This cursor is none of ours", detail)


def _filter(project_id: int, parameters: Mapping[str, list[str]]) -> Filter:
    statuses = _values(parameters, "status")
    if wrong := sorted((statuses or frozenset()) - set(get_args(RunStatus))):
        known = ", ".join(get_args(RunStatus))
        raise Refusal(400, "bad-request", "The request has faults", f"status: {wrong[0][:40]!r} is none of {known}.")
    return Filter(project_id, _values(parameters, "workflow"), statuses, _values(parameters, "type"))


def _values(parameters: Mapping[str, list[str]], name: str) -> frozenset[str] | None:
    """What a parameter lists, given several times or with commas; ``None`` when it is not given."""
    values = frozenset(value for given in parameters.get(name, ()) for value in given.split(",") if value)
    if len(values) > _VALUES_MAX:
        raise Refusal(400, "bad-request", "The request has faults", f"{name}: give {_VALUES_MAX} at most.")
    return values or None


def _last(parameters: Mapping[str, list[str]], name: str) -> str | None:
    return parameters[name][-1] if name in parameters else None
