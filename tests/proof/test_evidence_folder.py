"""The folder of a run: an earlier run is replaced, anything else is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof import evidence


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    folder = evidence.prepare(tmp_path / "build" / "prove")
    assert [path.name for path in folder.iterdir()] == ["samples"]


def test_an_earlier_run_is_removed(tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "0.attempts.ndjson").write_text("{}")
    (tmp_path / "plan.json").write_text("{}")
    evidence.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(evidence.EvidenceError, match=r"thesis\.tex.*--out"):
        evidence.prepare(tmp_path)
    assert (tmp_path / "plan.json").exists()


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(evidence.EvidenceError, match="is a file"):
        evidence.prepare(tmp_path / "file")


def test_only_a_folder_with_a_plan_can_be_judged(tmp_path: Path) -> None:
    with pytest.raises(evidence.EvidenceError, match=r"no plan\.json"):
        evidence.require(tmp_path)
    (tmp_path / "plan.json").write_text('{"profile": "load"}')
    assert evidence.require(tmp_path) == tmp_path


def test_flame_graphs_are_of_a_run_and_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "flames").mkdir()
    (tmp_path / "flames" / "api-1.svg").write_text("<svg/>")
    evidence.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]
