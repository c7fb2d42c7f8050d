"""The client of the generator, against the null server and against ports nobody listens on."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from meshproof.load.client import Exchange, Pool
from meshproof.load.outcome import Outcome, outcome_of


def request(path: str, body: bytes = b"{}") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def send(
    port: int, *paths: str, timeout_s: float = 10.0, connections_max: int = 8, tls: bool = False
) -> list[Exchange]:
    """Send everything at once and wait until all of it has ended."""
    ended: list[Exchange] = []
    all_ended = asyncio.Event()

    def note(exchange: Exchange) -> None:
        ended.append(exchange)
        if len(ended) == len(paths):
            all_ended.set()

    pool = Pool("127.0.0.1", port, note, timeout_s=timeout_s, connections_max=connections_max, tls=tls)
    exchanges = [Exchange(None, request(path)) for path in paths]
    for exchange in exchanges:
        pool.submit(exchange)
    async with asyncio.timeout(30):
        while not all_ended.is_set():
            pool.expire()
            await asyncio.sleep(0)
    await pool.close()
    assert len(ended) == len(set(map(id, ended))), "every exchange ends once"
    return exchanges


@pytest.fixture
def dead_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_an_acknowledgement_is_ok_and_carries_the_run(null_port: int) -> None:
    (exchange,) = await send(null_port, "/hooks/x")
    assert outcome_of(exchange) == Outcome("ok", 202, None, "01900000-0000-7000-8000-000000000000", False, None)


async def test_more_requests_than_connections_all_get_their_reply(null_port: int) -> None:
    exchanges = await send(null_port, *["/hooks/x"] * 200, connections_max=3)
    assert [exchange.status for exchange in exchanges] == [202] * 200


async def test_a_refused_connection_is_a_fail_because_nothing_was_sent(dead_port: int) -> None:
    (exchange,) = await send(dead_port, "/hooks/x")
    assert outcome_of(exchange) == Outcome("fail", None, None, None, None, "refused")
    assert exchange.sent_ns == 0


async def test_a_reset_is_unknown_and_leaves_the_other_connections_alone(null_port: int) -> None:
    exchanges = await send(null_port, "/hooks/x", "/reset", "/hooks/x")
    assert [outcome_of(exchange).verdict for exchange in exchanges] == ["ok", "unknown", "ok"]
    assert exchanges[1].error == "reset"


async def test_over_tls_the_certificate_decides_whether_a_byte_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certificate_of_loopback(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        body = b'{"run_id": "r", "duplicate": false}'
        writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        (stranger,) = await send(port, "/hooks/x", tls=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        (known,) = await send(port, "/hooks/x", tls=True)
    assert outcome_of(stranger).verdict == "fail"
    assert outcome_of(known) == Outcome("ok", 202, None, "r", False, None)
    assert len(came) == 1


def certificate_of_loopback(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has heard of, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(pem)
    return folder / "certificate.pem", folder / "key.pem"


async def test_silence_is_unknown_after_the_timeout(null_port: int) -> None:
    exchanges = await send(null_port, "/silent", "/silent", timeout_s=0.05)
    assert [outcome_of(exchange) for exchange in exchanges] == [
        Outcome("unknown", None, None, None, None, "timeout")
    ] * 2


async def test_a_request_that_never_got_a_connection_was_never_sent(null_port: int) -> None:
    exchanges = await send(null_port, "/silent", "/hooks/x", timeout_s=0.05, connections_max=1)
    assert [outcome_of(exchange).verdict for exchange in exchanges] == ["unknown", "fail"]


async def test_what_is_no_http_is_unknown(null_port: int) -> None:
    (exchange,) = await send(null_port, "/garbled")
    assert outcome_of(exchange).verdict == "unknown"
    assert exchange.error == "garbled"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("400", "fail"),
        ("404", "fail"),
        ("413", "fail"),
        ("422", "fail"),
        ("429", "fail"),
        ("503", "fail"),
        ("500", "unknown"),
        ("502", "unknown"),
        ("504", "unknown"),
        ("302", "unknown"),
    ],
)
async def test_refusals(null_port: int, status: str, verdict: str) -> None:
    (exchange,) = await send(null_port, f"/status/{status}")
    outcome = outcome_of(exchange)
    assert (outcome.verdict, outcome.status, outcome.problem) == (verdict, int(status), "/problems/overloaded")
    assert exchange.retry_after == b"1"


def reply(status: int, body: bytes) -> Exchange:
    exchange = Exchange(None, b"")
    exchange.status, exchange.body, exchange.done = status, body, True
    return exchange


def test_a_503_without_a_problem_type_promises_nothing() -> None:
    assert outcome_of(reply(503, b"<html>bad gateway</html>")).verdict == "unknown"
    assert outcome_of(reply(503, b"{}")).verdict == "unknown"


def test_an_acknowledgement_whose_body_cannot_be_read_is_still_one() -> None:
    outcome = outcome_of(reply(202, b"oops"))
    assert (outcome.verdict, outcome.run_id) == ("ok", None)
    assert outcome.error
