"""One keep-alive connection that is waited for: for senders that are threads, or look like them.

It never sends anything twice. A general client may send a request again when a kept connection breaks, and the ledger knows of one.
"""

from __future__ import annotations

import select
import socket
import ssl
from time import perf_counter_ns
from typing import Final

import httptools

from meshproof.load.client import GARBLED, REFUSED, RESET, TIMEOUT, Exchange

CONNECT_S_MAX: Final = 5.0
CHUNK: Final = 65_536


class Wire:
    """A connection to one host, opened when it is needed."""

    def __init__(self, host: str, port: int, *, tls: bool = False, timeout_s: float = 15.0) -> None:
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context() if tls else None
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def carry(self, exchange: Exchange) -> None:
        """Send a request and wait for its reply, or for the certainty that there is none; both are noted on the exchange."""
        try:
            connection = self._connected()
        except OSError:
            exchange.error, exchange.done = REFUSED, True
            return
        reply = _Reply(exchange)
        try:
            exchange.sent_ns = perf_counter_ns()
            connection.sendall(exchange.request)
            reply.read(connection)
        except TimeoutError:
            exchange.error = TIMEOUT
        except OSError:
            exchange.error = RESET
        except httptools.HttpParserError:
            exchange.error = GARBLED
        exchange.done = True
        if exchange.error or not reply.keeps_alive:
            self.close()

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            # The server has closed it, or says what nobody asked for.
            self.close()
        if self._socket is None:
            made = socket.create_connection((self._host, self._port), timeout=CONNECT_S_MAX)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                made = self._tls.wrap_socket(made, server_hostname=self._host)
            made.settimeout(self._timeout_s)
            self._socket = made
        return self._socket


class _Reply:
    """Reads one reply into its exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._complete = False
        self.keeps_alive = False

    def read(self, connection: socket.socket) -> None:
        """Read to its end. Raises OSError, HttpParserError."""
        while not self._complete:
            data = connection.recv(CHUNK)
            if not data:
                raise ConnectionResetError
            self._parser.feed_data(data)
        self._exchange.body = b"".join(self._body)
        self._exchange.status = self._parser.get_status_code()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"retry-after":
                self._exchange.retry_after = value
            case b"meshhook-run-id":
                self._exchange.run_id = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._complete = True
        self.keeps_alive = self._parser.should_keep_alive()
