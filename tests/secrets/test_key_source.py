"""Where the keys come from: one place, read anew, and never shown."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from meshhook.config import load
from meshhook.errors import ConfigError
from meshhook.key_source import KeySource, ensure_file, write_keys
from meshhook.sealing import SealingKey

KEY, OLD = SealingKey.make(), SealingKey.make()


def text(key: SealingKey) -> str:
    return base64.b64encode(key.raw).decode()


def source_of(**settings: str) -> KeySource:
    return KeySource.of(load(settings, environment={}).settings)


def test_without_a_setting_it_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    source = source_of(data_dir=str(tmp_path))
    assert source == KeySource("file", str(tmp_path / "secrets.key"))
    assert source.load() == {}
    assert ensure_file(source)
    assert not ensure_file(source)
    assert len(source.load()) == 1
    assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.key"]


def test_one_place_alone_may_be_set() -> None:
    with pytest.raises(ConfigError, match="secrets_key_file and secrets_key_env are both set"):
        source_of(secrets_key_file="/x", secrets_key_env="X")
    with pytest.raises(ConfigError, match="does not begin with MESHHOOK_"):
        source_of(secrets_key_env="MESHHOOK_KEK")


SPELLINGS: dict[str, Callable[[SealingKey], str]] = {
    "base64": text,
    "hex": lambda key: key.raw.hex(),
    "base64url": lambda key: base64.urlsafe_b64encode(key.raw).decode().rstrip("="),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_variable_holds_keys_in_base64_or_hex_the_first_one_first(
    monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    spell = SPELLINGS[spelling]
    monkeypatch.setenv("KEK", f" {spell(KEY)}\n{spell(OLD)} ")
    assert list(source_of(secrets_key_env="KEK").load()) == [KEY.id, OLD.id]


def test_a_command_prints_keys_and_is_no_shell(tmp_path: Path) -> None:
    file = tmp_path / "my keys"
    write_keys(file, [KEY, OLD])
    assert list(source_of(secrets_key_command=f"cat '{file}'").load()) == [KEY.id, OLD.id]
    with pytest.raises(ConfigError, match="ended with"):
        source_of(secrets_key_command=f"cat '{file}' ; true").load()


@pytest.mark.parametrize("command", ["/does/not/exist", "false", "true", "'unclosed"])
def test_a_command_that_gives_no_key_is_refused(command: str) -> None:
    with pytest.raises(ConfigError, match="secrets_key_command"):
        source_of(secrets_key_command=command).load()


@pytest.mark.parametrize("content", ["hunter2hunter2", "AAAA", base64.b64encode(b"x" * 31).decode(), "zz" * 32])
def test_what_is_no_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("KEK", f"{text(KEY)} {content}")
    with pytest.raises(ConfigError, match="Entry 2 in the variable KEK is no key") as caught:
        source_of(secrets_key_env="KEK").load()
    assert content not in str(caught.value)
    assert text(KEY) not in str(caught.value)


def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_keys(file, [KEY])
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        source_of(secrets_key_file=str(file)).load()


def test_a_missing_variable_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such variable"):
        source_of(secrets_key_env="SURELY_NOT_THERE").load()


def test_writing_keys_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    write_keys(file, [OLD])

    def no_replace(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_replace)
    with pytest.raises(OSError, match="No space"):
        write_keys(file, [KEY, OLD])
    assert list(KeySource("file", str(file)).load()) == [OLD.id]
    assert [it.name for it in tmp_path.iterdir()] == ["key"]
