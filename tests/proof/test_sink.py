"""The sink, as a process: it answers by its script, and what it has received is on record before it answers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from meshproof.ledger import read_lines
from meshproof.reaper import Reaper
from meshproof.sink import Sink
from meshproof.sink.script import Answer, ScriptError, parse
from meshproof.supervise import Incidents
from meshproof.target import free_port

BODY = b'{"total": 5}'
RECEIPT = b'{"receipt":"%b"}' % sha256(BODY).hexdigest().encode()


class Running:
    """A sink process, and a way to ask it."""

    def __init__(self, port: int, folder: Path, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.folder = folder
        self.process = process

    def ledger(self) -> list[dict[str, Any]]:
        return [line for path in self.folder.glob("*.ndjson") for line in read_lines(path)]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, script: str, key: str = "run/call", on: socket.socket | None = None) -> bytes:
        """Everything that comes back on a connection, until it has a whole answer or ends."""
        if on is None:
            with closing(self.connect()) as own:
                return self.ask(script, key, own)
        head = f'POST /x HTTP/1.1\r\nhost: s\r\nidempotency-key: "{key}"\r\nsink-script: {script}\r\n'
        on.sendall(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
        answer = b""
        while not answer.endswith(RECEIPT):
            try:
                piece = on.recv(65_536)
            except ConnectionResetError:
                return answer + b"<reset>"
            if not piece:
                return answer + b"<end>"
            answer += piece
        return answer


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Running]:
    with subprocess.Popen(
        [sys.executable, "-m", "meshproof.sink.server", "--folder", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Running(int(process.stdout.readline()), tmp_path, process)
        process.stdin.close()
        process.wait()


def test_every_attempt_gets_its_word_of_the_script_and_the_last_one_stays(sink: Running) -> None:
    answers = [sink.ask("503;after=2 reset cut 201")[:12] for _ in range(5)]
    assert answers == [b"HTTP/1.1 503", b"<reset>", b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 201"]
    assert [(line["attempt"], line["answer"]) for line in sink.ledger()] == [
        (1, "503"),
        (2, "reset"),
        (3, "cut"),
        (4, "201"),
        (5, "201"),
    ]


def test_what_it_says_is_what_the_script_asks_for(sink: Running) -> None:
    assert b"retry-after: 2\r\n" in sink.ask("503;after=2")
    assert sink.ask("cut", "b/c").endswith(b"<end>")
    whole = sink.ask("200;ms=30;slow=30", "c/c")
    assert whole.endswith(RECEIPT)
    assert b"retry-after" not in whole
    assert sink.ask("nonsense", "d/c").startswith(b"HTTP/1.1 400")


def test_a_receipt_tells_all_about_the_request(sink: Running) -> None:
    with closing(sink.connect()) as connection:
        sink.ask("200;ms=7", "r1/call", connection)
        sink.ask("200", "r2/each[3].call", connection)
    first, second = sink.ledger()
    assert (first["key"], second["key"]) == ("r1/call", "r2/each[3].call")
    assert first["connection"] == second["connection"]
    assert (first["hash"], first["bytes"], first["path"]) == (sha256(BODY).hexdigest(), len(BODY), "/x")
    assert (first["wait_ms"], second["wait_ms"]) == (7, 0)
    assert 0 < first["at_us"] <= second["at_us"]


def test_a_request_is_on_record_before_its_answer_leaves(sink: Running) -> None:
    """The sink is killed as soon as the answer is here: what it has written is there."""
    for number in range(50):
        sink.ask("200", f"r{number}/call")
        assert len(sink.ledger()) == number + 1
    sink.process.kill()
    sink.process.wait()
    assert len(sink.ledger()) == 50


def test_a_request_that_hangs_is_on_record_and_others_are_answered_meanwhile(sink: Running) -> None:
    with closing(sink.connect()) as silent:
        silent.sendall(b'GET /y HTTP/1.1\r\nhost: s\r\nidempotency-key: "h/c"\r\nsink-script: hang\r\n\r\n')
        assert sink.ask("200").endswith(RECEIPT)
        while len(sink.ledger()) < 2:
            assert sink.ask("200", "again/c").endswith(RECEIPT)
        assert "hang" in {line["answer"] for line in sink.ledger()}


def test_half_a_request_is_none(sink: Running) -> None:
    with closing(sink.connect()) as cut:
        cut.sendall(b"POST /x HTTP/1.1\r\nhost: s\r\ncontent-length: 100\r\n\r\nhalf")
    assert sink.ask("200").endswith(RECEIPT)
    assert len(sink.ledger()) == 1


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("", [Answer("answer", 200)]),
        ("200", [Answer("answer", 200)]),
        ("503;after=1;ms=20 hang", [Answer("answer", 503, 20, 0, 1), Answer("hang")]),
        ("reset;ms=5 cut 200;slow=40", [Answer("reset", 0, 5), Answer("cut"), Answer("answer", 200, 0, 40)]),
    ],
)
def test_a_script_is_a_word_an_attempt(text: str, answers: list[Answer]) -> None:
    assert list(parse(text)) == answers


@pytest.mark.parametrize("text", ["burst", "99", "700", "200;ms", "200;ms=x", "200;often=2", "200 " * 101, "0"])
def test_what_is_no_script_is_refused(text: str) -> None:
    with pytest.raises(ScriptError):
        parse(text)


async def test_its_ledger_is_where_it_was_asked_for_wherever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    incidents = Incidents(tmp_path / "incidents.ndjson")
    with Reaper() as reaper:
        port = free_port()
        sink = Sink(port, folder=Path("run/effects"), logs=Path("run/logs"), reaper=reaper, incidents=incidents)
        await sink.start()
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as on:
            on.sendall(b"GET /x HTTP/1.1\r\nhost: s\r\n\r\n")
            assert on.recv(65_536)
        await sink.stop()
    incidents.close()
    (line,) = [line for path in (tmp_path / "run" / "effects").glob("*.ndjson") for line in read_lines(path)]
    assert line["path"] == "/x"
