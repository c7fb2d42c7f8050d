"""What a program is told of a run that goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meshproof.ledger import read_lines
from meshproof.live.events import Events, EventsError
from meshproof.live_view import LiveView
from meshproof.plan import Plan
from meshproof.stats import Histogram

PLAN = Plan("load", "mixed", 1, "n", rate=100.0, warmup_s=5.0, duration_s=95.0)


def look(second: int, **more: Any) -> dict[str, Any]:
    """A look at a run of 100 requests a second, 7 of which are not done."""
    done = 100 * second
    counts = {"accepted": done, "terminal": done - 7, "queued": 4, "leased": 3, "waiting": 0}
    seen = {
        "at_us": second * 1_000_000,
        "phase": "steady",
        "sent": done,
        "ok": done - 2,
        "new": done - 2,
        "level": None,
    }
    usage = {"cpu_s": 0.4 * second, "rss_bytes": 1}
    recent = {"p50": 1_500, "p99": 9_000}
    return {
        **seen,
        **counts,
        "fail": 1,
        "unknown": 1,
        "in_flight": 3,
        "accept_recent_us": recent,
        "roles": {"api": usage},
        **more,
    }


def test_figures_are_those_of_the_live_view() -> None:
    view = LiveView(PLAN, Histogram.of([2_000, 8_000]))
    view.see(look(1))
    view.see(look(2))
    told = view.figures(2.0)
    assert (told["sent"], told["acknowledged"], told["refused"], told["unknown"]) == (200, 198, 1, 1)
    assert (told["accepted"], told["finished"], told["backlog"], told["missing"]) == (200, 193, 7, 0)
    assert told["per_s"] == {"sent": 100.0, "acknowledged": 100.0, "finished": 100.0}
    assert told["accept_ms"] == {"p50": 1.5, "p99": 9.0}
    assert told["accept_ms_so_far"]["max"] == 8.0
    assert told["processor"] == {"api": 0.4}


def test_what_nobody_knows_is_null_and_not_nought() -> None:
    view = LiveView(PLAN, Histogram(), is_told=False)
    seen = look(1, accept_recent_us=None)
    for name in ("accepted", "terminal", "queued", "leased", "waiting"):
        del seen[name]
    view.see(seen)
    told = view.figures(1.0)
    unknown = ("sent", "accepted", "finished", "backlog", "missing", "queued", "accept_ms", "accept_ms_so_far")
    assert {told[name] for name in unknown} == {None}


def test_a_run_that_loses_runs_is_told_so_while_it_goes_on() -> None:
    view = LiveView(PLAN, Histogram())
    view.see(look(1, accepted=90))
    assert view.figures(1.0)["missing"] == 8


def test_lines_are_numbered_and_a_file_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "events.ndjson"
    for _ in range(2):
        with Events(str(file)) as events:
            events.tell("step", what="one")
            events.tell("ended", verdict=None)
        events.tell("step", what="after the end")
    assert [(line["n"], line["event"]) for line in read_lines(file)] == [(1, "step"), (2, "ended")]
    with pytest.raises(EventsError, match="can't be written"):
        Events(str(tmp_path))


def test_a_reader_who_has_gone_ends_no_run(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Events(str(pipe)) as events:
        events.tell("step", what="heard")
        assert b"heard" in os.read(reading, 1_000)
        os.close(reading)
        events.tell("step", what="not heard")
        events.tell("step", what="nor this")
