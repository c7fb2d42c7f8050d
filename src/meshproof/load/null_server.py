"""A server that does nothing but answer: what the generator is calibrated against, and a sender of odd replies for
tests.

`python -m meshproof.load.null_server` prints its port and serves until its standard input ends. What the path holds
decides how it answers: `/reset` closes without a reply, `/silent` never answers, `/status/503` answers with that
status, and everything else is accepted.
"""

from __future__ import annotations

import asyncio
import sys

import httptools
import uvloop

ACCEPTED_BODY = b'{"run_id":"01900000-0000-7000-8000-000000000000","status_url":"/null","duplicate":false}'
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ACCEPTED_BODY),
    ACCEPTED_BODY,
)


class NullProtocol(asyncio.Protocol):
    """Answers each request of one connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_message_complete(self) -> None:
        path, self._path = self._path, b""
        if b"/reset" in path:
            self._transport.abort()
        elif b"/status/" in path:
            self._transport.write(_problem(path.rsplit(b"/", 1)[1]))
        elif b"/garbled" in path:
            self._transport.write(b"this is not HTTP\r\n\r\n")
        elif b"silent" not in path:
            self._transport.write(ACCEPTED)


def _problem(status: bytes) -> bytes:
    body = b'{"type":"/problems/overloaded","title":"Overloaded","status":%b}' % status
    head = (
        b"HTTP/1.1 %b Refused\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (status, len(body)) + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(NullProtocol, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
