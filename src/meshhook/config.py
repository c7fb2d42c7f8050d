"""Every setting, in one flat frozen value: defaults, then ``meshhook.toml``, then ``MESHHOOK_*``, then flags.

What is not set anywhere is kept apart from what is set to its default: ``Loaded.sources`` names only what was set, and
where. Everything is checked when it is loaded; an error names the setting, its source and what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meshhook.addresses import AddressList
from meshhook.errors import ConfigError

PREFIX: Final = "MESHHOOK_"
FILE: Final = Path("meshhook.toml")
BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def default_data_dir() -> Path:
    """Where the embedded Postgres keeps its data unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/meshhook")
    shared = os.environ.get("XDG_DATA_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".local" / "share") / "meshhook"


def setting(
    default: Any,
    description: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    default_shown: str = "",
) -> Any:
    """A field of Settings: its default, what it does, and what is allowed."""
    metadata = {
        "help": description,
        "least": least,
        "most": most,
        "choices": choices,
        "default_shown": default_shown,
    }
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation can be told. Units are the last part of a name."""

    database_url: str = setting(
        "", "Postgres 15 or newer to use, as postgresql://…", default_shown="the embedded Postgres"
    )
    data_dir: Path = setting(
        default_data_dir,
        "Folder of the embedded Postgres.",
        default_shown="as root `/var/lib/meshhook`, else `$XDG_DATA_HOME/meshhook` (`~/.local/share/meshhook`)",
    )
    database_connections: int = setting(8, "Connections of one process to the database, at most.", least=2, most=1_000)
    shards: int = setting(
        1,
        "Parts the hot tables are split into. It may grow, never shrink. Limits of workflows hold in each.",
        least=1,
        most=4_096,
    )

    host: str = setting("127.0.0.1", "Address to listen on. Anything but loopback makes API keys necessary.")
    require_key: bool = setting(False, "Ask for an API key even when only this machine can reach `serve`.")
    port: int = setting(8080, "Port of the webhooks, the API and the metrics of `serve`.", least=1, most=65_535)
    body_limit_bytes: int = setting(
        5 * 1024**2, "Longest body of a delivery; longer is 413.", least=1, most=64 * 1024**2
    )
    event_hours: float = setting(
        72.0, "How long an event is kept for runs that ask for it later.", least=0.01, most=24 * 366
    )
    dedupe_hours: float = setting(24.0, "How long the key of a delivery is remembered.", least=0.01, most=24 * 366)

    trusted_proxies: str = setting(
        "",
        "Addresses and ranges of proxies whose `X-Forwarded-For` is believed, separated by commas: `10.0.0.0/8, fd00::/8`.",
        default_shown="none",
    )
    schema_check_ms: float = setting(
        100.0,
        "CPU time the payloads of one request may take to be checked against the schema of their endpoint; over it 422.",
        least=1,
        most=10_000,
    )

    sync_waiting_max: int = setting(
        1_000,
        "Callers of one process that may wait for what their run answers; over it they get 202 at once.",
        least=0,
        most=100_000,
    )

    accept_batch_max: int = setting(500, "Deliveries in one commit, at most.", least=1, most=10_000)
    accept_buffer_max: int = setting(
        10_000,
        "Deliveries waiting for their commit, at most, in one process and shard; over it 503.",
        least=1,
        most=10**6,
    )
    accept_linger_ms: float = setting(
        3.0,
        "How long a commit waits, at most, for as many deliveries as were under way a moment ago; alone, none waits.",
        least=0,
        most=1_000,
    )
    backlog_max: int = setting(
        1_000_000, "Live runs, at most; over it deliveries are refused with 503.", least=1, most=10**9
    )
    lag_max_ms: float = setting(
        1_000.0,
        "When runs wait longer than this, the door lets in less than workers complete.",
        least=1,
        most=3_600_000,
    )

    watchers_max: int = setting(
        500, "Live streams of one `serve`, at most; one project may have four fifths of them.", least=1, most=100_000
    )
    watcher_buffer_bytes: int = setting(
        1024**2, "How much may wait for one slow watcher before he reads from the database.", least=1024, most=2**30
    )
    heartbeat_s: float = setting(
        10.0, "After so long without an event a live stream sends a sign of life.", least=0.05, most=600
    )
    feed_hours: float = setting(
        1.0, "How long a live stream of a project can be resumed; that of a run always can.", least=0.01, most=24 * 31
    )

    claim_batch_max: int = setting(500, "Runs a worker takes at once, at most.", least=1, most=10_000)
    batch_hold_ms: float = setting(
        250.0,
        "How long a worker may hold the transaction of one batch; a run over it goes on under a lease.",
        least=1,
        most=60_000,
    )
    lease_s: float = setting(
        30.0, "How long a worker may keep a run before another may take it over.", least=0.1, most=86_400
    )
    poll_ms: float = setting(
        200.0, "How often a process looks for work, or for answers, that it was not told of.", least=1, most=60_000
    )
    calls_max: int = setting(1_000, "Outgoing calls of one worker under way at once, at most.", least=1, most=100_000)
    calls_per_host_max: int = setting(
        100,
        "Outgoing calls of one worker (not of all) to one host at once, at most; 0 is no limit.",
        least=0,
        most=100_000,
    )
    calls_per_host_per_s: float = setting(
        0.0,
        "Outgoing calls of one worker (not of all) to one host begun in a second, at most; 0 is no limit.",
        least=0,
        most=100_000,
    )
    circuit_failures: int = setting(
        20,
        "So many failed calls to a host within 10 s, when they are four of five, and a worker leaves it alone for a while; "
        "0 is never.",
        least=0,
        most=100_000,
    )
    circuit_pause_s: float = setting(
        10.0,
        "How long a worker leaves a failing host alone at first; twice as long after each time it tried in vain, up to 30 s.",
        least=0.1,
        most=3_600,
    )
    outbound_allow: str = setting(
        "",
        "Hosts and address ranges `http_call` may reach although they are not public, separated by commas: "
        "`127.0.0.0/8, *.internal.example`.",
        default_shown="none",
    )
    secrets_key_file: str = setting(
        "",
        "File with the key that secrets are kept under (mode 0600). At most one of the three `secrets_key_…` is set.",
        default_shown="`secrets.key` in `data_dir`",
    )
    secrets_key_env: str = setting("", "Name of the variable that holds that key instead.", default_shown="none")
    secrets_key_command: str = setting("", "Command that prints that key instead.", default_shown="none")
    retention_days: int = setting(
        30,
        "Runs are kept so many days, then dropped by the day; 0 is for ever. A day with a live run is kept.",
        least=0,
        most=36_600,
    )
    payload_days: float = setting(
        0.0,
        "After so many days the payloads of finished runs are replaced by their hash and size; 0 is never.",
        least=0,
        most=36_600,
    )
    audit_days: int = setting(
        400,
        "Entries of the audit log are kept so many days; 0 is for ever.",
        least=0,
        most=36_600,
    )
    lab: bool = setting(
        False,
        "Let operators begin concurrency tests from the API and the pages; each drives an engine of its own on this machine.",
        default_shown="`false`; `up` on loopback: `true`",
    )
    lab_keep: int = setting(
        20, "Tests that are kept in `data_dir`; the oldest goes for a newer one.", least=1, most=1_000
    )

    metrics_port: int = setting(0, "Port of the metrics of `work`; 0 is off.", least=0, most=65_535)

    shutdown_s: float = setting(10.0, "How long work under way may take after SIGTERM.", least=0.1, most=3_600)
    log_format: str = setting("console", "Form of the log on standard error.", choices=("console", "json"))
    log_level: str = setting(
        "info", "What is logged: this and what is graver.", choices=("debug", "info", "warning", "error")
    )

    @property
    def proxies(self) -> AddressList:
        """The proxies whose word about the address of a sender is taken."""
        return AddressList(entries(self.trusted_proxies))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach what `serve` listens on."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"  # any other name may lead anywhere

    @property
    def url(self) -> str:
        """Where `serve` is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"


FIELDS: Final = {field.name: field for field in dataclasses.fields(Settings)}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, and where each one that was set came from."""

    settings: Settings
    sources: Mapping[str, str]


def load(
    flags: Mapping[str, object] | None = None,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Put the settings together. ``flags`` that are None were not given.

    Raises ConfigError: the file can't be read, a name is unknown, or a value is not allowed.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, raw, source in (
        *from_file(config, environment),
        *from_environment(environment),
        *from_flags(flags or {}),
    ):
        values[name] = parse(name, raw, source)
        sources[name] = source
    return Loaded(Settings(**values), sources)


Given = tuple[str, object, str]  # a setting, its raw value, and where it was set


def from_file(config: Path | None, environment: Mapping[str, str]) -> Iterator[Given]:
    named = config or (Path(environment[PREFIX + "CONFIG"]) if environment.get(PREFIX + "CONFIG") else None)
    path = named or FILE
    if named is None and not path.exists():
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as settings: {error}") from error
    for name, raw in document.items():
        if name not in FIELDS:
            raise ConfigError(f"{path} sets {name!r}, and there is no such setting.{similar(name, 0.6)}")
        yield name, raw, str(path)


def from_environment(environment: Mapping[str, str]) -> Iterator[Given]:
    for variable, raw in sorted(environment.items()):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name in FIELDS:
            yield name, raw, variable
        elif variable.startswith(PREFIX) and (close := similar(name, 0.8)):
            # What is not close to any setting is somebody else's: a cluster sets variables for every service it knows.
            raise ConfigError(f"{variable} is set, and there is no such setting.{close}")


def from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    for name, raw in flags.items():
        if raw is not None:
            yield name, raw, flag(name)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def similar(name: str, alike: float) -> str:
    close = difflib.get_close_matches(name, FIELDS, n=1, cutoff=alike)
    return f" Did you mean {close[0]}?" if close else ""


def parse(name: str, raw: object, source: str) -> Any:
    """The value of a setting out of text or TOML, or ConfigError."""
    match FIELDS[name].type, raw:
        case "str", str():
            value: Any = raw
        case "Path", str() | Path() if str(raw):
            value = Path(raw).expanduser().absolute()
        case "bool", bool() | str():
            value = BOOLEANS.get(str(raw).lower())
        case "int" | "float", int() | float() | str() if not isinstance(raw, bool):
            value = parse_number(name, raw)
        case _:
            value = None
    if value is None or not is_allowed(name, value):
        raise ConfigError(f"{name} is {raw!r} (set by {source}); it must be {allowed(name)}.{hint(raw)}")
    return value


def parse_number(name: str, raw: float | str) -> float | None:
    try:
        number = float(raw)
    except ValueError:
        return None
    if FIELDS[name].type == "float":
        return number
    return int(number) if number.is_integer() else None


def is_allowed(name: str, value: Any) -> bool:
    rule = FIELDS[name].metadata
    if name == "database_url":
        return str(value).startswith(("postgresql://", "postgres://")) or value == ""
    if name == "host":
        return bool(value) and not any(character.isspace() for character in value)
    if name == "trusted_proxies":
        return are_addresses(value)
    if rule["choices"]:
        return value in rule["choices"]
    return True if rule["least"] is None else bool(rule["least"] <= value <= rule["most"])


def are_addresses(text: str) -> bool:
    try:
        AddressList(entries(text))
    except ValueError:
        return False
    return True


def entries(text: str) -> list[str]:
    """The parts of a list separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def allowed(name: str) -> str:
    """What a setting may be, in words; the reference says the same."""
    rule, kind = FIELDS[name].metadata, FIELDS[name].type
    if name == "database_url":
        return "a postgresql:// URL, or empty"
    if kind == "bool":
        return "`true` or `false`"
    if rule["choices"]:
        return " or ".join(f"`{choice}`" for choice in rule["choices"])
    if rule["least"] is not None:
        return f"a {'whole ' if kind == 'int' else ''}number from {rule['least']:,g} to {rule['most']:,.15g}"
    return {
        "host": "an address or a host name",
        "data_dir": "a folder",
        "outbound_allow": "names and ranges",
        "trusted_proxies": "addresses and ranges",
        "secrets_key_file": "a file",
        "secrets_key_env": "a name that does not begin with `MESHHOOK_`",
        "secrets_key_command": "words as for a shell, started without one",
    }[name]


def hint(raw: object) -> str:
    if isinstance(raw, str) and raw.startswith("tcp://"):
        return " Kubernetes sets such variables for a service of this name: set enableServiceLinks to false."
    return ""


def reference() -> str:
    """The table of all settings, in Markdown (docs/reference/settings.md)."""
    lines = ["| setting | meaning | default | allowed |", "|---|---|---|---|"]
    for name, field in FIELDS.items():
        rule = field.metadata
        default = rule["default_shown"] or f"`{field.default}`"
        lines.append(f"| `{name}` | {rule['help']} | {default} | {allowed(name)} |")
    return "\n".join(lines) + "\n"
