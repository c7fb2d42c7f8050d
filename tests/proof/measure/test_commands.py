"""The commands, as they are typed: what they print, and the exit code CI goes by."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from documents import summary
from story import SECOND, START_US, Story
from typer.testing import CliRunner

from meshproof.cli import app, run_app
from meshproof.ledger import write_document
from meshproof.measure import interleave, recording

TYPED = CliRunner()


def meshproof(*words: str | Path) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    done = TYPED.invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


def runs(folder: Path, at_s: int = 0, count: int = 6, **changed: Any) -> Path:
    for number in range(count):
        write_document(folder / f"{number:02d}" / "summary.json", summary(at_s + 20 * number, **changed))
    return folder


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({}, 0, "no difference"),
        ({"completed_per_s": 350.0}, 0, "B is better in completed_per_s (+16.7%)"),
        (
            {"completed_per_s": 250.0, "cpu_ms_per_run": 1.0},
            1,
            "B is worse in completed_per_s (-16.7%). It is better in cpu_ms",
        ),
        ({"digest": "x"}, 2, "more than one plan"),
    ],
)
def test_compare_says_what_came_of_it_and_exits_so(
    tmp_path: Path, changed: dict[str, Any], code: int, says: str
) -> None:
    a, b = runs(tmp_path / "A"), runs(tmp_path / "B", 10, **changed)
    found, printed = meshproof("compare", a, b)
    assert (found, says in " ".join(printed.split())) == (code, True), printed


def test_compare_tells_programs_too(tmp_path: Path) -> None:
    a, b = runs(tmp_path / "A"), runs(tmp_path / "B", 10, completed_per_s=250.0)
    code, printed = meshproof("compare", a, b, "--json", "--only", "completed*")
    told = json.loads(printed)
    assert (code, told["verdict"], told["interleaved"]) == (1, "worse", True)
    (figure,) = told["figures"]
    assert (figure["metric"], figure["word"], figure["better"]) == ("completed_per_s", "worse", "more")
    assert figure["low"] <= figure["ratio"] <= figure["high"] < 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "completed_per_second"], "Did you mean completed_per_s"),
        (["nowhere"], "holds no summary.json"),
    ],
)
def test_compare_that_can_not_be_done_says_why(tmp_path: Path, words: list[str], says: str) -> None:
    a = runs(tmp_path / "A")
    code, printed = meshproof(
        "compare", a, a if words[0].startswith("-") else words[0], *words[words[0] == "nowhere" :]
    )
    assert (code, says in " ".join(printed.split())) == (2, True), printed


def test_too_few_rounds_are_of_no_use(tmp_path: Path) -> None:
    a, b = runs(tmp_path / "A", count=2), runs(tmp_path / "B", 10, count=2, completed_per_s=1.0)
    code, printed = meshproof("compare", a, b)
    assert code == 2
    assert "5 of each are needed" in printed


MAKES = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
folder.mkdir(parents=True)
log = folder.parents[1] / "order"
order = log.read_text() if log.exists() else ""
log.write_text(order + folder.parent.name)
document = json.loads(pathlib.Path(sys.argv[1]).read_text())
document["completed_per_s"] = float(sys.argv[2])
document["started_us"] += len(order)
(folder / "summary.json").write_text(json.dumps(document))
sys.exit(3)  # unknown, as on a busy machine: its figures are compared all the same
"""


def test_compare_runs_commands_in_turn(tmp_path: Path) -> None:
    write_document(tmp_path / "like.json", summary())
    (tmp_path / "makes.py").write_text(MAKES)
    command = f"{sys.executable} {tmp_path / 'makes.py'} {tmp_path / 'like.json'}"
    out = tmp_path / "out"
    code, printed = meshproof(
        "compare", "--run", f"{command} 300", f"{command} 200 --out {{out}}", "--rounds", "5", "--out", out
    )
    assert code == 1, printed
    assert (out / "order").read_text() == "ABABABABAB"
    assert "not made in turn" not in printed
    assert meshproof("compare", "--run", command, command, "--out", out)[0] == 2  # nothing is written over


