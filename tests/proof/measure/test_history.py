"""The history: what is added is there once, what can be compared is one series, and its changes are marked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
from documents import START_US, summary

from meshproof.measure import history, history_page, tables


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty runs of a series, slower from the twentieth on, and one of another plan."""
    path = tmp_path_factory.mktemp("history") / "deep" / "history.duckdb"
    with history.opened(path) as store:
        for number in range(30):
            pace = 300.0 + number % 4 if number < 20 else 240.0 + number % 4
            assert store.add(summary(number * 60, completed_per_s=pace, commit=f"{number:040x}"))
        assert store.add(summary(5_000, digest="another"))
    return path


def test_runs_that_can_be_compared_are_one_series_in_order(file: Path) -> None:
    with history.opened(file) as store:
        one, other = sorted(store.series(), key=lambda series: len(series.runs), reverse=True)
    assert (one.name, len(one.runs), len(other.runs)) == ("load/mixed", 30, 1)
    assert [run.started_us for run in one.runs] == [START_US + number * 60_000_000 for number in range(30)]
    assert one.line("completed_per_s")[1][:2] == [300.0, 301.0]
    assert one.machine == "2 × a processor, 8 GiB, Linux 6 x86_64"


def test_a_run_is_there_once_however_often_it_is_added(file: Path) -> None:
    with history.opened(file) as store:
        assert not store.add(summary(0, completed_per_s=300.0, commit=f"{0:040x}"))
        assert sum(len(series.runs) for series in store.series()) == 31


def test_a_change_is_marked_with_the_run_and_the_commit_it_came_with(file: Path) -> None:
    with history.opened(file) as store:
        (series,) = (one for one in store.series() if len(one.runs) == 30)
    ((run, change),) = series.changes("completed_per_s")
    assert run.commit == f"{20:040x}"
    assert (change.before, change.after) == (301.5, 241.0)
    assert series.changes("cpu_ms_per_run") == []
    assert str(tables.marked("completed_per_s", run, change)) == "worse -20.1% since 2027-01-15 08:20 (00000000)"
    assert tables.spark(series.line("completed_per_s")[1], {20}).index("│") == 20


def test_what_was_no_fair_test_is_in_the_history_and_in_no_line(tmp_path: Path) -> None:
    with history.opened(tmp_path / "history.duckdb") as store:
        store.add(summary(0))
        store.add(summary(1, valid=False, verdict="invalid", completed_per_s=1.0))
        (series,) = store.series()
    assert len(series.runs) == 2
    assert series.line("completed_per_s")[1] == [300.0]


def test_a_sparkline_shows_the_newest() -> None:
    assert tables.spark([1.0, 2.0, 3.0], set()) == "▁▅█"
    assert tables.spark([5.0, 5.0], set()) == "▁▁"
    assert len(tables.spark([float(number) for number in range(200)], set())) == tables.POINTS_MAX


def test_the_page_holds_every_chart_its_marks_and_nothing_from_the_network(file: Path) -> None:
    with history.opened(file) as store:
        chosen = [(series, ["completed_per_s", "cpu_ms_per_run"]) for series in store.series()]
    page = history_page.fill(chosen)
    data = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page)
    assert data is not None
    charts = json.loads(data[1])
    marked = {len(chart["values"]): chart["marks"] for chart in charts if chart["name"] == "completed_per_s"}
    assert marked == {30: [{"at": 20, "good": False}], 1: []}
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


def test_a_file_that_is_none_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(history.HistoryError, match="meshproof run … --history"),
        history.opened(tmp_path / "x", create=False),
    ):
        pass
    (tmp_path / "garbage").write_text("this is no database, and long enough to be taken for one" * 100)
    with pytest.raises(history.HistoryError, match="no DuckDB file"), history.opened(tmp_path / "garbage"):
        pass
    with duckdb.connect(tmp_path / "other.duckdb") as connection:
        connection.execute("CREATE VIEW runs AS SELECT 1 AS x")
    with pytest.raises(history.HistoryError, match="no history of runs"), history.opened(tmp_path / "other.duckdb"):
        pass
