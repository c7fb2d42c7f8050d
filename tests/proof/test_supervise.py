"""Supervision, with real processes: a death is put on record and mended, an end that was asked for is neither."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from meshproof.ledger import read_lines
from meshproof.reaper import Reaper
from meshproof.supervise import Incidents, ProcessError, Supervised

STEADY = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


class Watched:
    """A supervised Python program that says when it is up."""

    def __init__(self, program: str, folder: Path, reaper: Reaper) -> None:
        self.up = asyncio.Event()
        self.incidents = Incidents(folder / "incidents.ndjson")
        self.process = Supervised(
            "worker",
            [sys.executable, "-c", program],
            environment=dict(os.environ),
            folder=folder,
            log=folder / "worker.log",
            reaper=reaper,
            incidents=self.incidents,
            on_line=lambda _: self.up.set(),
        )

    async def is_up(self) -> int:
        """Wait until the program says so; returns its process id."""
        async with asyncio.timeout(60):
            await self.up.wait()
        self.up.clear()
        assert self.process.pid is not None
        return self.process.pid


async def check_until_it_fails(process: Supervised) -> None:
    """Look again and again, as a run does."""
    while True:
        process.check()
        await asyncio.sleep(0)


async def test_a_killed_process_is_started_again_and_both_are_on_record(tmp_path: Path, reaper: Reaper) -> None:
    watched = Watched(STEADY, tmp_path, reaper)
    await watched.process.start()
    first = await watched.is_up()
    os.kill(first, signal.SIGKILL)
    second = await watched.is_up()
    await watched.process.stop()
    watched.incidents.close()
    lines = [(line["role"], line["pid"], line["what"]) for line in read_lines(tmp_path / "incidents.ndjson")]
    assert lines == [
        ("worker", first, "ended unexpectedly (killed by SIGKILL)"),
        ("worker", second, "started again"),
    ]
    assert watched.process.pid is None


async def test_an_end_that_was_asked_for_is_no_incident(tmp_path: Path, reaper: Reaper) -> None:
    watched = Watched(STEADY, tmp_path, reaper)
    await watched.process.start()
    await watched.is_up()
    await watched.process.stop()
    watched.incidents.close()
    assert list(read_lines(tmp_path / "incidents.ndjson")) == []


async def test_a_process_that_cannot_start_is_given_up_with_the_end_of_its_log(tmp_path: Path, reaper: Reaper) -> None:
    watched = Watched("import sys; sys.exit('no such setting: MESHHOOK_PROT')", tmp_path, reaper)
    await watched.process.start()
    with pytest.raises(ProcessError, match="MESHHOOK_PROT"):
        await asyncio.wait_for(check_until_it_fails(watched.process), 60)
    await watched.process.stop()
    watched.incidents.close()


async def test_a_process_that_will_not_end_is_killed_and_that_is_on_record(
    tmp_path: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshproof.supervise.STOP_S_MAX", 0.1)
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STEADY}"
    watched = Watched(stubborn, tmp_path, reaper)
    await watched.process.start()
    await watched.is_up()
    await watched.process.stop()
    watched.incidents.close()
    (line,) = read_lines(tmp_path / "incidents.ndjson")
    assert line["what"].startswith("did not stop within")


async def test_who_is_struck_again_and_again_on_purpose_is_started_again_and_again(
    tmp_path: Path, reaper: Reaper
) -> None:
    watched = Watched(STEADY, tmp_path, reaper)
    await watched.process.start()
    struck = []
    for _ in range(6):
        await watched.is_up()
        struck.append(watched.process.strike(signal.SIGKILL))
    await watched.is_up()
    watched.process.check()
    await watched.process.stop()
    watched.incidents.close()
    ended = [line["pid"] for line in read_lines(tmp_path / "incidents.ndjson") if "on purpose" in line["what"]]
    assert ended == struck
    with pytest.raises(ProcessError, match="no worker to send SIGKILL"):
        watched.process.strike(signal.SIGKILL)


async def test_who_is_frozen_ends_when_it_is_told_to(tmp_path: Path, reaper: Reaper) -> None:
    watched = Watched(STEADY, tmp_path, reaper)
    await watched.process.start()
    pid = await watched.is_up()
    watched.process.strike(signal.SIGSTOP)
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        await asyncio.sleep(0)
    await watched.process.stop()
    watched.incidents.close()
    assert list(read_lines(tmp_path / "incidents.ndjson")) == [], "it had not to be killed"


def test_an_incident_may_have_gone_on_for_a_while(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path / "incidents.ndjson")
    incidents.add("fault", None, "healed", since_us=17)
    incidents.close()
    (line,) = read_lines(tmp_path / "incidents.ndjson")
    assert (line["since_us"], line["pid"]) == (17, None)
    assert incidents.unseen == ["fault healed"]
