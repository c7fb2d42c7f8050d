"""Locust's own master and workers play a plan: every attempt once, in ledgers that merge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meshproof.ledger import read_document, read_lines, write_document
from meshproof.load.client import Exchange
from meshproof.load.outcome import outcome_of
from meshproof.load.wire import Wire
from meshproof.merge import merge, planned_lines
from meshproof.plan import Plan
from meshproof.target import free_port

LOCUSTFILE = Path(__file__).parents[2] / "deploy" / "locust" / "locustfile.py"
WAIT_S_MAX = 120.0
PLAN = Plan("load", "duplicates", 3, "mp00000000001", rate=40.0, duration_s=1.0)


@pytest.fixture(scope="module")
def merged(null_port: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers have sent to a server that takes everything, brought together."""
    folder = tmp_path_factory.mktemp("locust")
    document = PLAN.document() | {"bounds": {"drain_s": 1.0}}
    write_document(folder / "plan.json", document)
    words = ["-f", LOCUSTFILE, "--headless", "--processes", "2", "--only-summary"]
    # Another test may have a master as well.
    port = str(free_port())
    words += ["--master-bind-port", port, "--master-port", port]
    with subprocess.Popen(
        [sys.executable, "-m", "locust", *map(str, words)],
        env={**os.environ, "MESHPROOF_PLAN": str(folder), "LOCUST_HOST": f"http://127.0.0.1:{null_port}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as master:
        try:
            said, _ = master.communicate(timeout=WAIT_S_MAX)
        except subprocess.TimeoutExpired:
            # Its workers are of its session.
            os.killpg(master.pid, signal.SIGKILL)
            raise
    assert master.returncode == 0, said
    merge(folder, [folder / "locust"])
    return folder


def test_every_attempt_of_the_plan_is_sent_once_by_one_of_the_workers(merged: Path) -> None:
    sent = [line for file in (merged / "sent").glob("*.attempts.ndjson") for line in read_lines(file)]
    for line in sent:
        del line["intended_us"]
    assert sorted(sent, key=lambda line: line["n"]) == list(planned_lines(PLAN))
    told = [line for file in (merged / "sent").glob("*.outcomes.ndjson") for line in read_lines(file)]
    assert {line["n"] for line in told} == {line["n"] for line in sent}
    assert {(line["outcome"], line["status"]) for line in told} == {("ok", 202)}


def test_the_workers_certify_what_they_left_unsent_and_how_late_they_were(merged: Path) -> None:
    processes = read_document(merged / "generator.json")["processes"]
    assert [process["process"] for process in processes] == ["0.locust", "1.locust"]
    planned = sum(1 for _ in PLAN.attempts())
    assert sum(process["tally"]["sent"] for process in processes) == planned
    for process in processes:
        # Shares are even, to one attempt.
        assert abs(process["tally"]["sent"] - planned / 2) < 1
        assert process["unsent"] == 0
        assert process["lag_ms"]["p99"] > 0


def test_a_wire_says_what_became_of_each_request(null_port: int) -> None:
    """The paths are those of the null server: see test_client.py for the same of the native client."""
    wire = Wire("127.0.0.1", null_port, timeout_s=0.2)
    said = {path: carried(wire, path) for path in ("/hooks/x", "/reset", "/hooks/again", "/garbled", "/silent")}
    said["nobody"] = carried(Wire("127.0.0.1", 1), "/hooks/x")
    assert {path: outcome_of(exchange)[:2] for path, exchange in said.items()} == {
        "/hooks/x": ("ok", 202),
        "/reset": ("unknown", None),
        "/hooks/again": ("ok", 202),
        "/garbled": ("unknown", None),
        "/silent": ("unknown", None),
        "nobody": ("fail", None),
    }
    wire.close()


def carried(wire: Wire, path: str) -> Exchange:
    exchange = Exchange(None, f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{{}}".encode())
    wire.carry(exchange)
    assert exchange.done
    return exchange
