"""The help of every command has examples, and they are lines it takes; what can't be done is said in one sentence."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from meshproof.cli import app
from meshproof.examples import EXAMPLES, commands
from meshproof.mutants import planted

COMMAND: Any = get_command(app)
LINES = [(path, line) for path, lines in EXAMPLES.items() for line in lines if not line[0].isupper()]


def test_every_command_has_examples_and_nothing_else_has() -> None:
    assert {path for path, _ in commands(app)} == set(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES)
def test_help_shows_its_examples_and_exit_codes(path: str) -> None:
    shown = CliRunner().invoke(app, [*path.split(), "--help"], terminal_width=200)
    assert shown.exit_code == 0
    assert f"$ meshproof {path}" in shown.output
    assert "Exit codes: 0" in re.sub(r"\s+", " ", shown.output)


@pytest.mark.parametrize(("path", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_a_line_the_command_takes(path: str, line: str) -> None:
    found = COMMAND
    words = shlex.split(line)
    for word in path.split():
        assert words.pop(0) == word
        found = found.commands[word]
    options = found.make_context(path, words).params
    assert set(options.get("only") or ()) <= planted.MUTANTS.keys()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "load", "--out", "/proc/none/load"), "/proc/none/load can't be written to"),
        (("run", "all", "--out", "/proc/none/all"), "/proc/none/all can't be written to"),
        (("run", "stress", "--start", "100", "--top", "50"), "is not above the first step"),
        (("run", "driven", "--", "no-such-driver"), "There is no command no-such-driver here"),
        (("bench", "--bloat-s", "0"), "--bloat-s"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_begins(arguments: tuple[str, ...], complaint: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 2, done.output
    assert complaint in re.sub(r"[\s│]+", " ", done.output)


def test_a_plan_that_is_none_is_said_so(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", "{"):
        (tmp_path / "plan.json").write_text(text)
        done = CliRunner().invoke(app, ["judge", str(tmp_path)])
        assert (done.exit_code, "is no plan of a run" in re.sub(r"\s+", " ", done.output)) == (2, True), done.output


def test_the_suite_is_a_module_to_run_too() -> None:
    done = subprocess.run([sys.executable, "-m", "meshproof", "scenarios"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "noisy_neighbour" in done.stdout
