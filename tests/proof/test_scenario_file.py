"""A scenario of the user's own: what is taken, and what is refused before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproof import scenario_file, scenarios
from meshproof.scenario_file import ScenarioFileError, adopt, adopt_kept, keep, named

WHOLE = '''"""Echoes."""
import json
from meshproof.draw import Draw
from meshproof.scenarios import Expected
DEFINITION = {"nodes": [{"id": "echo", "type": "transform", "config": {"expression": "input"}}],
              "edges": [{"from": "trigger", "to": "echo"}]}
def payload(seed, index):
    return json.dumps({"number": index, "draw": Draw(seed, "echo", index).below(10)}).encode()
def model(body):
    return Expected("completed", json.loads(body))
'''
AT = "from itertools import count\nat = count()\n"


@pytest.fixture(autouse=True)
def _nothing_is_adopted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(scenarios.OWN, "")
        yield
    scenarios.load.cache_clear()


def written(folder: Path, text: str, name: str = "echo.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_file_becomes_a_scenario_under_its_own_name(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    assert named(str(file)) == "echo"
    assert named("simple") == "simple"
    assert "echo" in scenarios.names()
    assert "echo" not in scenarios.built_in()
    scenario = scenarios.load("echo")
    assert scenario.summary == "Echoes."
    assert scenario.expected(1, 3).output["number"] == 3


def test_nothing_is_left_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = written(tmp_path, WHOLE)
    adopt(file)
    assert list(tmp_path.iterdir()) == [file]


def test_processes_started_from_here_know_it(tmp_path: Path) -> None:
    adopt(written(tmp_path, WHOLE))
    asked = "from meshproof import scenarios; print(scenarios.load('echo').payload(1, 2).decode())"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.encode().strip() == scenarios.load("echo").payload(1, 2)


def test_the_copy_in_the_evidence_takes_the_place_of_a_file_that_has_changed(tmp_path: Path) -> None:
    file = written(tmp_path / "mine", WHOLE)
    adopt(file)
    keep(tmp_path / "evidence", ["echo", "simple"])
    assert [path.name for path in (tmp_path / "evidence" / scenario_file.FOLDER).iterdir()] == ["echo.py"]
    file.write_text(WHOLE.replace("Echoes.", "Changed."))
    adopt(file)
    assert scenarios.load("echo").summary == "Changed."
    adopt_kept(tmp_path / "evidence")
    assert scenarios.load("echo").summary == "Echoes."


@pytest.mark.parametrize(
    ("text", "name", "complaint"),
    [
        (WHOLE, "Echo.py", "lower case"),
        (WHOLE, "simple.py", "of its own"),
        (WHOLE.replace("def model", "def modell"), "echo.py", "has no model"),
        (WHOLE.replace("DEFINITION", "DEFINITIONS"), "echo.py", "has no DEFINITION"),
        (WHOLE.replace("Draw(seed", "Draw(next(at)") + AT, "echo.py", "another body each time"),
        (WHOLE.replace(".encode()", ""), "echo.py", "has to give bytes"),
        (WHOLE.replace('"completed", json', '"done", json'), "echo.py", "Expected.status, output."),
        (WHOLE + "BLEND = {'echo': 1, 'simpel': 1}\n", "echo.py", "no scenario 'simpel'"),
        (WHOLE + "1 +\n", "echo.py", "SyntaxError"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, text: str, name: str, complaint: str
) -> None:
    with pytest.raises(ScenarioFileError, match=complaint):
        adopt(written(tmp_path, text, name))
    assert os.environ[scenarios.OWN] == ""
    assert "echo" not in scenarios.names()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioFileError, match="no file"):
        named(str(tmp_path / "echo.py"))
