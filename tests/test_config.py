"""Settings: what wins, what is refused, and that the reference says the same as the program."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from meshhook.config import FIELDS, Settings, load, reference
from meshhook.errors import ConfigError

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text('port = 1111\nlog_level = "debug"\nlease_s = 5\n')
    return path


def test_flags_win_over_environment_over_file_over_defaults(toml: Path) -> None:
    environment = {"MESHHOOK_PORT": "2222", "MESHHOOK_HOST": "::1"}
    assert load(config=toml, environment={}).settings.port == 1111
    assert load(config=toml, environment=environment).settings.port == 2222
    loaded = load({"port": "3333", "host": None}, config=toml, environment=environment)
    assert (loaded.settings.port, loaded.settings.host, loaded.settings.log_level) == (3333, "::1", "debug")
    assert loaded.sources == {
        "port": "--port",
        "host": "MESHHOOK_HOST",
        "log_level": str(toml),
        "lease_s": str(toml),
    }


def test_unset_is_not_the_same_as_set_to_the_default() -> None:
    assert load(environment={}).sources == {}
    assert load({"port": 8080}, environment={}).sources == {"port": "--port"}


def test_the_file_is_found_in_the_current_folder_or_by_its_variable(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(environment={"MESHHOOK_CONFIG": str(toml)}).settings.port == 1111
    monkeypatch.chdir(tmp_path)
    assert load(environment={}).settings.port == 8080
    toml.rename("meshhook.toml")
    assert load(environment={}).settings.port == 1111


def test_whole_numbers_come_as_numbers_and_as_text(toml: Path) -> None:
    assert load(config=toml, environment={}).settings.lease_s == 5.0
    assert load({"lease_s": "2.5", "poll_ms": 7}, environment={}).settings.lease_s == 2.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", ""),
        ("port", "0"),
        ("port", "65536"),
        ("port", "80.5"),
        ("port", True),
        ("lease_s", "nan"),
        ("lease_s", "inf"),
        ("log_level", "loud"),
        ("database_url", "mysql://localhost"),
        ("data_dir", ""),
        ("host", ""),
        ("host", "two words"),
        ("shards", [1]),
    ],
)
def test_a_wrong_value_names_the_setting_its_source_and_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: value}, environment={})
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r} (set by --{name.replace('_', '-')})")
    assert "it must be" in message


def test_a_misspelled_name_is_refused_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"MESHHOOK_DATABSE_URL .* Did you mean database_url"):
        load(environment={"MESHHOOK_DATABSE_URL": "postgresql:///x"})
    (tmp_path / "wrong.toml").write_text("prot = 1")
    with pytest.raises(ConfigError, match=r"wrong\.toml sets 'prot', .* Did you mean port"):
        load(config=tmp_path / "wrong.toml", environment={})


def test_variables_that_are_somebody_elses_are_left_alone() -> None:
    theirs = ("SERVICE_HOST", "SERVICE_PORT", "PORT_8080_TCP_ADDR", "API_KEY", "NONSENSE")
    assert load(environment={f"MESHHOOK_{name}": "x" for name in theirs}).sources == {}


def test_a_variable_that_kubernetes_sets_is_explained() -> None:
    with pytest.raises(ConfigError, match="enableServiceLinks"):
        load(environment={"MESHHOOK_PORT": "tcp://10.0.0.1:8080"})


@pytest.mark.parametrize("content", [None, b"port = ", b"\xff"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.toml cannot be read"):
        load(config=tmp_path / "x.toml", environment={})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("127.example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_only_this_machine_counts_as_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).is_loopback is loopback


def test_every_default_is_allowed() -> None:
    defaults = dataclasses.asdict(Settings())
    assert dataclasses.asdict(load(defaults, environment={}).settings) == defaults


def test_the_reference_has_every_setting_as_the_program_knows_it() -> None:
    assert reference() in PAGE.read_text(), "run: python tools/reference.py"
    assert all(f"| `{name}` |" in reference() for name in FIELDS)
