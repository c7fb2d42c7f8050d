"""The Makefile's promise: it installs in any environment, again and again, also after an interruption.

A bare project with the real Makefile and tools, and locks that name only the build backend, so that it takes seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

NONSENSE = {
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "/nowhere.py",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "VIRTUAL_ENV": "/nowhere",
    "CONDA_PREFIX": "/nowhere",
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "PIP_USER": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_REQUIRE_VIRTUALENV": "nonsense",
    "PIP_TIMEOUT": "nonsense",
    "PIP_CONSTRAINT": "/nowhere.txt",
    "MESHHOOK_PORT": "nonsense",
    "MESHHOOK_DATABASE_URL": "nonsense",
    "PGHOST": "/nowhere",
}


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What these tests install comes from where `make` got everything; without it they can say nothing."""
    folder = str(tmp_path_factory.mktemp("index"))
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", folder, "hatchling"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """In a folder with a space in its name."""
    made = tmp_path / "a project"
    for name in ("docs", "tools"):
        shutil.copytree(ROOT / name, made / name)
    (made / "tools" / "web.py").write_text("")  # what it builds, the tests of the pages look at
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, made / name)
    for package in ("meshhook", "meshproof"):
        (made / "src" / package).mkdir(parents=True)
        (made / "src" / package / "__init__.py").touch()
    (made / "src" / "meshhook" / "cli.py").write_text(
        "import os, sys\n"
        "def main():\n"
        "    left = sorted(set(os.environ) & {'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV'})\n"
        "    print(sys.prefix, left)\n"
    )
    wanted = ("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers", "editables", "tomlkit")
    (made / "requirements-dev.lock").write_text("".join(locked(wanted)))
    return made


def locked(names: tuple[str, ...]) -> list[str]:
    entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements-dev.lock").read_text())
    return [entry + "\n" for entry in entries if entry.partition("==")[0] in names]


def make(project: Path, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", target, *arguments],
        cwd=project,
        env={**os.environ, **NONSENSE},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_installs_in_any_environment_and_only_when_there_is_something_to_do(project: Path, package_index: None) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)  # as an interrupted run leaves it
    first = make(project, "up")
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"{project / '.venv'} []\n"
    assert "making .venv" in first.stderr

    assert make(project, "up").stderr == "", "nothing to do, nothing said"

    lock = project / "requirements-dev.lock"
    lock.write_text(lock.read_text() + "# changed\n")
    changed = make(project, "up")
    assert (changed.returncode, changed.stdout) == (0, first.stdout)
    assert "installing" in changed.stderr
    assert "making .venv" not in changed.stderr

    moved = project.rename(project.with_name("another place"))
    assert make(moved, "up").stdout == f"{moved / '.venv'} []\n"


def test_a_wrong_hash_installs_nothing(project: Path, package_index: None) -> None:
    lock = project / "requirements-dev.lock"
    lock.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))
    done = make(project, "venv")
    assert done.returncode != 0
    assert "HASHES" in done.stderr
    assert not (project / ".venv" / ".installed").exists()


def test_without_a_python_that_is_new_enough_it_says_so(project: Path) -> None:
    old = project / "old"
    old.mkdir()
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)
    for tool in ("sh", "env", "test", "make"):
        (old / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        [shutil.which("make") or "make", "test"],
        cwd=project,
        env={"PATH": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "MeshHook needs Python 3.11 to 3.14, and none is on the PATH" in done.stderr


def test_help_names_every_target_that_is_for_users() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"make (\S+)", listed)[:5] == ["help", "prove", "test", "test-browser", "web"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_versions_and_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--index|--find-links|file:|/(home|root|tmp|work)/", text)
    entries = re.split(r"\n(?=[a-z])", text)[1:]
    assert entries
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_what_is_run_is_what_is_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    assert sys.version_info >= (3, 11)
