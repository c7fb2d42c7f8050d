"""What a run shows while it goes on, made of looks."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from rich.console import Console

from meshproof.live_view import LiveView, sparkline
from meshproof.plan import Level, Plan
from meshproof.stats import Histogram

OPEN = Plan("load", "mixed", 1, "n", rate=100.0, warmup_s=5.0, duration_s=95.0)
CLOSED = Plan("concurrency", "mixed", 1, "n", levels=(Level(5, 100), Level(50, 300)))


def look(second: int, **more: Any) -> dict[str, Any]:
    """A look at a run of 100 requests a second, all of them done at once."""
    done = 100 * second
    usage = {"cpu_s": 0.4 * second, "rss_bytes": 1}
    seen = {"at_us": second * 1_000_000, "sent": done, "ok": done, "new": done, "fail": 0, "unknown": 0, "in_flight": 3}
    counts = {"accepted": done, "terminal": done - 7, "queued": 4, "leased": 3, "waiting": 0}
    return {**seen, **counts, "level": None, "accept_recent_us": None, "roles": {"api": usage}, **more}


def shown(view: LiveView, elapsed_s: float) -> str:
    console = Console(file=StringIO(), width=120, record=True)
    console.print(view.panel(elapsed_s))
    return console.export_text()


def test_rates_percentiles_backlog_phase_and_what_is_left() -> None:
    view = LiveView(OPEN, Histogram.of([*[2_000] * 98, 8_000, 9_000]))
    for second in range(1, 31):
        view.see(look(second))
    said = shown(view, 30.0)
    for part in ("steady  30 of 100 s, 1:10 min left", "3,000", "100/s", "p50 2.0", "p99 8.0", "max 9.0", "api 40%"):
        assert part in said
    assert "backlog" in said
    assert "queued 4   leased 3" in said
    assert "nothing missing so far" in said
    assert "warm-up" in shown(view, 4.0)
    assert "waiting for the last runs" in shown(view, 101.0)


def test_acknowledged_runs_that_no_later_snapshot_holds_are_missing() -> None:
    view = LiveView(OPEN, Histogram())
    view.see(look(1))
    view.see(look(2, accepted=195))
    assert "5 acknowledged runs are missing" in shown(view, 2.0)
    assert "5 acknowledged runs are missing" in view.line(2.0)


def test_a_look_that_does_not_count_leaves_the_counts_as_they_were() -> None:
    view = LiveView(OPEN, Histogram())
    view.see(look(1))
    uncounted = look(2)
    del uncounted["accepted"], uncounted["terminal"]
    view.see(uncounted)
    assert "finished 93 (backlog 7)" in view.line(2.0)
    # What was acknowledged since the count cannot be in it.
    assert "nothing missing so far" in view.line(2.0)
    view.see(look(3))
    assert re.search(r"finished +293 +100/s", shown(view, 3.0))


def test_levels_show_which_one_it_is() -> None:
    view = LiveView(CLOSED, Histogram())
    view.see(look(1, level=5))
    view.see(look(2, level=50))
    assert "5 50 in flight, 2 s left" in shown(view, 2.0)


def test_what_happened_stands_at_the_end_and_is_counted() -> None:
    view = LiveView(OPEN, Histogram())
    view.see(look(1))
    for number in range(5):
        view.happened(f"worker {number} was killed")
    said = shown(view, 1.0)
    assert "5 events" in said
    assert "worker 4 was killed" in said
    assert "worker 1 was killed" not in said


def test_who_is_not_told_and_who_does_not_look_says_so() -> None:
    view = LiveView(OPEN, Histogram(), is_told=False, looks_in=False)
    seen = look(1)
    for name in ("accepted", "terminal", "queued", "leased", "waiting"):
        del seen[name]
    view.see(seen)
    said = shown(view, 1.0)
    assert "by others" in said
    assert "somebody else looks into the database" in said
    alone = LiveView(OPEN, Histogram())
    alone.see(seen)
    assert "the database does not answer" in alone.line(1.0)


def test_a_sparkline_goes_from_nothing_to_the_most_there_was() -> None:
    assert sparkline([0.0, 1.0, 4.0, 8.0]) == "▁▂▅█"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""
