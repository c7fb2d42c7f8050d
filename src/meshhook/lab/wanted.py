"""What a test may be asked for, what is wrong with it, and the words of the command that does it. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from meshhook.errors import Fault

Profile = Literal["smoke", "load", "concurrency", "faults"]
Shape = Literal["constant", "ramp", "spike", "sine"]

RATE_MAX: Final = 1_000.0
DURATION_S_MAX: Final = 600.0
LEVELS_MAX: Final = 6
IN_FLIGHT_MAX: Final = 2_000
WORKERS_MAX: Final = 8
CALLS_MAX: Final = 500
PAYLOAD_BYTES_MAX: Final = 256 * 1024
AROUND_S: Final = 600.0
"""So long a test may take besides its load: to start, to drain, and to be judged on a busy machine."""


class TestWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test to begin: a scenario of the suite, or a workflow of this project as it is.

    `version`: a number, `draft`, or (left out) the published one. `payload` is sent as it stands, `template` with what is drawn in
    place of `{{ }}`; neither is for scenarios. `calls`: what each call of the workflow is answered. `rate` and `duration_s` are for
    `load` and `faults`, where the duration may be left out; `levels` for `concurrency`.
    """

    __test__ = False  # nothing for pytest

    profile: Profile = "load"
    scenario: str | None = None
    workflow: str | None = None
    version: int | Literal["draft"] | None = None
    payload: Any = msgspec.UNSET
    template: Any = msgspec.UNSET
    calls: str = "200"
    rate: float = 50.0
    duration_s: float | None = None
    warmup_s: float = 2.0
    shape: Shape = "constant"
    levels: list[int] = msgspec.field(default_factory=lambda: [5, 50])
    faults: list[str] = msgspec.field(default_factory=list)
    workers: int = 1
    seed: int = 1


def problems(wanted: TestWanted, scenarios: set[str], faults: set[str]) -> list[Fault]:
    """Everything that is wrong with what is asked for; the names are those the suite offers."""
    found = _of_what(wanted, scenarios)
    _bound(found, "rate", wanted.rate, 0.1, RATE_MAX)
    _bound(found, "duration_s", wanted.duration_s, 1, DURATION_S_MAX)
    _bound(found, "warmup_s", wanted.warmup_s, 0, 60)
    _bound(found, "workers", wanted.workers, 1, WORKERS_MAX)
    _bound(found, "seed", wanted.seed, 0, 2**31 - 1)
    if wanted.profile == "concurrency":
        if not 1 <= len(wanted.levels) <= LEVELS_MAX:
            found.append(Fault("$.levels", "bad-number", f"give 1 to {LEVELS_MAX} levels"))
        for number, level in enumerate(wanted.levels):
            _bound(found, f"levels[{number}]", level, 1, IN_FLIGHT_MAX)
    if wanted.profile == "faults" and not wanted.faults:
        found.append(Fault("$.faults", "missing", "choose at least one fault"))
    found += [
        Fault(f"$.faults[{number}]", "unknown-fault", f"there is no fault {name[:40]!r}")
        for number, name in enumerate(wanted.faults)
        if name not in faults
    ]
    return found


def _of_what(wanted: TestWanted, scenarios: set[str]) -> list[Fault]:
    found = []
    named = [name for name in ("scenario", "workflow") if getattr(wanted, name) is not None]
    if wanted.profile == "smoke":
        if named:
            found.append(Fault(f"$.{named[0]}", "not-here", "smoke brings its own scenario"))
    elif len(named) != 1:
        found.append(Fault("$", "missing", "give a scenario or a workflow, one of the two"))
    if wanted.scenario is not None and wanted.scenario not in scenarios:
        found.append(Fault("$.scenario", "unknown-scenario", f"there is no scenario {wanted.scenario[:40]!r}"))
    if wanted.workflow is None:
        found += [
            Fault(f"$.{name}", "not-here", "this goes with a workflow")
            for name in ("version", "payload", "template")
            if getattr(wanted, name) not in (None, msgspec.UNSET)
        ]
    if wanted.payload is not msgspec.UNSET and wanted.template is not msgspec.UNSET:
        found.append(Fault("$.template", "not-here", "give a payload or a template, not both"))
    for name in ("payload", "template"):
        if len(msgspec.json.encode(getattr(wanted, name) if name in sent(wanted) else None)) > PAYLOAD_BYTES_MAX:
            found.append(Fault(f"$.{name}", "too-large", f"{PAYLOAD_BYTES_MAX:,} bytes at most"))
    if len(wanted.calls) > CALLS_MAX:
        found.append(Fault("$.calls", "too-large", f"{CALLS_MAX} characters at most"))
    return found


def _bound(found: list[Fault], name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        found.append(Fault(f"$.{name}", "bad-number", f"must be from {least:g} to {most:,.15g}"))


def sent(wanted: TestWanted) -> dict[str, Any]:
    """What is said of the payloads, if anything."""
    told = {"payload": wanted.payload, "template": wanted.template}
    return {name: value for name, value in told.items() if value is not msgspec.UNSET}


def words(wanted: TestWanted, scenario: Path | str | None, out: Path, events: Path) -> list[str]:
    """The words of the command: what follows `meshproof`. `scenario` is a name, or the file with a workflow."""
    said = ["run", wanted.profile, "--seed", str(wanted.seed), "--out", str(out), "--events", str(events)]
    said.append("--stop-with-stdin")
    if wanted.profile == "smoke":
        return said
    said += ["--scenario", str(scenario), "--workers", str(wanted.workers)]
    if wanted.profile == "concurrency":
        seconds = [] if wanted.duration_s is None else ["--duration", f"{wanted.duration_s:g}"]
        return [*said, "--levels", ",".join(map(str, wanted.levels)), *seconds]
    said += ["--rate", f"{wanted.rate:g}", "--warmup", f"{wanted.warmup_s:g}"]
    said += [] if wanted.duration_s is None else ["--duration", f"{wanted.duration_s:g}"]
    if wanted.profile == "faults":
        return [*said, "--faults", ",".join(wanted.faults)]
    return [*said, "--shape", wanted.shape, "--no-floor"]


def bound_s(wanted: TestWanted) -> float:
    """After so many seconds a test is broken off."""
    load_s = wanted.duration_s or DURATION_S_MAX
    turns = len(wanted.levels) if wanted.profile == "concurrency" else 1
    return turns * load_s + wanted.warmup_s + AROUND_S
