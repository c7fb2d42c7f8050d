"""The weather on the wire, with real sockets: who is told what, and what is counted as hit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshproof.draw import Draw
from meshproof.faults.proxy import Proxy, Weather, to_port
from meshproof.target import free_port

BOUND_S = 120.0


@asynccontextmanager
async def echo(*, answers: bool = True) -> AsyncIterator[int]:
    """A server that answers a line with the line, or never; the value is its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if answers:
                    writer.write(line)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(free_port(), to_port("127.0.0.1", port), Draw("test"))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


class Client:
    """Somebody on the near side."""

    async def open(self, proxy: Proxy) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        return self

    async def ask(self, line: bytes = b"hello\n") -> bytes:
        self.writer.write(line)
        return await self.hear()

    async def hear(self) -> bytes:
        async with asyncio.timeout(BOUND_S):
            return await self.reader.readline()

    def close(self) -> None:
        self.writer.close()


async def until_due(proxy: Proxy) -> None:
    async with asyncio.timeout(BOUND_S):
        while not proxy.due:
            await asyncio.sleep(0)


async def until_open(proxy: Proxy, connections: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while proxy.connections < connections:
            await asyncio.sleep(0)


async def test_in_fair_weather_everything_gets_through_and_nothing_is_counted() -> None:
    async with echo() as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        assert await client.ask() == b"hello\n"
        assert proxy.due == 0
        assert not proxy.counts
        client.close()


async def test_slow_pieces_arrive_late_and_in_their_order() -> None:
    async with echo() as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        proxy.begin(Weather(latency_s=0.02, jitter_s=0.02, bytes_per_s=1e6))
        began = asyncio.get_running_loop().time()
        for number in range(3):
            assert await client.ask(b"%d\n" % number) == b"%d\n" % number
        assert asyncio.get_running_loop().time() - began >= 6 * 0.02
        assert proxy.counts["delayed"] == 6
        client.close()


async def test_weather_ends_alone_and_leaves_what_others_began() -> None:
    async with echo() as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        slow, other = Weather(latency_s=0.001), Weather(silent=True)
        proxy.begin(slow)
        proxy.begin(other)
        proxy.end(other)
        assert await client.ask() == b"hello\n"
        assert proxy.counts["delayed"] == 2
        proxy.end(slow)
        assert await client.ask() == b"hello\n"
        assert proxy.counts["delayed"] == 2
        client.close()


async def test_who_waits_for_a_reply_hears_of_the_reset_and_is_counted() -> None:
    async with echo(answers=False) as port, proxied(port) as proxy:
        waiting, idle = await Client().open(proxy), await Client().open(proxy)
        waiting.writer.write(b"hello\n")
        await until_due(proxy)
        await until_open(proxy, 2)
        assert proxy.reset_all() == proxy.counts["reset"] == 1
        with pytest.raises(ConnectionResetError):
            await waiting.hear()
        with pytest.raises(ConnectionResetError):
            await idle.hear()


async def test_what_a_black_hole_took_arrives_when_it_is_over() -> None:
    async with echo() as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        assert await client.ask() == b"hello\n"
        silence = Weather(silent=True)
        proxy.begin(silence)
        client.writer.write(b"lost?\n")
        await until_due(proxy)
        async with asyncio.timeout(BOUND_S):
            while not proxy.counts["held"]:
                await asyncio.sleep(0)
        proxy.end(silence)
        assert await client.hear() == b"lost?\n"
        client.close()


async def test_a_half_open_connection_says_nothing_until_it_is_reset() -> None:
    async with echo(answers=False) as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        client.writer.write(b"hello\n")
        await until_due(proxy)
        hearing = asyncio.create_task(client.hear())
        assert proxy.leave_half_open() == 1
        # Another connection of the same proxy ends meanwhile; this one hears nothing.
        other = await Client().open(proxy)
        other.close()
        assert not hearing.done()
        proxy.reset_half_open()
        with pytest.raises(ConnectionResetError):
            await hearing


async def test_a_reply_is_cut_in_its_middle_and_the_next_one_is_whole_again() -> None:
    async with echo() as port, proxied(port) as proxy:
        client = await Client().open(proxy)
        proxy.begin(Weather(cut_replies=1))
        with pytest.raises(ConnectionResetError):
            await client.ask(b"0123456789\n")
        assert proxy.counts["cut"] == 1
        again = await Client().open(proxy)
        assert await again.ask() == b"hello\n"
        again.close()


async def test_where_nobody_listens_the_near_side_is_reset() -> None:
    async with proxied(free_port()) as proxy:
        client = await Client().open(proxy)
        with pytest.raises(ConnectionResetError):
            await client.ask()
