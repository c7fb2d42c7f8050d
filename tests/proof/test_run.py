"""Whole runs against the real engine, by the commands a user types."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from meshproof.ledger import read_document, read_lines
from meshproof.summary import KEYS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engine")]

MESHPROOF = Path(sys.executable).with_name("meshproof")
WAIT_S_MAX = 120.0


@contextmanager
def meshproof(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command of the suite under way; whatever is left of it at the end is killed."""
    with subprocess.Popen(
        [MESHPROOF, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def acknowledged(out: Path) -> int:
    """How many requests had been acknowledged at the last look."""
    observe = out / "samples" / "observe.ndjson"
    return max((line["ok"] for line in read_lines(observe)), default=0) if observe.exists() else 0


def family(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """The processes of a run, by the word that starts them; the reaper is among them."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            words = child.cmdline()
            found.update({word: child for word in ("serve", "work", "postgres", "meshproof.reaper") if word in words})
    return found


def assert_proved(out: Path) -> dict[str, Any]:
    """Every invariant holds. On a machine busy with other tests the generator may be late, which is no fault of
    anybody."""
    for result in read_document(out / "verdicts.json")["results"]:
        # The load may be over before a killed worker has come back on such a machine: then nobody knows, which is no failure.
        too_slow = result["name"] == "liveness.workers" and result["verdict"] == "unknown"
        if result["name"] != "validity.generator" and not too_slow:
            assert result["verdict"] == "pass", result
    summary: dict[str, Any] = read_document(out / "summary.json")
    assert tuple(summary) == KEYS
    return summary


def told_whole(events: Path, out: Path) -> None:
    """The story a program is told: in order, with every fault, every invariant, and the end."""
    told = list(read_lines(events))
    assert [one["n"] for one in told] == list(range(1, len(told) + 1))
    parts = dict.fromkeys(one["part"] for one in told if one["event"] == "step")
    assert list(parts) == ["planning", "starting", "load", "drain", "saving", "judging"]
    (started,) = (one for one in told if one["event"] == "started")
    assert started["attempts"] == read_document(out / "plan.json")["attempts"]
    looks = [one for one in told if one["event"] == "figures"]
    assert looks[-1]["sent"] == started["attempts"]
    assert looks[-1]["backlog"] == looks[-1]["missing"] == 0
    assert [(one["kind"], one["state"]) for one in told if one["event"] == "fault"] == [
        ("kill-worker", "begun"),
        ("kill-worker", "healed"),
    ]
    verdicts = read_document(out / "verdicts.json")
    judged = [(one["name"], one["verdict"]) for one in told if one["event"] == "judged"]
    assert judged == [(result["name"], result["verdict"]) for result in verdicts["results"]]
    assert (told[-1]["event"], told[-1]["verdict"]) == ("ended", verdicts["verdict"])
    page = (Path(__file__).parents[2] / "docs" / "concurrency" / "events.md").read_text(encoding="utf-8")
    assert {name for one in told for name in one if f"`{name}`" not in page} == set()


def assert_nothing_is_left(processes: list[psutil.Process], out: Path) -> None:
    """Neither a process nor a folder of the run is there any more."""
    for process in processes:
        eventually(f"the end of {process}", lambda process=process: not process.is_running() or is_zombie(process))
    engine = read_document(out / "plan.json")["namespace"]
    assert engine
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            assert str(out) not in " ".join(process.cmdline())


def is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_smoke_asks_every_family_it_can_and_calls_of_a_killed_worker_are_made_again_under_the_same_key(
    tmp_path: Path,
) -> None:
    """Some calls take a second, so some are under way when the worker is killed: the sink has then seen them twice."""
    out = tmp_path / "evidence"
    with meshproof("run", "smoke", "--out", out, "--events", tmp_path / "events.ndjson") as run:
        said, _ = run.communicate()
    summary = assert_proved(out)
    told_whole(tmp_path / "events.ndjson", out)
    assert run.returncode == (0 if summary["verdict"] == "pass" else 3), said
    results = read_document(out / "verdicts.json")["results"]
    asked = {result["family"] for result in results if result["of_what"] != "plans"}
    first = {"intake", "completion", "journal", "leases", "effects", "timers"}
    assert asked >= {*first, "limits", "children", "tenants", "validity"}
    receipts = Counter(line["key"] for path in (out / "effects").glob("*.ndjson") for line in read_lines(path))
    assert max(receipts.values()) > 1
    assert '""type"":""unknown""' in (out / "stored" / "events.csv").read_text(), "a call nobody knows the end of"
    (killed,) = read_lines(out / "faults.ndjson")
    assert (killed["kind"], killed["hit"]) == ("kill-worker", True)


def test_a_suite_that_is_ended_in_mid_run_leaves_nothing(tmp_path: Path) -> None:
    """Asked to stop or killed outright; both at the same time, since starting is most of the work."""
    load = ("run", "load", "--rate", "50", "--duration", "300", "--scenario", "simple")
    outs = {number: tmp_path / number.name for number in (signal.SIGINT, signal.SIGKILL)}
    with ExitStack() as running:
        runs = {
            number: running.enter_context(
                meshproof(*load, "--out", out, "--events", tmp_path / f"{number.name}.ndjson")
            )
            for number, out in outs.items()
        }
        for number, out in outs.items():
            eventually("acknowledged requests", lambda out=out: acknowledged(out) > 20)
            started = list(family(runs[number]).values())
            assert len(started) == 4
            folder = Path(next(process for process in started if "postgres" in process.cmdline()).cwd())
            assert folder.exists()
            runs[number].send_signal(number)
            said, _ = runs[number].communicate()
            assert_nothing_is_left(started, out)
            eventually("the removal of the folder", lambda folder=folder: not folder.parent.exists())
            if number is signal.SIGINT:
                assert runs[number].returncode == 3
                assert "nothing is proved" in said
                *_, last = read_lines(tmp_path / "SIGINT.ndjson")
                assert (last["event"], last["verdict"], last["interrupted"]) == ("ended", "unknown", True)


def test_levels_of_concurrency_are_held_exactly(tmp_path: Path) -> None:
    out = tmp_path / "evidence"
    arguments = ("--levels", "3,20", "--duration", "0.3", "--scenario", "pipeline", "--out", out)
    with meshproof("run", "concurrency", *arguments) as run:
        said, _ = run.communicate()
    summary = assert_proved(out)
    assert run.returncode == (0 if summary["valid"] else 3), said
    levels = read_document(out / "generator.json")["levels"]
    assert [(level["level"], level["in_flight_max"]) for level in levels] == [(3, 3), (20, 20)]
    assert [level["in_flight"] for level in read_document(out / "levels.json")] == [3, 20]
    assert (
        summary["runs"]
        == summary["attempted"]
        == sum(level["attempts"] for level in read_document(out / "plan.json")["levels"])
    )


def documented(out: Path) -> None:
    """Every field of an observation is in the document about them."""
    document = (Path(__file__).parents[2] / "docs" / "concurrency" / "observations.md").read_text(encoding="utf-8")
    for line in read_lines(out / "samples" / "observe.ndjson"):
        names = {*line, *line.get("database", {}), *line["roles"], *line["roles"]["suite"]}
        assert {name for name in names if f'"{name}"' not in document and f"`{name}`" not in document} == set()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "load", "--scenario", "simpel"), "no scenario 'simpel'"),
        (("run", "load", "--target", "http://127.0.0.1:1"), "--database"),
        (("run", "load", "--target", "http://192.0.2.7", "--database", "x"), "--i-own-this-target 192.0.2.7"),
        (("run", "load", "--target", "http://127.0.0.1:1", "--database", "x", "--scenario", "signatures"), "secret"),
        (("run", "faults", "--target", "http://127.0.0.1:1"), "engine of the suite's own only"),
        (("clean", "--target", "http://192.0.2.7", "--yes"), "another machine"),
        (("run", "load", "--target", "http://127.0.0.1:1", "--database", "x"), "does not answer"),
        (("run", "load", "--rate", "0"), "--rate"),
        (("run", "load", "--arrivals", "bursty"), "neither poisson nor constant"),
        (("run", "concurrency", "--levels", "5,many"), "no list of numbers"),
        (("run", "load", "--events", "/proc/none/events"), "--events /proc/none/events can't be written to"),
        (("judge", "nowhere"), "no evidence of a run"),
        (("run", "nothing"), "No such command"),
    ],
)
def test_what_was_asked_for_wrongly_is_said_with_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    out = ("--out", tmp_path / "out") if arguments[0] == "run" and arguments[1] != "nothing" else ()
    done = subprocess.run(
        [MESHPROOF, *arguments, *out],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    assert done.returncode == 2, done.stdout
    assert complaint in done.stdout
