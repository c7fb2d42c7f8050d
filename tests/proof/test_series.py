"""Several runs together are as good as the worst of them, and a family that nobody asked anything is no pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshproof import scenarios
from meshproof.analysis.scaling import Law, Measured
from meshproof.evidence import EvidenceError, prepare_series
from meshproof.judge import FAMILIES
from meshproof.judge.verdicts import Counts, Result, Verdict, Verdicts
from meshproof.ledger import read_document, write_document
from meshproof.profiles import scale, series, whole
from meshproof.profiles.settings import RunSettings

SETTINGS = RunSettings("all", "everything", seed=1, out=Path("out"), namespace="n")


def part(name: str, verdict: str = "pass") -> dict[str, Any]:
    return {
        "name": name,
        "title": f"run {name}",
        "profile": "load",
        "verdict": verdict,
        "reason": "r",
        "seconds": 2.0,
        "summary": None,
    }


def judged(folder: Path, *results: tuple[str, int, str]) -> None:
    folder.mkdir(parents=True)
    found = [
        Result(name, name.partition(".")[0], "says", Verdict.PASS, checked, 0, "s", [], of_what)
        for name, checked, of_what in results
    ]
    nothing = Counts(*[None] * 11)
    (folder / "verdicts.json").write_bytes(Verdicts(Verdict.PASS, True, "r", nothing, found).to_json())


def test_a_family_is_covered_by_whatever_run_asked_it_something(tmp_path: Path) -> None:
    judged(tmp_path / "a", ("timers.early", 1, "plans"), ("intake.lost", 40, "deliveries"), ("timers.late", 1, "plans"))
    judged(tmp_path / "b", ("timers.early", 7, "timers"), ("intake.lost", 2, "deliveries"), ("timers.late", 1, "plans"))
    found = series.coverage(tmp_path, [part("a"), part("b"), part("never came to its end")])
    assert found["intake"] == {"verdict": "pass", "facts": 42, "not_asked": []}
    assert found["timers"] == {"verdict": "pass", "facts": 7, "not_asked": ["timers.late"]}
    assert found["effects"] == {"verdict": "unknown", "facts": 0, "not_asked": []}
    assert found.keys() == FAMILIES.keys()


@pytest.mark.parametrize(
    ("verdicts", "short", "whole_verdict"),
    [
        (("pass", "pass"), [], "pass"),
        (("pass", "pass"), ["the family effects was never asked anything"], "unknown"),
        (("pass", "invalid", "unknown"), [], "invalid"),
        (("pass", "fail", "invalid"), ["something"], "fail"),
    ],
)
def test_the_whole_is_as_good_as_its_worst(
    tmp_path: Path, verdicts: tuple[str, ...], short: list[str], whole_verdict: str
) -> None:
    played = [part(f"p{number}", verdict) for number, verdict in enumerate(verdicts)]
    document = series.conclude(tmp_path, "all", played, {"shortcomings": short})
    assert document["verdict"] == whole_verdict
    assert all(sentence in document["reason"] for sentence in short)
    assert read_document(tmp_path / "series.json") == document
    page = (tmp_path / "report.html").read_text()
    assert all(f"run p{number}" in page for number in range(len(verdicts)))


def test_every_scenario_of_the_folder_is_driven_in_both_forms() -> None:
    for quick in (True, False):
        driven: set[str] = set()
        for each in whole.parts_of(SETTINGS, quick=quick):
            driven |= set(scenarios.load(each.settings.scenario).members)
        assert driven >= set(scenarios.names()) - set(whole.BLENDS)


def test_runs_of_a_series_have_folders_and_namespaces_of_their_own() -> None:
    settings = whole.scale_settings(SETTINGS, quick=False)
    parts = [*whole.parts_of(SETTINGS, quick=False), *scale.parts_of(settings)]
    assert len({each.settings.out for each in parts}) == len({each.settings.namespace for each in parts}) == len(parts)
    assert [size for _, size in scale.sizes_in_order(settings)] == [
        1,
        2,
        3,
        4,
        6,
        8,
        8,
        6,
        4,
        3,
        2,
        1,
        1,
        2,
        3,
        4,
        6,
        8,
    ]


def test_what_sizes_say_is_fitted_drawn_and_cautioned_about(tmp_path: Path) -> None:
    law = Law(900.0, 0.3, 0.01)
    settings = whole.scale_settings(SETTINGS, quick=True)
    told = scale.told(settings, [Measured(size, law.at(size)) for size in settings.sizes])
    assert told["law"]["contention"] == pytest.approx(0.3, abs=0.01)
    assert told["law"]["measured"] == pytest.approx(law.at(3))
    assert (told["caution"] is not None) == (told["cores"] < 8)
    document = series.conclude(tmp_path, "scale", [part("a")], told)
    page = (tmp_path / "report.html").read_text()
    assert document["verdict"] == "pass"
    assert page.count("<svg") > 1
    assert "held out: 3" in page
    too_few = scale.told(settings, [Measured(size, law.at(size)) for size in (1, 2, 3, 4)])
    assert series.conclude(tmp_path, "scale", [part("a")], too_few)["verdict"] == "unknown"


def test_the_folder_of_a_series_is_emptied_only_of_what_a_series_left(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_document(tmp_path / "a" / "plan.json", {})
    write_document(tmp_path / "series.json", {})
    assert list(prepare_series(tmp_path).iterdir()) == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine")
    with pytest.raises(EvidenceError, match="a, which is no evidence"):
        prepare_series(tmp_path)
    assert (tmp_path / "a" / "thesis.txt").exists()
