"""``GET /api/v1/lab/tests/{id}/stream``: what a test tells, as server-sent events, straight on RSGI.

From its first event on, or behind the ``Last-Event-ID``; with ``end`` when there will be no more. Read from the file that the test
writes, so it does not matter which process runs it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from meshhook.api import problems
from meshhook.api.bridge import asgi_scope
from meshhook.api.guard import HEADERS, problem_of
from meshhook.errors import Refusal
from meshhook.keys import is_operator
from meshhook.lab.bench import Lab

PATH: Final = re.compile(r"/api/v1/lab/tests/([^/]+)/stream")
LOOK_S: Final = 0.1
CHUNK_BYTES: Final = 256 * 1024
STUCK_S: Final = 60.0
WATCHERS_MAX: Final = 100
_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),  # nginx would hold events back until it has a buffer full
    *((name.decode(), value.decode()) for name, value in HEADERS.items()),
]


class _Numbered(msgspec.Struct):
    n: int
    event: str


class LabStreams:
    """Answers every request for the stream of a test. ``admit`` is what every call of the API passes."""

    def __init__(self, lab: Lab, admit: Callable[[dict[str, Any]], Awaitable[None]], heartbeat_s: float) -> None:
        self._lab = lab
        self._admit = admit
        self._heartbeat_s = heartbeat_s
        self._watchers = 0

    def takes(self, path: str) -> bool:
        """Whether a path is that of a stream."""
        return PATH.fullmatch(path) is not None

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request: a stream, or a problem document."""
        request = asgi_scope(scope)
        try:
            await self._admit(request)
            found = PATH.fullmatch(scope.path)
            assert found is not None
            file, after = self._checked(scope, request["state"]["project_id"], found[1])
        except Exception as error:  # noqa: BLE001 whoever asks is always answered
            refusal = problem_of(error, scope.path)
            headers = [("content-type", problems.CONTENT_TYPE), *refusal.headers.items(), *_HEADERS[2:]]
            protocol.response_bytes(refusal.status, headers, problems.document(refusal, scope.path))
            return
        self._watchers += 1
        try:
            await self._serve(scope, protocol, self._frames(found[1], file, after))
        finally:
            self._watchers -= 1

    def _checked(self, scope: Any, project_id: int, id: str) -> tuple[Path, int]:
        if scope.method != "GET":
            detail = f"A stream is read with GET, not {scope.method[:20]}."
            raise Refusal(405, "method-not-allowed", "This path takes other methods", detail, headers={"allow": "GET"})
        if not is_operator(project_id):
            raise Refusal(403, "not-operator", "This is for operators", "Ask with a key of the project `default`.")
        if self._lab.closing:
            raise problems.shutting_down()
        if self._watchers >= WATCHERS_MAX:
            raise Refusal(429, "too-many-watchers", "Too many watch", f"{WATCHERS_MAX} streams of tests at most.")
        cursor = scope.headers.get("last-event-id") or (parse_qs(scope.query_string).get("after") or [""])[-1]
        if cursor and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 11):
            detail = "Last-Event-ID, or `after`, must be the `id` of an event of this test: a number."
            raise Refusal(400, "bad-cursor", "This cursor is none of ours", detail)
        return self._lab.shelf.events(id), int(cursor or 0)

    async def _serve(self, scope: Any, protocol: Any, frames: AsyncIterator[bytes]) -> None:
        sending = asyncio.ensure_future(_send(frames, protocol.response_stream(200, _HEADERS)))
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            gone.cancel()  # a future of the server's own making: asyncio.gather can't wait for it
            await asyncio.wait({sending})

    async def _frames(self, id: str, file: Path, after: int) -> AsyncIterator[bytes]:
        """The events behind a number as they are written, and a sign of life where there are none."""
        position, rest, told_at = 0, b"", time.monotonic()
        while not self._lab.closing:
            # Asked before reading: whoever was over by then has written all he will.
            is_over = await asyncio.to_thread(self._lab.shelf.running) != id
            chunk = await asyncio.to_thread(_read, file, position)
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            frames = b"".join(_frame(line, after) for line in lines)
            if frames:
                yield frames
                told_at = time.monotonic()
            if not chunk:
                if is_over:
                    yield b"event: end\ndata: {}\n\n"
                    return
                if time.monotonic() - told_at > self._heartbeat_s:
                    yield b": \n\n"
                    told_at = time.monotonic()
                await asyncio.sleep(LOOK_S)


def _read(file: Path, position: int) -> bytes:
    try:
        with file.open("rb") as lines:
            lines.seek(position)
            return lines.read(CHUNK_BYTES)
    except FileNotFoundError:
        return b""


def _frame(line: bytes, after: int) -> bytes:
    number = msgspec.json.decode(line, type=_Numbered).n
    return b"" if number <= after else b"id: %d\ndata: %b\n\n" % (number, line)


async def _send(frames: AsyncIterator[bytes], transport: Any) -> None:
    async with aclosing(frames) as all_of_them:  # type: ignore[type-var]
        with suppress(ProtocolClosed, TimeoutError):
            async for frame in all_of_them:
                async with asyncio.timeout(STUCK_S):
                    await transport.send_bytes(frame)
