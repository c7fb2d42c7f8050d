"""Planted bugs: every patch fits the engine as it is now, what counts as caught, and three of them hunted down for real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from meshproof import scenarios
from meshproof.cli import app
from meshproof.judge import INVARIANTS
from meshproof.judge.verdicts import Verdict
from meshproof.mutants import hunt
from meshproof.mutants.hunt import Hunted
from meshproof.mutants.one import Finding, Job, Outcome
from meshproof.mutants.patch import PACKAGE, Patch, PatchError, engine, scratch
from meshproof.mutants.planted import MUTANTS
from meshproof.mutants.table import page
from meshproof.mutants.trials import TRIALS

PAGE = Path(__file__).parents[2] / "docs" / "concurrency" / "mutants.md"
TOGETHER = {
    "lose-one-of-a-batch": "intake.lost",
    "accept-another-body": "intake.conflict",
    "refuse-what-is-stored": "intake.phantom",
}
"""Three that do not get in each other's way, so that one run shows all of them."""


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


# A trial that came to nothing ------------------------------------------------------------------------------------------


async def sizes_of(outcomes: dict[str, list[Outcome]]) -> tuple[list[Hunted], list[tuple[str, float]]]:
    made: list[tuple[str, float]] = []

    async def run(job: Job) -> Outcome:
        name = job.mutants[0] if job.mutants else "clean"
        made.append((name, job.size))
        return outcomes[name].pop(0)

    return await hunt.hunt([MUTANTS["ignore-dedupe"]], 1, Path("out"), 1, run=run), made


CAUGHT = Outcome([Finding("intake.duplicated", Verdict.FAIL, "said", "because")])
UNKNOWN = Outcome([Finding("intake.lost", Verdict.UNKNOWN, "said", None)])
FAILED = Outcome([Finding("intake.lost", Verdict.FAIL, "said", "because")])


async def test_whoever_was_not_caught_is_hunted_again_with_more_load() -> None:
    hunted, made = await sizes_of({"clean": [Outcome([])], "ignore-dedupe": [Outcome([]), CAUGHT]})
    assert made == [("clean", 1.0), ("ignore-dedupe", 1.0), ("ignore-dedupe", 3.0)]
    assert hunt.document(hunted)["mutants"][0]["caught"]


@pytest.mark.parametrize("first", [UNKNOWN, Outcome([], "not done within 240 s")], ids=["unknown", "no end"])
async def test_what_could_not_be_proved_of_the_engine_as_it_is_is_tried_again(first: Outcome) -> None:
    hunted, made = await sizes_of({"clean": [first, Outcome([])], "ignore-dedupe": [CAUGHT]})
    assert [size for name, size in made if name == "clean"] == [1.0, 3.0]
    assert hunt.document(hunted)["clean"] == "pass"


async def test_a_failure_of_the_engine_as_it_is_stays_one() -> None:
    hunted, made = await sizes_of({"clean": [FAILED], "ignore-dedupe": [CAUGHT]})
    assert [size for name, size in made if name == "clean"] == [1.0]
    assert hunt.document(hunted)["clean"] == "fail"


# For real --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
async def test_three_mutants_are_caught_in_one_engine_and_the_engine_as_it_is_passes_the_same_run(
    tmp_path: Path,
) -> None:
    jobs = [
        Job("door", names, seed=1, out=str(tmp_path / str(len(names))), size=0.5) for names in ((), tuple(TOGETHER))
    ]
    clean, broken = await asyncio.gather(*map(hunt.in_a_process, jobs))
    assert Hunted("door", None, tmp_path, clean).is_clean, clean
    for name, invariant in TOGETHER.items():
        catch = Hunted("door", MUTANTS[name], tmp_path, broken).catch
        assert catch is not None, broken
        assert catch.name == invariant


def meshproof(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["mutants", *arguments])


def test_the_list_names_all_of_them() -> None:
    done = meshproof("--list")
    assert done.exit_code == 0
    assert all(name in done.output for name in MUTANTS)


def test_an_unknown_mutant_is_wrong_usage() -> None:
    done = meshproof("--only", "ignore-everything")
    assert done.exit_code == 2
    assert "There is no mutant 'ignore-everything'" in done.output
