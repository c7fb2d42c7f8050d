"""A scenario of the user's own: one Python file, in the form of those in meshproof.scenarios, and named like the scenario.

    meshproof run load --scenario path/to/my_scenario.py
    meshproof run load --workflow path/to/workflow.json

The second is a workflow alone (meshproof.own). A copy goes into the evidence, so that a run can be judged again when the file has
changed or is gone. Judging runs that copy: the model in it is code.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from meshproof import scenarios
from meshproof.own.adapt import CannotTestError
from meshproof.own.document import DocumentError, scenario_name
from meshproof.scenarios import OWN, WORKFLOW, Expected, Scenario

FOLDER: Final = "scenarios"
"""Where the copies are in an evidence folder."""
SUFFIXES: Final = (".py", WORKFLOW)

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
STATUSES: Final = ("completed", "failed", "cancelled")
TRIED: Final = 20


class ScenarioFileError(ValueError):
    """The file is no scenario; the message says why and what to do."""


def named(scenario: str) -> str:
    """The name of what was asked for: a name, or the path of a file, which is adopted. Raises ScenarioFileError."""
    return adopt(Path(scenario)) if scenario.endswith(SUFFIXES) else scenario


def adopt(file: Path) -> str:
    """Make the scenario in a file known to this process, and to those it starts; returns its name. Raises ScenarioFileError."""
    name = file.stem
    if not file.is_file():
        raise ScenarioFileError(f"There is no file {file}.")
    if not NAME.fullmatch(name):
        raise ScenarioFileError(
            f"{file.name}: a scenario is named after its file, in lower case with digits and _, at most 40 characters."
        )
    if name in scenarios.built_in():
        raise ScenarioFileError(f"The suite has a scenario {name!r} of its own. Give {file.name} another name.")
    scenarios.GIVEN.pop(name, None)
    _make_known(file, name)
    return name


def adopt_workflow(document: bytes, workflow: str, folder: Path) -> str:
    """Make a workflow known (meshproof.own), whose file is going to be kept in an evidence folder; returns the name it gets.

    Raises ScenarioFileError.
    """
    name = scenario_name(workflow, scenarios.built_in())
    scenarios.GIVEN[name] = document
    try:
        _make_known((folder / FOLDER / name).with_suffix(WORKFLOW), name)
    except BaseException:
        del scenarios.GIVEN[name]
        raise
    return name


def _make_known(file: Path, name: str) -> None:
    known = scenarios.own_files() | {name: file.absolute()}
    before = os.environ.get(OWN)
    os.environ[OWN] = os.pathsep.join(map(str, known.values()))
    scenarios.load.cache_clear()
    try:
        _try_out(file, name)
    except BaseException:
        _put_back(before)
        raise


def keep(folder: Path, names: Iterable[str]) -> None:
    """Put a copy of those of these scenarios that are the user's own into an evidence folder."""
    for name, file in scenarios.own_files().items():
        if name in names:
            (folder / FOLDER).mkdir(parents=True, exist_ok=True)
            if name in scenarios.GIVEN:
                (folder / FOLDER / file.name).write_bytes(scenarios.GIVEN[name])
            else:
                shutil.copyfile(file, folder / FOLDER / file.name)


def adopt_kept(folder: Path) -> None:
    """Adopt the copies in an evidence folder. Raises ScenarioFileError."""
    for file in sorted((folder / FOLDER).glob("*")):
        if file.suffix in SUFFIXES:
            adopt(file)


def _put_back(before: str | None) -> None:
    if before is None:
        del os.environ[OWN]
    else:
        os.environ[OWN] = before
    scenarios.load.cache_clear()


def _try_out(file: Path, name: str) -> None:
    """Load it, and make a few payloads and what must come of them."""
    try:
        scenario = scenarios.load(name)
        for index in range(TRIED):
            _check_delivery(file, scenario, index)
        for member in scenario.members:
            scenarios.load(member)
    except (ScenarioFileError, scenarios.UnknownScenarioError) as error:
        raise ScenarioFileError(str(error)) from error
    except (CannotTestError, DocumentError) as error:
        raise ScenarioFileError(f"{file.name}: {error}") from error
    except AttributeError as error:
        raise ScenarioFileError(
            f"{file} has no {error.name}. A scenario has DEFINITION, payload(seed, index) and model(body)."
        ) from error
    except Exception as error:
        raise ScenarioFileError(f"{file} cannot be used: {type(error).__name__}: {error}") from error


def _check_delivery(file: Path, scenario: Scenario, index: int) -> None:
    body = scenario.payload(1, index)
    if not isinstance(body, bytes):
        raise ScenarioFileError(f"{file}: payload(1, {index}) gives {type(body).__name__}, and has to give bytes.")
    if body != scenario.payload(1, index):
        raise ScenarioFileError(
            f"{file}: payload(1, {index}) gives another body each time. Draw from meshproof.draw.Draw, which is seeded."
        )
    if not scenario.modelled:
        return
    expected: object = scenario.model(body)
    if not isinstance(expected, Expected) or expected.status not in STATUSES:
        raise ScenarioFileError(
            f"{file}: model(payload(1, {index})) gives {expected!r}, and has to give Expected(status, output), with the"
            f" status {', '.join(STATUSES[:2])} or {STATUSES[2]}."
        )
    msgspec.json.encode(expected.output)
