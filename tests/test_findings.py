"""Figures in the documentation are those of the runs that are kept, and can't be anything else."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def load() -> ModuleType:
    found = importlib.util.spec_from_file_location("findings_tool", ROOT / "tools" / "findings.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    return tool


findings = load()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of its own for runs that are kept, and one run in it."""
    monkeypatch.setattr(findings, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(findings, "ROOT", tmp_path)
    findings.document_of.cache_clear()
    write(tmp_path / "build" / "summary.json", summary())
    findings.add(tmp_path / "build", tmp_path / "runs" / "soak")
    yield tmp_path / "runs"
    findings.document_of.cache_clear()


def summary(**changed: Any) -> dict[str, Any]:
    return {
        "profile": "soak",
        "scenario": "mixed",
        "commit": "abcdef0123",
        "verdict": "pass",
        "runs": 12_345,
        "lost": 0,
        "duplicated": 0,
        "wrong": 0,
        "stuck": None,
        "completed_per_s": 299.6,
        "end_to_end_ms": {"p50": 2.04, "p99": 18.66},
        "rss_bytes_max": {"api": 100_000_000, "worker": 107_000_000},
        "started_us": 1_795_456_800_000_000,
        "versions": {"packages": {"duckdb": "2"}, "postgres": {"version": "18.4", "settings": {"fsync": "on"}}},
    } | changed


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def test_every_page_is_as_the_runs_tell() -> None:
    stale = [str(page) for page in findings.pages() if findings.fill(page.read_text()) != page.read_text()]
    assert not stale, "run: python tools/findings.py"


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md", "docs/concurrency/findings.md"])
def test_pages_with_figures_have_them_from_runs(page: str) -> None:
    assert findings.BLOCK.search((ROOT / page).read_text())


def test_no_page_holds_a_mark_outside_of_a_template() -> None:
    for page in findings.pages():
        rest = findings.BLOCK.sub("", page.read_text())
        assert "<!-- from the runs" not in rest, page
        assert "<!-- / -->" not in rest, page


def test_a_run_that_is_kept_is_small_and_named_on_a_page() -> None:
    told = "".join(page.read_text() for page in findings.pages())
    for folder in findings.RUNS.iterdir():
        assert f"{{{folder.name}:" in told or f"{{{folder.name}/" in told or "{runs}" in told, folder
        assert sum(file.stat().st_size for file in folder.iterdir()) <= findings.BYTES_MAX


def test_a_template_is_filled_in_and_again_when_the_run_is_another(runs: Path, tmp_path: Path) -> None:
    page = "Before.\n<!-- from the runs:\n{soak:runs ,d} runs, p99 {soak:end_to_end_ms.p99 .1f} ms\n-->\nold\n<!-- / -->\nAfter.\n"
    filled = findings.fill(page)
    assert filled.endswith("-->\n\n12,345 runs, p99 18.7 ms\n\n<!-- / -->\nAfter.\n")
    assert findings.fill(filled) == filled
    write(tmp_path / "build" / "summary.json", summary(runs=7))
    findings.add(tmp_path / "build", runs / "soak")
    assert "7 runs, p99 18.7 ms" in findings.fill(filled)


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        ("{soak:rss_bytes_max.api+rss_bytes_max.worker MB}", "207 MB"),
        ("{soak:started_us date}", "2026-11-23 18:00 UTC"),
        ("{soak:started_us day}", "23 November 2026"),
        ("{soak:commit .8}", "abcdef01"),
        ("{soak/summary.json:runs ,d}", "12,345"),
        ("{not a mark} {}", "{not a mark} {}"),
    ],
)
def test_figures_have_the_form_that_is_asked_for(runs: Path, mark: str, shown: str) -> None:
    assert findings.made_of(mark) == shown


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("{soak:run ,d}", "there is no 'run'. Did you mean runs?"),
        ("{soak:end_to_end_ms.p99.9 ,d}", "there is no '9'"),
        ("{soaks:runs ,d}", "Kept are soak; add one: python tools/findings.py add DIR NAME"),
        ("{soak:stuck ,d}", "is None, which has no form"),
        ("{soak/terminal.txt}", "is not there"),
    ],
)
def test_a_mark_that_can_not_be_filled_in_says_why(runs: Path, mark: str, says: str) -> None:
    with pytest.raises(findings.FigureError, match=says.replace("?", r"\?")):
        findings.made_of(mark)


def test_what_is_kept_is_without_what_matters_to_the_run_alone(runs: Path) -> None:
    kept = json.loads((runs / "soak" / "summary.json").read_text())
    assert kept["versions"] == {"postgres": {"version": "18.4"}}
    assert kept["runs"] == 12_345


def test_the_table_of_runs_tells_each_of_them(runs: Path) -> None:
    (row,) = findings.table().splitlines()[2:]
    assert row.startswith(
        "| [soak](runs/soak): `soak` `mixed` | pass | 12,345 | 0, 0, 0, ? | 300/s | 2.0 ms, 18.7 ms | `abcdef01` |"
    )


def test_a_series_is_one_line_with_the_sums_of_its_runs(runs: Path, tmp_path: Path) -> None:
    histograms = {"pipeline": {"histograms": {"accept_ms": "large"}, "runs_per_s": 1.0}}
    parts = [{"summary": summary(runs=5, stuck=0)}, {"summary": summary(runs=7, stuck=1)}, {"summary": None}]
    write(tmp_path / "all" / "series.json", {"kind": "all", "verdict": "fail", "parts": parts, "rows": histograms})
    findings.add(tmp_path / "all", runs / "all")
    assert "| [all](runs/all): `all`, 3 runs | fail | 12 | 0, 0, 0, 1 |" in findings.table()
    assert "large" not in (runs / "all" / "series.json").read_text()


def test_what_is_no_run_is_not_kept(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(findings.FigureError, match=r"holds no summary\.json"):
        findings.add(tmp_path, runs / "nothing")
    write(tmp_path / "large" / "summary.json", summary(note="x" * findings.BYTES_MAX))
    with pytest.raises(findings.FigureError, match="are kept in the repository"):
        findings.add(tmp_path / "large", runs / "large")
