"""HTTP/1.1 as a client speaks it: one connection, one request at a time, its whole answer in memory, nothing sent twice.

What belongs to which message is for llhttp to say (the parser of Node.js, by httptools): lengths, chunks, what has no body, what
may follow on the same connection. Here stands what a parser can't know: what was asked, how much is too much, and what it means
when the other side hangs up.

Source: RFC 9112; RFC 9110, sections 8.4 (codings), 9.3.2 (HEAD), 15.2 (interim answers).
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import httptools

_OVERHEAD_MAX: Final = 64 * 1024
"""Bytes of an answer beside its body: heads, trailers, what is around chunks."""
_OVERHEAD_OF_BODY: Final = 16
"""A chunk may be as small as one byte, and has five around it."""
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_EMPTY_HANDED: Final = frozenset({"GET", "HEAD"})
"""Methods that need not say that they have no body."""
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE: Final = -15
_GZIP_MAGIC: Final = b"\x1f\x8b"


class BrokenError(Exception):
    """A connection broke, or what came over it is no answer. Whether the other side has acted, nobody knows."""


class Answer(NamedTuple):
    """What was answered; ``body`` is ``None`` when it was larger than it might be."""

    status: int
    headers: dict[str, str]
    body: bytes | None


class Connection(asyncio.Protocol):
    """One connection. Made by ``loop.create_connection``, which also says whether it is a secure one."""

    __slots__ = (
        "_body",
        "_fields",
        "_headers",
        "_in_body",
        "_keeps",
        "_limit",
        "_loop",
        "_no_body",
        "_overhead",
        "_parser",
        "_size",
        "_status",
        "_transport",
        "_until_end",
        "_waiter",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._keeps = True

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent over it."""
        transport = self._transport
        return (
            self._keeps
            and self._waiter is None
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )

    async def exchange(self, head: bytes, body: bytes | None, limit: int, *, no_body: bool) -> Answer:
        """Send one request, and read its answer, of whose body ``limit`` bytes at most.

        Args:
            no_body: whatever the answer says, it has no body, since none was asked for.

        Raises:
            BrokenError: there was no complete answer. The connection is closed then, as when this is cancelled.
        """
        assert self._waiter is None, "one request at a time"
        assert self._transport is not None, "it is connected"
        if self._transport.is_closing():
            raise BrokenError("it was closed")
        self._limit, self._no_body = limit, no_body
        self._status = self._size = self._overhead = 0
        self._in_body = self._until_end = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._waiter = self._loop.create_future()
        self._transport.write(head + body if body else head)
        try:
            answer = await self._waiter
        except BaseException:
            self.abort()
            raise
        self._waiter, self._fields, self._headers, self._body = None, [], {}, []
        return answer

    def abort(self) -> None:
        """Close it at once."""
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()

    # -- What the loop tells ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._parser = parser = httptools.HttpResponseParser(self)
        # What many servers get wrong, and nobody can be misled by: only the last of these is about where a message ends.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done() or self._parser is None:
            self.abort()  # nobody has asked
            return
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keeps = False
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP/1.1: {error}")
        if self._overhead > _OVERHEAD_MAX + _OVERHEAD_OF_BODY * self._size:
            self._fail(f"the answer has more than {_OVERHEAD_MAX} bytes of headers")

    def connection_lost(self, error: Exception | None) -> None:
        self._keeps, self._parser = False, None  # the parser knows this connection: no cycle is left behind
        if error is None and self._in_body and self._until_end:
            self._finish()
        else:
            self._fail(str(error) if error else "closed before the answer was complete")

    # -- What the parser tells --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_over:
            self._keeps = False  # an answer to nothing: what comes next is not to be trusted
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))  # a trailer comes too late to pass for a header: those were read by then

    def on_headers_complete(self) -> None:
        assert self._parser is not None, "it is telling"
        status = self._parser.get_status_code()
        if self._is_over or (status < 200 and status != 101):
            return
        self._status, self._in_body = status, True
        self._headers = headers = {_name(name): _text(value) for name, value in self._fields}
        coding = headers.get("transfer-encoding", "").lower()
        self._until_end = "content-length" not in headers and not coding.endswith("chunked")
        if self._no_body:
            self._keeps = False  # the parser waits for one
            self._finish()

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        if self._is_over:
            return
        self._size += len(body)
        self._body.append(body)
        if self._size > self._limit:
            self._keeps = False
            self._finish(too_large=True)

    def on_message_complete(self) -> None:
        if self._in_body and not self._is_over:
            assert self._parser is not None, "it is telling"
            self._keeps = self._parser.should_keep_alive()
            self._finish()

    @property
    def _is_over(self) -> bool:
        return self._waiter is None or self._waiter.done()

    def _finish(self, *, too_large: bool = False) -> None:
        if self._waiter is not None and not self._waiter.done():
            body = None if too_large else b"".join(self._body)
            self._waiter.set_result(Answer(self._status, self._headers, body))

    def _fail(self, reason: str) -> None:
        self._keeps = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BrokenError(reason))


def request_head(method: str, host: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The head of a request.

    Args:
        host: with the port, when it is not that of the scheme. target: path and query, as they stand in a URL.

    Raises:
        ValueError: it can't be sent as it is; says what is wrong, and not with which value, for that may be a secret.
    """
    if not (
        _is_token(method) and f"{host}{target}".isascii() and f"{host}{target}".isprintable() and " " not in target
    ):
        raise ValueError("method or address hold characters that they may not")
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n"]
    for name, value in headers.items():
        if not _is_token(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} is no header that can be set")
        if not value.isprintable() and _CONTROL.search(value):
            raise ValueError(f"the header {name} holds a control character")
        lines.append(f"{name}: {value}\r\n")
    if body is not None or method not in _EMPTY_HANDED:
        lines.append(f"content-length: {len(body or b'')}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode()


def unpacked(data: bytes, coding: str, limit: int) -> bytes | None:
    """A body without its content coding; ``None`` when it is larger than ``limit``. What can't be unpacked here stays as it is.

    Raises:
        BrokenError: it is not what it says it is.
    """
    bits = _WINDOW_BITS.get(coding.strip().lower())
    if bits is None or not data:
        return data
    if coding.strip().lower() == "deflate" and data[0] & 0x0F != 8:
        bits = _RAW_DEFLATE  # some send it without the envelope that RFC 9110, section 8.4.1.2, asks for
    found = bytearray()
    while data:
        unpacking = zlib.decompressobj(bits)
        try:
            found += unpacking.decompress(data, limit + 1 - len(found))
        except zlib.error as error:
            raise BrokenError(f"the answer can't be unpacked: {error}") from None
        if len(found) > limit:
            return None
        if not unpacking.eof:
            raise BrokenError("the answer can't be unpacked: its end is missing")
        data = unpacking.unused_data if unpacking.unused_data.startswith(_GZIP_MAGIC) else b""
    return bytes(found)


@lru_cache(maxsize=1_000)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=1_000)
def _name(name: bytes) -> str:
    return name.decode("latin-1").strip().lower()  # the parser forgives a space before the colon


def _text(value: bytes) -> str:
    value = value.strip()
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
