"""The reaper, with real processes: whatever kills the suite, nothing of a run is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from meshproof.reaper import Reaper, end

# A suite of its own: it starts a process that ignores SIGTERM if told so, lets the reaper watch it, and waits.
SUITE = """
import pathlib, signal, subprocess, sys, tempfile
from meshproof.reaper import Reaper
child = "import signal, sys, time; {ignore}; print('up', flush=True); time.sleep(600)"
with Reaper() as reaper:
    engine = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True, start_new_session=True)
    engine.stdout.readline()
    reaper.watch(engine.pid)
    (reaper.folder / "data").mkdir()
    (reaper.folder / "data" / "rows").write_text("rows")
    print(reaper._process.pid, engine.pid, reaper.folder, tempfile.gettempdir(), flush=True)
    sys.stdin.read()
"""


@contextmanager
def suite(ignore: str = "pass") -> Iterator[tuple[subprocess.Popen[str], psutil.Process, psutil.Process, Path]]:
    """A suite under way: itself, its reaper, its engine, its folder."""
    program = SUITE.replace("{ignore}", ignore)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        reaper, engine, folder, temporary = process.stdout.readline().split()
        assert folder == temporary, "temporary files go where the reaper removes them"
        try:
            yield process, psutil.Process(int(reaper)), psutil.Process(int(engine)), Path(folder)
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def assert_nothing_is_left(reaper: psutil.Process, engine: psutil.Process, folder: Path) -> None:
    reaper.wait(60)
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_suite_that_is_killed_leaves_nothing(number: signal.Signals) -> None:
    with suite() as (process, reaper, engine, folder):
        assert folder.exists()
        process.send_signal(number)
        assert_nothing_is_left(reaper, engine, folder)


def test_an_orderly_end_leaves_nothing() -> None:
    with suite() as (process, reaper, engine, folder):
        assert process.stdin is not None
        process.stdin.close()
        assert_nothing_is_left(reaper, engine, folder)
        assert process.wait() == 0


def test_signals_to_the_whole_session_do_not_reach_the_reaper() -> None:
    with suite() as (process, reaper, engine, folder):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            reaper.send_signal(number)
        os.killpg(process.pid, signal.SIGKILL)
        assert_nothing_is_left(reaper, engine, folder)


def test_a_process_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproof.reaper.TERM_S_MAX", 0.2)
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end([psutil.Process(process.pid)])
        assert process.wait() == -signal.SIGKILL


def test_children_that_outlive_their_parent_are_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproof.reaper.TERM_S_MAX", 0.2)
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        end([psutil.Process(process.pid)])
        child.wait(30)
        assert process.wait() == -signal.SIGTERM


def test_a_process_id_that_was_given_to_another_is_left_alone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, text=True
    ) as stranger:
        watched = psutil.Process(stranger.pid)
        # What a reused process id looks like: the same number, started at another time.
        watched._ident = (watched.pid, watched.create_time() - 100.0)  # type: ignore[attr-defined]
        end([watched])
        assert stranger.poll() is None
        assert stranger.stdin is not None
        stranger.stdin.close()
        assert stranger.wait() == 0


def test_what_is_already_gone_is_no_trouble() -> None:
    with Reaper() as reaper:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        reaper.watch(gone.pid)
        folder = reaper.folder
    assert not folder.exists()
