"""Planted bugs: every patch fits the engine as it is now, what counts as caught, and three of them hunted down for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from meshproof import scenarios
from meshproof.judge import INVARIANTS
from meshproof.judge.verdicts import Verdict
from meshproof.mutants import hunt
from meshproof.mutants.hunt import Hunted
from meshproof.mutants.one import Finding, Outcome
from meshproof.mutants.patch import PACKAGE, Patch, PatchError, engine, scratch
from meshproof.mutants.planted import MUTANTS
from meshproof.mutants.table import page
from meshproof.mutants.trials import TRIALS

MESHPROOF = Path(sys.executable).with_name("meshproof")
PAGE = Path(__file__).parents[2] / "docs" / "concurrency" / "mutants.md"
QUICK = {
    "lose-one-of-a-batch": "intake.lost",
    "ignore-dedupe": "intake.duplicated",
    "accept-another-body": "intake.conflict",
}
"""Three of one trial, so that the engine as it is has to go through that one alone."""


def test_there_are_enough_of_them_and_each_is_told_apart() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.patches for mutant in MUTANTS.values()}) == len(MUTANTS)


@pytest.mark.parametrize("name", MUTANTS)
def test_every_patch_fits_the_engine_and_leaves_it_readable(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    package = scratch(tmp_path, mutant.patches) / PACKAGE
    for file in {patch.file for patch in mutant.patches}:
        changed = (package / file).read_text(encoding="utf-8")
        assert changed != (engine() / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            compile(changed, file, "exec")


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_names_a_trial_and_invariants_that_exist(name: str) -> None:
    mutant = MUTANTS[name]
    assert mutant.trial in TRIALS
    assert mutant.caught_by
    assert set(mutant.caught_by) <= INVARIANTS.keys()
    assert mutant.bug.endswith(".")


@pytest.mark.parametrize("name", TRIALS)
def test_every_trial_is_of_a_scenario_and_of_use(name: str) -> None:
    assert TRIALS[name].scenario in scenarios.names()
    assert any(mutant.trial == name for mutant in MUTANTS.values())


def test_a_patch_that_does_not_fit_any_more_fails_and_says_which(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match=r"accept\.py has the text of a patch 0 times.*'no such line'"):
        scratch(tmp_path / "absent", [Patch("accept.py", "no such line\n", "")])
    with pytest.raises(PatchError, match=r"accept\.py has the text of a patch \d+ times"):
        scratch(tmp_path / "often", [Patch("accept.py", "return", "")])
    with pytest.raises(PatchError, match=r"no nowhere\.py any more"):
        scratch(tmp_path / "nowhere", [Patch("nowhere.py", "a", "b")])


def test_the_engine_itself_stays_as_it_is(tmp_path: Path) -> None:
    before = (engine() / "accept.py").read_bytes()
    scratch(tmp_path, MUTANTS["accept-another-body"].patches)
    assert (engine() / "accept.py").read_bytes() == before


def test_the_page_lists_what_the_code_has() -> None:
    assert page(MUTANTS.values()) in PAGE.read_text(encoding="utf-8"), "run: python tools/mutants.py"


# What counts as caught -------------------------------------------------------------------------------------------------


def hunted(*findings: tuple[str, Verdict], mutant: str | None = "ignore-dedupe", error: str | None = None) -> Hunted:
    found = [Finding(name, verdict, "said", "because", None) for name, verdict in findings]
    return Hunted("door", MUTANTS[mutant] if mutant else None, Path("out"), Outcome(found, error))


def test_a_mutant_is_caught_by_an_invariant_that_is_there_for_it() -> None:
    one = hunted(("intake.body", Verdict.FAIL), ("intake.duplicated", Verdict.FAIL))
    assert one.catch is not None
    assert one.catch.name == "intake.duplicated"
    assert hunt.document([one]) == {
        "mutants": [{"name": "ignore-dedupe", "caught": True, "by": "intake.duplicated"}],
        "clean": "pass",
    }


@pytest.mark.parametrize(
    "one",
    [
        hunted(),
        hunted(("intake.duplicated", Verdict.UNKNOWN)),
        hunted(("intake.body", Verdict.FAIL)),
        hunted(("validity.attempted", Verdict.FAIL)),
        hunted(("intake.duplicated", Verdict.FAIL), error="not done within 180 s"),
    ],
    ids=["nothing found", "unknown", "something else", "an unfair run", "no end"],
)
def test_nothing_else_is_a_catch(one: Hunted) -> None:
    assert one.catch is None
    assert hunt.document([one])["mutants"] == [{"name": "ignore-dedupe", "caught": False, "by": None}]


@pytest.mark.parametrize(
    ("one", "clean"),
    [
        (hunted(mutant=None), "pass"),
        (hunted(("validity.generator", Verdict.UNKNOWN), mutant=None), "pass"),
        (hunted(("intake.lost", Verdict.FAIL), mutant=None), "fail"),
        (hunted(("intake.lost", Verdict.UNKNOWN), mutant=None), "fail"),
        (hunted(("validity.attempted", Verdict.FAIL), mutant=None), "fail"),
        (hunted(mutant=None, error="not done within 180 s"), "fail"),
    ],
)
def test_the_engine_as_it_is_passes_only_when_everything_is_proved(one: Hunted, clean: str) -> None:
    assert hunt.document([one]) == {"mutants": [], "clean": clean}


# For real --------------------------------------------------------------------------------------------------------------


def meshproof(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MESHPROOF, "mutants", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
def test_three_mutants_are_caught_and_the_engine_passes_the_same_run(tmp_path: Path) -> None:
    only = [word for name in QUICK for word in ("--only", name)]
    done = meshproof(*only, "--json", "--out", tmp_path)
    assert json.loads(done.stdout) == {
        "mutants": [{"name": name, "caught": True, "by": by} for name, by in QUICK.items()],
        "clean": "pass",
    }, done.stderr
    assert done.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {*QUICK, "clean-door"}


def test_the_list_names_all_of_them() -> None:
    done = meshproof("--list")
    assert done.returncode == 0
    assert all(name in done.stdout for name in MUTANTS)


def test_an_unknown_mutant_is_wrong_usage() -> None:
    done = meshproof("--only", "ignore-everything")
    assert done.returncode == 2
    assert "There is no mutant 'ignore-everything'" in done.stderr
