"""Bytes that are hardly HTTP, straight into the socket: the server answers or hangs up, keeps what it accepts, and goes on."""

from __future__ import annotations

import random
import re
import socket
from contextlib import suppress

from tests.api.conftest import Api, Server, transform

SEEDS = range(1_000)
RUN_ID = re.compile(rb'"run_id": ?"([0-9a-f-]{36})"')
HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r\n(.*?)\r\n\r\n", re.DOTALL)


def request(path: str, body: bytes, *headers: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: localhost", b"content-type: application/json", *headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"connection: close", b"", body])


def spoiled(whole: bytes, chance: random.Random) -> bytes:
    """A request with something wrong in it, or several things."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(whole))
        piece = chance.choice(
            [b"\0", b"\r\n", b"\n", b"\r\n\r\n", b" ", b":", b"\xff", b"%", b"A" * 9_000, b"/../", b"{", b"0"]
        )
        match chance.randrange(5):
            case 0:
                whole = whole[:at] + piece + whole[at:]
            case 1:
                whole = whole[:at] + piece + whole[at + len(piece) :]
            case 2:
                whole = whole[:at]
            case 3:
                whole = whole[:at] + whole[at + chance.randint(1, 20) :]
            case _:
                name = chance.choice([b"content-length: 5", b"transfer-encoding: chunked", b"expect: 100-continue", b"te: x",
                                      b"content-encoding: gzip", b"content-length: -1", b"host: a", b"upgrade: h2c"])  # fmt: skip
                whole = whole.replace(b"\r\n", b"\r\n" + name + b"\r\n", 1)
        if not whole:
            return b"\r\n"
    return whole


def exchange(server: Server, sent: bytes) -> bytes:
    """All that is answered to ``sent``, until the server hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            with suppress(OSError):  # it hung up already
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass  # it hung up while we were sending
        return answer


def test_hardly_http_is_answered_or_hung_up_on_and_what_is_accepted_is_stored(
    api: Api, server: Server, name: str
) -> None:
    api.publish(name, transform())
    assert api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name}).status_code == 200
    accepted: set[str] = set()
    for seed in SEEDS:
        chance = random.Random(seed)
        path = chance.choice(
            [f"/hooks/{name}", f"/hooks/{name}", f"/api/v1/workflows/{name}/versions", "/api/v1/runs?limit=1"]
        )
        sent = spoiled(request(path, b'{"order": 12345}'), chance)
        answer = exchange(server, sent)
        accepted |= set(RUN_ID.findall(answer))
        for status, head in HEAD.findall(answer):
            assert int(status) < 500, (seed, sent, answer)
            if (
                int(status) >= 400 and b"content-length: 0" not in head.lower()
            ):  # else it was no HTTP, and nobody was asked
                assert b"application/problem+json" in head, (seed, sent, head)
    assert api.raw("GET", "/healthz").status_code == 200
    assert len(accepted) > 20
    for run_id in accepted:
        (first, *_) = api("GET", f"/api/v1/runs/{run_id.decode()}/events").json()["items"]
        assert (first["type"], first["workflow"]) == ("run.accepted", name)
