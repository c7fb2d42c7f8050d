"""A light HTTP/1.1 client: keep-alive connections, one request in flight on each, no allocation that is not needed.

A general client costs several times more processor per request than the engine under test spends on it; on two cores
the suite would then measure itself.

What an exchange ends with is decided here, and only here: a reply, or one of three ways to have none. `REFUSED` means
that no byte of the request was sent. After any byte was sent, only a reply can say that nothing was stored.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

import httptools

REFUSED = "refused"
RESET = "reset"
TIMEOUT = "timeout"
GARBLED = "garbled"


class Exchange:
    """One request and what came of it. Times are `perf_counter_ns`; 0 when it did not come to that."""

    __slots__ = (
        "attempt",
        "body",
        "connection",
        "deadline_ns",
        "done",
        "error",
        "request",
        "retry_after",
        "run_id",
        "sent_ns",
        "status",
    )

    def __init__(self, attempt: Any, request: bytes) -> None:
        self.attempt = attempt
        self.request = request
        self.connection: Connection | None = None
        self.sent_ns = 0
        self.deadline_ns = 0
        self.done = False
        self.status = 0
        """The status of the reply; 0 without one."""
        self.body = b""
        self.retry_after = b""
        self.run_id = b""
        """Of the run that has answered a caller who waited; empty in other replies."""
        self.error = ""
        """`refused`, `reset`, `timeout` or `garbled` when there was no reply."""


Ended = Callable[[Exchange], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection. Its pool gives it an exchange at a time."""

    __slots__ = ("_parser", "_pool", "_transport", "exchange")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.exchange: Exchange | None = None

    def send(self, exchange: Exchange) -> None:
        """Send a request; the connection must be idle."""
        assert self._transport is not None
        self.exchange = exchange
        exchange.connection = self
        exchange.sent_ns = perf_counter_ns()
        self._transport.write(exchange.request)

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(GARBLED)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(RESET)
        self._pool.forget(self)
        del self._parser  # it holds this connection, and nobody here looks for cycles

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and self.exchange is not None and name.lower() == b"retry-after":
            self.exchange.retry_after = value
        elif len(name) == 15 and self.exchange is not None and name.lower() == b"meshhook-run-id":
            self.exchange.run_id = value

    def on_body(self, body: bytes) -> None:
        if self.exchange is not None:
            self.exchange.body += body

    def on_message_complete(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            # A reply nobody asked for. Whatever the server means by it, this connection can no longer be trusted.
            self.abort()
            return
        exchange.status = self._parser.get_status_code()
        exchange.done = True
        if self._parser.should_keep_alive():
            self._pool.release(self)
        else:
            self.abort()
        self._pool.ended(exchange)

    def _fail(self, error: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None and not exchange.done:
            exchange.error = error
            exchange.done = True
            self._pool.ended(exchange)


class Pool:
    """Connections to one host, opened when they are needed and reused in turn.

    `ended` is called once for every exchange that was submitted, from the event loop. Over `connections_max` a request
    waits in the pool until a connection is free.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ended: Ended,
        *,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        connections_max: int = 1024,
        tls: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.ended = ended
        self._tls = ssl.create_default_context() if tls else None
        self._timeout_ns = round(timeout_s * 1e9)
        self._connect_timeout_s = connect_timeout_s
        # First in, first out: every connection is used in turn, so none idles until the server closes it.
        self._free: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()
        self._in_flight: deque[Exchange] = deque()
        self._connections_max = connections_max

    async def warm(self, count: int) -> None:
        """Open this many connections now; those the server refuses are left out."""
        await asyncio.gather(*(self._connect() for _ in range(count)))

    def submit(self, exchange: Exchange) -> None:
        """Send a request as soon as there is a connection for it."""
        exchange.deadline_ns = perf_counter_ns() + self._timeout_ns
        self._in_flight.append(exchange)
        if self._free:
            self._free.popleft().send(exchange)
        else:
            self._waiting.append(exchange)
            self._open_another()

    def release(self, connection: Connection) -> None:
        """The connection is idle again."""
        while self._waiting:
            exchange = self._waiting.popleft()
            if not exchange.done:
                connection.send(exchange)
                return
        self._free.append(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        with suppress(ValueError):
            self._free.remove(connection)
        if len(self._waiting) > len(self._opening):
            self._open_another()

    def expire(self) -> None:
        """End the exchanges that are over their time. Call it every now and then."""
        now = perf_counter_ns()
        while self._in_flight:
            exchange = self._in_flight[0]
            if exchange.done:
                self._in_flight.popleft()
            elif exchange.deadline_ns <= now:
                self._in_flight.popleft()
                self._time_out(exchange)
            else:
                return

    async def close(self) -> None:
        """Close every connection; exchanges still in flight end with `reset`."""
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._open):
            connection.abort()
        while self._open:
            await asyncio.sleep(0)

    def _time_out(self, exchange: Exchange) -> None:
        exchange.done = True
        # Without a connection no byte was sent, and so nothing can have been stored.
        exchange.error = TIMEOUT if exchange.connection else REFUSED
        if exchange.connection is not None:
            exchange.connection.exchange = None
            exchange.connection.abort()
        self.ended(exchange)

    def _open_another(self) -> None:
        if len(self._open) + len(self._opening) < self._connections_max:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(self), self.host, self.port, ssl=self._tls
                )
        except (OSError, TimeoutError):
            self._refuse_one()
            return
        self._open.add(connection)
        self.release(connection)

    def _refuse_one(self) -> None:
        while self._waiting:
            exchange = self._waiting.popleft()
            if not exchange.done:
                exchange.done = True
                exchange.error = REFUSED
                self.ended(exchange)
                return