def test_a_command_that_leaves_nothing_is_told_with_its_last_words(tmp_path: Path) -> None:
    fails = f"{sys.executable} -c \"import sys; sys.exit('no such engine')\""
    with pytest.raises(interleave.CommandError, match=r"exit code 1 and left no summary[\s\S]*no such engine"):
        interleave.run((fails, fails), 1, tmp_path / "out", lambda line: None)
    with pytest.raises(interleave.CommandError, match="can't be started"):
        interleave.run(("/no/such/program", fails), 1, tmp_path / "other", lambda line: None)


def test_a_baseline_is_saved_and_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "baselines" / "load.json"
    assert meshproof("baseline", "save", file, runs(tmp_path / "A"))[0] == 0
    assert meshproof("compare", file, runs(tmp_path / "B", 9_000, completed_per_s=250.0))[0] == 1
    assert meshproof("compare", file, runs(tmp_path / "C", 9_000))[0] == 0


def test_runs_are_put_into_a_history_and_shown(tmp_path: Path) -> None:
    file, page = tmp_path / "history.duckdb", tmp_path / "pages" / "history.html"
    assert "6 added" in meshproof("history", "add", runs(tmp_path / "A"), "--file", file)[1]
    code, printed = meshproof("history", "add", tmp_path / "A", runs(tmp_path / "B", 900), "--file", file)
    assert (code, "6 added, 6 were there already" in printed) == (0, True), printed
    assert "load/mixed" in meshproof("history", "list", "--file", file)[1]
    code, printed = meshproof("history", "show", "--file", file, "--page", page)
    assert (code, "completed_per_s" in printed, "▁▁▁▁▁▁▁▁▁▁▁▁" in printed) == (0, True, True), printed
    assert "<html" in page.read_text()
    (series,) = json.loads(meshproof("history", "show", "--file", file, "--json", "--only", "completed_per_s")[1])
    assert [run["figures"] for run in series["runs"]] == [{"completed_per_s": 300.0}] * 12
    assert meshproof("history", "show", "--file", tmp_path / "none.duckdb")[0] == 2
    assert meshproof("history", "show", "--file", file, "--series", "soak/*")[0] == 2


def test_every_command_of_run_can_be_recorded() -> None:
    assert run_app.registered_commands
    for command in run_app.registered_commands:
        assert command.callback is not None
        assert recording.OPTIONS.keys() <= inspect.signature(command.callback).parameters.keys(), command.name


def test_a_run_is_held_against_thresholds_written_as_junit_and_put_into_the_history(tmp_path: Path) -> None:
    story = Story()
    story.delivered(1)
    story.sample(1, 1, at_us=START_US + SECOND)
    story.count(START_US + SECOND, accepted=1, terminal=1)
    story.plan["settings"] = {}
    evidence = story.write(tmp_path / "evidence")
    (tmp_path / "kept.toml").write_text('"lost" = "== 0"\n[faults]\n"lost" = "== 7"')
    (tmp_path / "broken.toml").write_text('"lost" = "== 0"\n"runs" = ">= 2"')
    (tmp_path / "unknown.toml").write_text('"losst" = "== 0"')
    wanted = ("--junit", tmp_path / "junit.xml", "--history", tmp_path / "history.duckdb")
    code, printed = meshproof("judge", evidence, "--thresholds", tmp_path / "broken.toml", *wanted)
    assert code == 1, printed
    assert "runs >= 2" in printed
    assert 'name="runs &gt;= 2"' in (tmp_path / "junit.xml").read_text()
    assert "load/duplicates" in meshproof("history", "list", "--file", tmp_path / "history.duckdb")[1]
    code, printed = meshproof("judge", evidence, "--thresholds", tmp_path / "kept.toml")
    assert (code, "kept" in printed, "== 7" in printed) == (0, True, False), printed
    code, printed = meshproof("judge", evidence, "--thresholds", tmp_path / "unknown.toml")
    assert (code, "Did you mean lost" in " ".join(printed.split())) == (2, True), printed


def test_the_help_of_a_command_that_is_offered_more_stays_its_own() -> None:
    def command(name: str = "x") -> None:
        """What it does."""

    more = recording.offered(command, ("thresholds",))
    assert more.__doc__ == "What it does."
    assert list(inspect.signature(more).parameters) == ["name", "thresholds"]
    probe = typer.Typer()
    probe.command()(more)
    assert TYPED.invoke(probe, ["--name", "y", "--thresholds", "/no/such.toml"]).exit_code == 2
