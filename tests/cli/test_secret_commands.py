"""``meshhook secret`` and ``meshhook audit``: values come by standard input or the environment, and are never printed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Meshhook

from meshhook.key_source import KeySource, ensure_file

BOUND_S = 120.0
CANARY = b"cli-canary-51a9"


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "secrets.key"
    ensure_file(KeySource("file", str(file)))
    monkeypatch.setenv("MESHHOOK_SECRETS_KEY_FILE", str(file))
    return file


def meshhook_with(
    database: str, stdin: bytes, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """The command as a process, with something on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "meshhook", *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, "MESHHOOK_DATABASE_URL": database, **environment},
        timeout=60,
    )


def test_a_value_comes_by_standard_input(database: str, key_file: Path, meshhook: Meshhook) -> None:
    done = meshhook_with(database, CANARY + b"\n", "secret", "set", "TOKEN")
    assert (done.returncode, done.stdout) == (0, b"TOKEN is set (version 1).\n"), done.stderr
    done = meshhook_with(database, CANARY * 2, "secret", "set", "TOKEN")
    assert b"the value before verifies signatures until" in done.stdout
    (listed,) = meshhook("secret", "list", "--json").json["items"]
    assert (listed["name"], listed["version"]) == ("TOKEN", 2)
    shown = meshhook("secret", "list").out + meshhook("audit").out + meshhook("audit", "--json").out
    assert "TOKEN" in shown
    assert "secret.set" in shown
    assert CANARY.decode() not in shown
    assert meshhook("secret", "delete", "TOKEN").out == "TOKEN is deleted.\n"
    assert meshhook("secret", "delete", "TOKEN").code == 1


def test_a_value_comes_out_of_a_variable(database: str, key_file: Path, meshhook: Meshhook) -> None:
    done = meshhook_with(database, b"", "secret", "set", "TOKEN", "--from-env", "GIVEN", GIVEN=CANARY.decode())
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert meshhook("secret", "set", "TOKEN", "--from-env", "SURELY_NOT_THERE").code == 2


def heard(terminal: int, words: bytes) -> bytes:
    """What a terminal shows, until these words."""
    said = b""
    while words not in said:
        readable, _, _ = select.select([terminal], [], [], BOUND_S)
        assert readable, said
        said += os.read(terminal, 4096)
    return said


def test_a_value_is_typed_at_a_prompt_that_does_not_show_it(database: str, key_file: Path, meshhook: Meshhook) -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "meshhook", "secret", "set", "TOKEN"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "MESHHOOK_DATABASE_URL": database},
        start_new_session=True,
    )
    os.close(terminal)
    said = b""
    try:
        for prompt in (b"Value (not shown)", b"Once more"):
            said += heard(main, prompt)
            os.write(main, CANARY + b"\n")
        said += heard(main, b"is set")
        process.wait(BOUND_S)
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert process.returncode == 0, said
    assert CANARY not in said
    assert [it["name"] for it in meshhook("secret", "list", "--json").json["items"]] == ["TOKEN"]


@pytest.mark.parametrize("value", [b"brief", b"\xff" * 20, b""])
def test_what_can_not_be_kept_is_one_sentence(database: str, key_file: Path, value: bytes) -> None:
    done = meshhook_with(database, value, "secret", "set", "TOKEN")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: The value ")
    assert b"Traceback" not in done.stderr
    assert not value or value not in done.stderr


def test_without_a_key_it_says_how_to_make_one(database: str, tmp_path: Path) -> None:
    done = meshhook_with(database, CANARY, "secret", "set", "TOKEN", MESHHOOK_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert b"openssl rand -base64 32" in done.stderr
    assert CANARY not in done.stderr


def test_keys_are_rotated(database: str, key_file: Path, meshhook: Meshhook) -> None:
    meshhook_with(database, CANARY, "secret", "set", "TOKEN")
    before = key_file.read_text()
    done = meshhook("secret", "rotate-key", "--json").json
    assert (done["moved"], done["new_key"]) == (1, True)
    assert key_file.read_text().endswith(before)
    assert meshhook("secret", "rotate-key", "--drop-old").out.startswith("1 old keys are gone")
    assert before not in key_file.read_text()
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert meshhook("secret", "rotate-key", "--data-key").out == (
        "1 values are sealed by data key 2 of the project default.\n"
    )
    actions = [it["action"] for it in meshhook("audit", "--json").json["items"]]
    rotations = ["data_key.rotated", "data_key.made", "kek.dropped", "kek.rotated", "kek.changed"]
    assert actions == [*rotations, "secret.set", "data_key.made"]
    actors = {it["actor"] for it in meshhook("audit", "--json").json["items"]}
    assert all(actor.startswith("cli:") for actor in actors)
    assert meshhook("secret", "rotate-key", "--data-key", "--drop-old").code == 2
