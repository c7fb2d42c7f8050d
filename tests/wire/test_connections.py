"""Connections: to whom they lead, when one is used again, and what becomes of those that nobody needs."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.engine.conftest import FakeClock
from tests.engine.processes import free_port

from meshhook.connections import ConnectError, Connections, Origin
from meshhook.http1 import Connection, request_head
from meshhook.reach import AddressRefusedError, AllowList

HEAD = request_head("GET", "x.example", "/", {}, None)
ALLOW = AllowList.parse("127.0.0.0/8")


class Peer:
    """Says OK to every request, and counts its connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.changed = asyncio.Condition()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open.discard(writer)
            async with self.changed:
                self.changed.notify_all()

    async def left(self) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: not self.open)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Connections]]:
    made: list[Connections] = []

    def one(allow: AllowList = ALLOW, **options: Any) -> Connections:
        made.append(Connections(allow, **options))
        return made[-1]

    yield one
    for connections in made:
        connections.close()


async def ask(connections: Connections, origin: Origin) -> Connection:
    """One request and its answer; the connection is given back."""
    async with asyncio.timeout(20):
        connection = await connections.take(origin, 10)
        assert (await connection.exchange(HEAD, None, 100, no_body=False)).status == 200
        connections.give_back(origin, connection)
        return connection


class Names:
    """A name server: every name leads to the same addresses, and it counts who asks."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def look_up(self, host: str, port: int) -> list[Any]:
        self.asked += 1
        await self.answers.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, port)) for one in self.addresses]


async def test_this_is_the_loop_of_the_engine() -> None:
    assert type(asyncio.get_running_loop()).__module__ == "uvloop"


async def test_a_connection_is_used_again_by_the_next_request(peer: Peer, make: Callable[..., Connections]) -> None:
    connections, origin = make(), Origin(False, "127.0.0.1", peer.port)
    first = await ask(connections, origin)
    assert await ask(connections, origin) is first
    taken = await connections.take(origin, 10)
    assert taken is first
    assert await ask(connections, origin) is not first  # that one is in use
    assert peer.connections == 2


async def test_a_connection_that_was_kept_for_too_long_or_was_closed_is_not_used(
    peer: Peer, make: Callable[..., Connections]
) -> None:
    clock = FakeClock()
    connections, origin = make(clock=clock), Origin(False, "127.0.0.1", peer.port)
    first = await ask(connections, origin)
    clock.now += 14.9
    assert await ask(connections, origin) is first
    clock.now += 15.1
    second = await ask(connections, origin)
    assert second is not first
    for writer in list(peer.open):
        writer.close()
    async with asyncio.timeout(20):
        while second.is_reusable:
            await asyncio.sleep(0)
    assert await ask(connections, origin) is not second
    connections.close()
    await peer.left()


async def test_nobody_is_led_to_an_address_that_may_not_be_reached(
    peer: Peer, make: Callable[..., Connections]
) -> None:
    names = Names("10.0.0.1", "127.0.0.1", "169.254.169.254")
    connections, origin = make(look_up=names.look_up), Origin(False, "some.example", peer.port)
    await ask(connections, origin)  # of all that it resolves to, one may be reached
    names.addresses = ("10.0.0.1", "192.168.0.1")
    with pytest.raises(AddressRefusedError, match="outbound_allow"):
        await connections.take(Origin(False, "other.example", peer.port), 10)
    for written_out in ("10.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254", "fe80::1%1"):
        with pytest.raises(AddressRefusedError):
            await connections.take(Origin(False, written_out, peer.port), 10)
    assert peer.connections == 1


async def test_a_name_that_comes_to_lead_elsewhere_is_checked_again(
    peer: Peer, make: Callable[..., Connections]
) -> None:
    clock, names = FakeClock(), Names("127.0.0.1")
    connections = make(look_up=names.look_up, clock=clock)
    origin = Origin(False, "some.example", peer.port)
    await ask(connections, origin)
    names.addresses = ("10.0.0.1",)
    await ask(connections, origin)
    assert names.asked == 1  # what was checked is remembered, and the connection goes to nothing else
    clock.now += 31
    with pytest.raises(AddressRefusedError):
        await ask(connections, origin)


async def test_many_who_look_for_a_name_at_once_ask_once(peer: Peer, make: Callable[..., Connections]) -> None:
    names = Names("127.0.0.1")
    names.answers.clear()
    connections, origin = make(look_up=names.look_up), Origin(False, "some.example", peer.port)
    gone, *asking = [asyncio.create_task(ask(connections, origin)) for _ in range(10)]
    async with asyncio.timeout(20):
        while not names.asked:
            await asyncio.sleep(0)
        gone.cancel()  # who goes does not take the others along
        names.answers.set()
        assert len(set(await asyncio.gather(*asking))) == 9
    assert names.asked == 1


async def test_of_several_addresses_one_that_answers_is_found(peer: Peer, make: Callable[..., Connections]) -> None:
    names = Names("127.0.0.9", "127.0.0.1")
    connections = make(look_up=names.look_up)
    for number in range(2):  # each begins with another
        origin = Origin(False, f"{number}.example", peer.port)
        taken = [await connections.take(origin, 10) for _ in range(2)]
        for connection in taken:
            connections.give_back(origin, connection)
    assert peer.connections == 4


async def test_no_connection_says_why(make: Callable[..., Connections]) -> None:
    names = Names("127.0.0.1")
    connections = make(look_up=names.look_up)
    with pytest.raises(ConnectError, match=r"no connection: .*refused"):
        await connections.take(Origin(False, "127.0.0.1", free_port()), 10)
    with pytest.raises(ConnectError, match="no connection: "):
        await make().take(Origin(False, "no-such-host.invalid", 80), 10)
    names.answers.clear()
    with pytest.raises(ConnectError, match=r"no connection within 0\.01 s"):
        await connections.take(Origin(False, "some.example", 80), 0.01)


def certified(folder: Path, *, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for ``name`` that vouches for itself, and a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)
    return certificate, context


async def test_a_secure_connection_is_to_whom_it_should_be(
    make: Callable[..., Connections], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, context = certified(tmp_path, name="right.example")
    names, peer = Names("127.0.0.1"), Peer()
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        strangers = make(look_up=names.look_up)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        friends = make(look_up=names.look_up)
        first = await ask(friends, Origin(True, "right.example.", port))
        assert await ask(friends, Origin(True, "right.example.", port)) is first
        for connections, host in ((strangers, "right.example"), (friends, "wrong.example"), (friends, "127.0.0.1")):
            with pytest.raises(ConnectError, match=r"(?i)certificate"):
                await connections.take(Origin(True, host, port), 10)
        names.addresses = ("127.0.0.9", "127.0.0.1")
        await ask(friends, Origin(True, "right.example", port))
        assert peer.connections == 2
