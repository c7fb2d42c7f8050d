"""What a test of the Lab may be asked for, how the suite is started, and what the files of a test add up to."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshhook.errors import Refusal
from meshhook.ids import make_run_id
from meshhook.lab import suite
from meshhook.lab.bench import Lab, scenario_name, title
from meshhook.lab.shelf import Shelf, note
from meshhook.lab.told import fold
from meshhook.lab.wanted import TestWanted, bound_s, problems, words

SCENARIOS, FAULTS = {"simple", "mixed"}, {"kill-worker", "cut-api"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIGURES = {
    **dict.fromkeys(("sent", "acknowledged", "refused", "unknown", "in_flight", "accepted", "finished"), 1),
    "t_s": 1.0,
    "phase": "steady",
    "level": None,
    "backlog": 0,
    "missing": 0,
    "accept_ms": None,
    "per_s": {"sent": 1.0, "acknowledged": 1.0, "finished": None},
    "accept_ms_so_far": {"p50": 1.0},
}


def wanted(**told: Any) -> TestWanted:
    return msgspec.convert({"scenario": "simple", **told}, TestWanted)


def faults_of(**told: Any) -> list[str]:
    return [f"{fault.path} {fault.code}" for fault in problems(wanted(**told), SCENARIOS, FAULTS)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, []),
        ({"profile": "smoke", "scenario": None}, []),
        ({"scenario": None, "workflow": "mine", "version": "draft", "template": {"id": "{{ index }}"}}, []),
        ({"profile": "faults", "faults": ["kill-worker"]}, []),
        ({"profile": "smoke"}, ["$.scenario not-here"]),
        ({"scenario": None}, ["$ missing"]),
        ({"workflow": "mine"}, ["$ missing"]),
        ({"scenario": "none"}, ["$.scenario unknown-scenario"]),
        ({"version": 3, "payload": {}}, ["$.version not-here", "$.payload not-here"]),
        ({"scenario": None, "workflow": "w", "payload": 1, "template": 1}, ["$.template not-here"]),
        ({"scenario": None, "workflow": "w", "payload": "x" * 300_000}, ["$.payload too-large"]),
        ({"scenario": None, "workflow": "w", "calls": "200 " * 200}, ["$.calls too-large"]),
        (
            {"rate": 0, "duration_s": 601, "warmup_s": -1, "workers": 9, "seed": -1},
            ["rate", "duration_s", "warmup_s", "workers", "seed"],
        ),
        ({"rate": float("nan")}, ["$.rate bad-number"]),
        ({"profile": "concurrency", "levels": []}, ["$.levels bad-number"]),
        ({"profile": "concurrency", "levels": [5, 2001]}, ["$.levels[1] bad-number"]),
        ({"profile": "faults"}, ["$.faults missing"]),
        ({"profile": "faults", "faults": ["kill-worker", "; rm -rf /"]}, ["$.faults[1] unknown-fault"]),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(told: dict[str, Any], found: list[str]) -> None:
    said = faults_of(**told)
    assert len(said) == len(found)
    assert all(part in one for one, part in zip(said, found, strict=True))


def test_the_command_says_what_was_asked_for() -> None:
    out, events = Path("/o"), Path("/e")
    always = ["--seed", "7", "--out", "/o", "--events", "/e", "--stop-with-stdin"]
    load = words(wanted(seed=7, rate=12.5, duration_s=30, shape="sine"), "simple", out, events)
    assert load[:2] == ["run", "load"]
    assert load[2:9] == always
    assert load[9:] == ["--scenario", "simple", "--workers", "1", "--rate", "12.5", "--warmup", "2", "--duration", "30",
                        "--shape", "sine", "--no-floor"]  # fmt: skip
    smoke = words(wanted(profile="smoke", scenario=None, seed=7), None, out, events)
    assert smoke == ["run", "smoke", *always]
    levels = words(wanted(profile="concurrency", levels=[3, 20]), "simple", out, events)
    assert levels[-2:] == ["--levels", "3,20"]
    broken = words(wanted(profile="faults", faults=["cut-api", "kill-worker"]), "simple", out, events)
    assert broken[-2:] == ["--faults", "cut-api,kill-worker"]
    assert bound_s(wanted(profile="concurrency", levels=[1, 2, 3], duration_s=100)) > 300 + 100


def test_the_suite_takes_these_words(tmp_path: Path) -> None:
    """The command line of the suite and ours go together: it refuses an option it does not know."""
    from typer.testing import CliRunner

    from meshproof.cli import app

    for told in ({}, {"profile": "concurrency"}, {"profile": "faults", "faults": ["kill-worker"]}):
        said = words(wanted(**told), "no-such-scenario", tmp_path / "out", tmp_path / "events")
        result = CliRunner().invoke(app, said)
        assert result.exit_code == 2
        assert "no scenario 'no-such-scenario'" in " ".join(result.output.split()), result.output


def test_the_suite_is_told_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESHHOOK_DATABASE_URL", "PGHOST", "PGPASSWORD", "DATABASE_URL", "MESHPROOF_API_KEY", "MY_TOKEN"):
        monkeypatch.setenv(name, "live")
    assert "live" not in suite.environment().values()
    assert suite.environment()["PATH"] == os.environ["PATH"]


def test_titles_say_what_is_tested() -> None:
    assert title(wanted(rate=50)) == "simple at 50/s"
    assert title(wanted(scenario=None, workflow="w", version=3, shape="sine")) == "w, version 3 at 50/s, sine"
    assert title(wanted(profile="faults", faults=["a", "b"])) == "simple at 50/s, 2 kinds of faults"
    assert title(wanted(profile="concurrency", levels=[5, 50])) == "simple, 5, 50 in flight"
    assert title(wanted(profile="smoke", scenario=None)) == "a little of everything"
    assert scenario_name("Order-Intake (v2).x") == "own_order_intake__v2__x"


def lines(*told: dict[str, Any]) -> list[bytes]:
    return [msgspec.json.encode({"n": number, "at_us": 1, **one}) + b"\n" for number, one in enumerate(told, 1)]


def judged(family: str, verdict: str, of_what: str = "runs") -> dict[str, Any]:
    return {
        "event": "judged",
        "name": f"{family}.x",
        "family": family,
        "verdict": verdict,
        "checked": 5,
        "of_what": of_what,
    }


def test_events_add_up() -> None:
    told = lines(
        {"event": "step", "part": "planning", "what": "Planning"},
        {"event": "started", "command": "meshproof run", "adapted": ["it: shorter"]},
        {"event": "step", "part": "load", "what": "Sending"},
        {"event": "figures", **FIGURES},
        judged("intake", "pass"),
        judged("intake", "fail"),
        judged("intake", "unknown"),
        judged("sync", "pass", "plans"),
    )
    standing = fold([*told, b'{"n": 9, "cut o'])
    assert (standing.part, standing.doing, standing.last, standing.is_over) == ("load", "Sending", 8, False)
    assert standing.figures is not None
    assert standing.figures.accept_ms_so_far == {"p50": 1.0}
    intake, sync = standing.families
    assert (intake.verdict, intake.judged, intake.asked, intake.checked) == ("fail", 3, True, 15)
    assert (sync.verdict, sync.asked, sync.checked) == ("pass", False, 0)
    end = {"event": "ended", "verdict": "fail", "reason": "lost", "interrupted": False}
    assert fold([*told, *lines(end)]).verdict == "fail"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "lab")


def put(shelf: Shelf, *told: dict[str, Any], at_ms: int = 1) -> str:
    """A test on the shelf that has told this."""
    shelf.folder.mkdir(exist_ok=True)
    id = make_run_id(0, at_ms)
    folder = shelf.make(id, wanted(), "simple", NOW)
    if told:
        (folder / "events.ndjson").write_bytes(b"".join(lines(*told)))
    return id


END = {"event": "ended", "verdict": "pass", "reason": "holds", "interrupted": False}


@pytest.mark.parametrize(
    ("told", "cancelled", "state"),
    [
        ([END], False, "ended"),
        ([{**END, "verdict": None}], False, "refused"),
        ([], False, "refused"),
        ([{"event": "note", "what": "x"}], False, "interrupted"),
        ([{**END, "interrupted": True}], False, "interrupted"),
        ([{**END, "interrupted": True}], True, "cancelled"),
        ([{"event": "note", "what": "x"}], True, "cancelled"),
        ([END], True, "ended"),
    ],
)
def test_how_a_test_that_is_over_ended(shelf: Shelf, told: list[dict[str, Any]], cancelled: bool, state: str) -> None:
    id = put(shelf, *told)
    (shelf.of(id) / "log.txt").write_text("what it said")
    if cancelled:
        shelf.cancel(id)
    found = shelf.test(id)
    assert found.state == state
    assert found.reason
    assert (found.verdict == "pass") is (state == "ended")


def test_who_holds_the_lock_runs_the_test(shelf: Shelf) -> None:
    with shelf.taken() as lock:
        id = put(shelf)
        note(lock, id)
        assert (shelf.running(), shelf.test(id).state) == (id, "running")
        with pytest.raises(BlockingIOError), shelf.taken():
            pass
        with pytest.raises(Refusal, match="under way"):
            shelf.remove(id)
        shelf.keep(0)
        assert shelf.ids() == [id]
    assert (shelf.running(), shelf.test(id).state) == (None, "refused")
    shelf.remove(id)
    assert shelf.ids() == []


def test_the_newest_are_kept_and_listed_first(shelf: Shelf) -> None:
    ids = [put(shelf, END, at_ms=at_ms) for at_ms in (1, 2, 3)]
    assert [one.id for one in shelf.briefs()] == ids[::-1]
    shelf.keep(2)
    assert shelf.ids() == [ids[2], ids[1]]


@pytest.mark.parametrize("id", ["../../etc/passwd", "..", "", "lock", "0" * 36, "00000000-0005-7000-8000-000000000000"])
def test_what_is_no_test_is_not_found(shelf: Shelf, id: str) -> None:
    put(shelf, END)
    for look in (shelf.test, shelf.cancel, shelf.remove, shelf.events, shelf.evidence):
        with pytest.raises(Refusal, match="no test of this id"):
            look(id)


@pytest.mark.parametrize(
    ("is_on", "missing", "says"),
    [(False, [], "Set lab to true"), (True, ["duckdb"], "duckdb"), (True, [], None)],
)
def test_where_it_is_not_there_it_says_what_to_do(
    tmp_path: Path, is_on: bool, missing: list[str], says: str | None
) -> None:
    obstacle = Lab(tmp_path, is_on=is_on, kept=1, missing=lambda: missing).obstacle()
    assert (obstacle.detail if obstacle else None) is says if says is None else says in str(obstacle)
