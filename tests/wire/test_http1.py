"""HTTP/1.1 over real connections to a server that says exactly what it is told to say."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from meshhook.http1 import Answer, BrokenError, Connection, request_head, unpacked

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAD = request_head("GET", "x.example", "/", {}, None)


class Peer:
    """Answers every request with ``says``, piece by piece, and hangs up if told to."""

    def __init__(self) -> None:
        self.says: list[bytes] = [OK]
        self.hangs_up = False
        self.goes_on_with: bytes | None = None
        self.heads: list[bytes] = []
        self.left = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in self.says:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                while self.goes_on_with is not None:
                    writer.write(self.goes_on_with)
                    await writer.drain()
                if self.hangs_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def connect(peer: Peer) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", peer.port)
    return connection


async def ask(connection: Connection, limit: int = 100_000, *, no_body: bool = False) -> Answer:
    async with asyncio.timeout(20):
        return await connection.exchange(HEAD, None, limit, no_body=no_body)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

WHOLE = {
    "length": (OK, 200, b"ok", True),
    "no reason phrase": (b"HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n", 404, b"", True),
    "chunks": (CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, b"ok", True),
    "chunks with extensions": (CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n", 200, b"ok", True),
    "chunks behind another coding": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok", True,
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified, and how long it would be": (b"HTTP/1.1 304 X\r\ncontent-length: 9\r\n\r\n", 304, b"", True),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nx: y\r\n\r\n" + OK, 200, b"ok", True),
    "closing": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    "more than was said": (OK + b"!", 200, b"ok", False),
    "a second answer": (OK + b"HTTP/1.1 500 Evil\r\ncontent-length: 0\r\n\r\n", 200, b"ok", False),
    "another protocol": (
        b"HTTP/1.1 101 Switch\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n\x00\x01", 101, b"", False,
    ),
    "lines that end without CR": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", 200, b"ok", True),
}  # fmt: skip


@pytest.mark.parametrize("pieces", ["at once", "byte by byte"])
@pytest.mark.parametrize("case", WHOLE)
async def test_an_answer_ends_where_the_standard_says(peer: Peer, case: str, pieces: str) -> None:
    raw, status, body, reusable = WHOLE[case]
    peer.says = [raw] if pieces == "at once" else [bytes([byte]) for byte in raw]
    connection = await connect(peer)
    answer = await ask(connection)
    assert (answer.status, answer.body) == (status, body)
    if pieces == "at once" or reusable:
        assert connection.is_reusable is reusable
    connection.abort()
    assert not connection.is_reusable


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"])
async def test_a_body_without_a_length_ends_with_the_connection(peer: Peer, head: bytes) -> None:
    peer.says, peer.hangs_up = [head, b"o", b"k"], True
    connection = await connect(peer)
    assert (await ask(connection)).body == b"ok"
    assert not connection.is_reusable


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\n\r\n2\r\nok\r\n",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"x\r\nok\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"hello",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_cut_off_or_ambiguous_is_no_answer(peer: Peer, raw: bytes) -> None:
    peer.says, peer.hangs_up = [raw], True
    connection = await connect(peer)
    with pytest.raises(BrokenError, match=r"."):
        await ask(connection)
    assert not connection.is_reusable


async def test_requests_follow_each_other_on_one_connection(peer: Peer) -> None:
    connection = await connect(peer)
    for _ in range(3):
        assert (await ask(connection)).body == b"ok"
        assert connection.is_reusable
    assert peer.heads == [HEAD] * 3


async def test_headers_are_told_in_lower_case_and_trailers_are_not(peer: Peer) -> None:
    peer.says = [
        b"HTTP/1.1 200 OK\r\nX-One:  a \r\nX-Two: gr\xc3\xbcn\r\nX-Three: gr\xfcn\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nx-one: evil\r\nx-four: evil\r\n\r\n"
    ]
    answer = await ask(await connect(peer))
    assert answer.headers == {"x-one": "a", "x-two": "grün", "x-three": "grün", "transfer-encoding": "chunked"}


async def test_to_what_was_asked_without_a_body_there_is_none(peer: Peer) -> None:
    peer.says = [b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"]
    connection = await connect(peer)
    answer = await ask(connection, no_body=True)
    assert (answer.headers["content-length"], answer.body) == ("5000", b"")
    assert not connection.is_reusable


async def test_too_large_a_body_is_not_read_to_its_end(peer: Peer) -> None:
    peer.says, peer.goes_on_with = [b"HTTP/1.1 200 OK\r\n\r\n"], b"x" * 10_000
    connection = await connect(peer)
    assert (await ask(connection, limit=50_000)).body is None
    assert not connection.is_reusable


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10),
        (CHUNKED + b"0\r\n", b"x: y\r\n" * 100),
        (CHUNKED + b"1;", b"y" * 1_000),
    ],
)
async def test_what_is_around_a_body_is_bounded(peer: Peer, begins: bytes, goes_on: bytes) -> None:
    peer.says, peer.goes_on_with = [begins], goes_on
    connection = await connect(peer)
    with pytest.raises(BrokenError, match="bytes of headers"):
        await ask(connection)


async def test_small_chunks_are_no_reason_to_refuse_a_body(peer: Peer) -> None:
    peer.says = [CHUNKED, b"1\r\nx\r\n" * 40_000, b"0\r\n\r\n"]
    assert (await ask(await connect(peer))).body == b"x" * 40_000


async def test_an_answer_before_the_request_was_read_leaves_nothing_to_use_again(peer: Peer) -> None:
    body = b"x" * (32 << 20)
    connection = await connect(peer)
    head = request_head("POST", "x.example", "/", {}, body)
    async with asyncio.timeout(20):
        assert (await connection.exchange(head, body, 100, no_body=False)).body == b"ok"
    assert not connection.is_reusable


async def test_what_comes_unasked_closes_the_connection(peer: Peer) -> None:
    connection = await connect(peer)
    await ask(connection)
    assert connection.is_reusable
    peer.says = [OK, b"HTTP/1.1 500 Evil\r\ncontent-length: 0\r\n\r\n"]
    assert (await ask(connection)).status == 200
    await asyncio.wait_for(peer.left.wait(), 20)  # closed by us: the server has not hung up
    assert not connection.is_reusable
    with pytest.raises(BrokenError, match="closed"):
        await ask(connection)


async def test_who_gives_up_waiting_closes_the_connection(peer: Peer) -> None:
    peer.says = []
    connection = await connect(peer)
    waiting = asyncio.create_task(ask(connection))
    async with asyncio.timeout(20):
        while not peer.heads:
            await asyncio.sleep(0)
        waiting.cancel()
        await peer.left.wait()
    assert waiting.cancelled()
    assert not connection.is_reusable


def test_a_request_says_how_long_it_is() -> None:
    given = {"accept": "*/*", "x-ü": "y"}
    with pytest.raises(ValueError, match="no header"):
        request_head("GET", "x.example", "/", given, None)
    head = request_head("POST", "x.example:81", "/a?b=%20", {"x": "grün\t1"}, b"123")
    assert head == b"POST /a?b=%20 HTTP/1.1\r\nhost: x.example:81\r\nx: gr\xc3\xbcn\t1\r\ncontent-length: 3\r\n\r\n"
    assert b"content-length: 0\r\n" in request_head("DELETE", "x.example", "/", {}, None)
    assert b"content-length" not in request_head("GET", "x.example", "/", {}, None)


@pytest.mark.parametrize(
    ("method", "host", "target", "headers"),
    [
        ("GET /", "x.example", "/", {}),
        ("GET", "x.example\r\nx: y", "/", {}),
        ("GET", "x.example", "/ HTTP/1.1\r\nx: y", {}),
        ("GET", "x.example", "/ü", {}),
        ("GET", "x.example", "/", {"x": "canary\r\ny: z"}),
        ("GET", "x.example", "/", {"x": "canary\0"}),
        ("GET", "x.example", "/", {"x y": "canary"}),
        ("GET", "x.example", "/", {"": "canary"}),
        ("GET", "x.example", "/", {"Host": "canary"}),
        ("GET", "x.example", "/", {"transfer-encoding": "canary"}),
        ("GET", "x.example", "/", {"content-length": "canary"}),
    ],
)
def test_nothing_can_be_smuggled_into_a_request(method: str, host: str, target: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        request_head(method, host, target, headers, None)
    assert "canary" not in str(refused.value)  # it may be a secret


def test_what_is_packed_is_unpacked_so_far() -> None:
    data = b"hello " * 1_000
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(data), "X-GZIP ": gzip.compress(data[:3_000]) + gzip.compress(data[3_000:]),
        "deflate": zlib.compress(data), " Deflate": raw.compress(data) + raw.flush(),
    }  # fmt: skip
    for coding, body in packed.items():
        assert unpacked(body, coding, len(data)) == data, coding
        assert unpacked(body, coding, len(data) - 1) is None, coding
        for wrong in (body[:-6], b"\x08no"):
            with pytest.raises(BrokenError, match="unpacked"):
                unpacked(wrong, coding, len(data))
    assert unpacked(b"x", "br", 10) == b"x"
    assert unpacked(b"x", "", 10) == b"x"
    assert unpacked(b"", "gzip", 10) == b""
