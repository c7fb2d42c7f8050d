"""Ledgers of several senders become those of one run, or it is said why they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshproof import phases
from meshproof.ledger import read_document, read_lines
from meshproof.merge import MergeError, merge, together
from meshproof.phases import Phase

PLAN: dict[str, Any] = {"digest": "d", "namespace": "mp00000000", "scenario": "simple", "seed": 1, "bounds": {}}
PROCESS = {"process": 0, "lag_ms": None, "cpu_share": 0.1, "unsent": 0}
CERTIFICATE = {"processes": [PROCESS], "target_per_s": 50.0, "calibration_per_s": 200.0, "cores": 2}


def part(folder: Path, number: int, plan: dict[str, Any] = PLAN, skew_us: int = 0) -> Path:
    """What one sender left: one attempt, a sample, and when it was steady."""
    (folder / "sent").mkdir(parents=True)
    (folder / "samples").mkdir()
    (folder / "sent" / "0.attempts.ndjson").write_text(json.dumps({"n": number, "intended_us": 100}) + "\n")
    (folder / "sent" / "0.outcomes.ndjson").write_text(json.dumps({"n": number}) + "\n")
    (folder / "sent" / "signals.ndjson").write_text("")
    (folder / "samples" / "seen.ndjson").write_text(json.dumps({"at_us": number}) + "\n")
    (folder / "plan.json").write_text(json.dumps(plan | {"bounds": {"clock_skew_us": skew_us}}))
    (folder / "generator.json").write_text(json.dumps(CERTIFICATE))
    steady = Phase("steady", 1_000 + 100 * number, 2_000 + 100 * number)
    phases.write(folder, [Phase("warm-up", 100 * number, steady.from_us), steady])
    return folder


def test_everything_is_in_one_folder_and_figures_come_from_when_all_were_steady(tmp_path: Path) -> None:
    parts = [part(tmp_path / str(number), number, skew_us=7 * number) for number in range(3)]
    out = tmp_path / "out"
    for _ in range(2):
        # Again over the same folder: nothing is in it twice.
        merge(out, parts)
        attempts = [line["n"] for file in sorted((out / "sent").glob("*.attempts.*")) for line in read_lines(file)]
        assert attempts == [0, 1, 2]
        assert [line["at_us"] for line in read_lines(out / "samples" / "seen.ndjson")] == [0, 1, 2]
        assert read_document(out / "plan.json")["bounds"] == {"clock_skew_us": 14}
        assert phases.read(out) == [Phase("warm-up", 0, 1_200), Phase("steady", 1_200, 2_000)]


def test_a_folder_of_folders_stands_for_all_of_them(tmp_path: Path) -> None:
    for number in range(2):
        part(tmp_path / "locust" / f"worker-{number}", number)
    merge(tmp_path / "out", [tmp_path / "locust"])
    assert len(list((tmp_path / "out" / "sent").glob("*.attempts.ndjson"))) == 2


@pytest.mark.parametrize("other", [{"digest": "e"}, {"namespace": "mp11111111"}, {"seed": 2}])
def test_parts_of_different_plans_are_not_brought_together(tmp_path: Path, other: dict[str, Any]) -> None:
    parts = [part(tmp_path / "a", 0), part(tmp_path / "b", 1, PLAN | other)]
    with pytest.raises(MergeError, match=f"differ in {next(iter(other))}"):
        merge(tmp_path / "out", parts)
    assert not (tmp_path / "out").exists()


def test_what_holds_no_ledgers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello\n")
    for path, why in (("empty", "holds no ledgers"), ("text", "neither a folder"), ("nothing", "There is no")):
        with pytest.raises(MergeError, match=why):
            merge(tmp_path / "out", [tmp_path / path])
    whole = part(tmp_path / "whole", 0)
    (whole / "generator.json").unlink()
    with pytest.raises(MergeError, match="did not come to its end"):
        merge(tmp_path / "out", [whole])


def test_of_several_certificates_the_one_with_the_least_to_spare_counts() -> None:
    weak = CERTIFICATE | {"target_per_s": 100.0, "calibration_per_s": 150.0}
    other = {"processes": [PROCESS | {"process": "k6"}], "target_per_s": None, "calibration_per_s": None}
    joined = together([CERTIFICATE, weak, other])
    assert [process["process"] for process in joined["processes"]] == ["0.0", "1.0", "2.k6"]
    # It could do 1.5 times its share: so could all of them together, at most.
    assert (joined["target_per_s"], joined["calibration_per_s"]) == (150.0, 225.0)
    uncalibrated = together([CERTIFICATE, weak | {"calibration_per_s": None}])
    assert (uncalibrated["target_per_s"], uncalibrated["calibration_per_s"]) == (150.0, None)
    assert together([other])["target_per_s"] is None
