"""What a run is started with, and the command that repeats it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from meshproof import ownership, scenarios
from meshproof.load.generator import Calibration
from meshproof.load.shape import Piece, Shape, pieces
from meshproof.load.slicing import WHOLE, Slice
from meshproof.namespace import new as new_namespace
from meshproof.plan import Arrivals

EMBEDDED = "embedded"

# A run that goes on under a lease is taken over when the lease ends: a short one keeps the drain after a killed
# worker short.
LEASE_S = 10.0
TAKEOVER_S = 5.0
# A herd of timers is worked off like any other backlog.
TIMER_S = 10.0
# After the last fault the backlog is what it was before the first within so long.
LIVENESS_S = 15.0
# Whoever watches hears of a commit within so long, 99 times in 100. The engine looks every 30 ms; the rest is for the machine,
# which has the subscribers to carry too.
LIVE_S = 2.0


@dataclass(frozen=True)
class RunSettings:
    """What a run was asked for."""

    profile: str
    scenario: str
    seed: int
    out: Path
    target: str = EMBEDDED
    database: str | None = None
    api_key: str | None = field(default=None, repr=False)
    owned: str | None = None
    """The host of a target beyond this machine that the user says is theirs."""
    workers: int = 1
    apis: int = 1
    rate: float = 0.0
    duration_s: float = 0.0
    warmup_s: float = 0.0
    arrivals: Arrivals = "poisson"
    shape: Shape = "constant"
    trace: str | None = None
    """A file with recorded moments, to be played in place of a shape."""
    speed: float = 1.0
    levels: tuple[int, ...] = ()
    generators: int = 1
    flames: Literal["flamegraph", "speedscope"] | None = None
    """As what flame graphs are written, if they are."""
    floored: bool = True
    """Whether the floor of the server is measured at the end."""
    calibrated: bool = True
    """Whether the generator shows first what it can do: not where no figure is taken from the run."""
    calibration: Calibration | None = field(default=None, repr=False)
    """What it has shown already, in another run of the same session."""
    step_s: float = 0.0
    """How long the load stays at one rate, where it goes by steps."""
    factor: float = 0.0
    """From one rate to the next."""
    rate_max: float = 0.0
    """How far up it may go; 0 is as far as the generator can."""
    rates: tuple[float, ...] = ()
    """The rates of the way up, where they are given and not found."""
    scaled: Literal["workers", "apis"] = "workers"
    """Of what there are more and more, in a series that scales."""
    sizes: tuple[int, ...] = ()
    rounds: int = 1
    held_out: int = 0
    """The size that is predicted from the others."""
    engine: dict[str, str] = field(default_factory=dict)
    """What the profile asks of an engine of our own besides."""
    engine_package: Path | None = None
    """A folder with a copy of the engine, to be driven in place of the one that is installed."""
    faults: tuple[str, ...] = ()
    """What is done to the engine meanwhile, by the names of meshproof.faults."""
    lead_s: float = 0.0
    """Seconds of load before the first of them,"""
    calm_s: float = 0.0
    """and after the last."""
    backlog: int | None = None
    """How many runs of the backlog of the scenario are to stand; None takes what the scenario says."""
    lease_s: float = LEASE_S
    """How long a lease of an engine of our own lasts."""
    slice: Slice = WHOLE
    """The share of the plan that is sent from here."""
    start_at_us: int = 0
    """When to begin, in microseconds of Unix time, so that several begin together; 0 is as soon as possible."""
    namespace: str = field(default_factory=new_namespace)

    @property
    def embedded(self) -> bool:
        """Whether the engine is our own."""
        return self.target == EMBEDDED

    @property
    def course(self) -> tuple[Piece, ...]:
        """How the rate of an open load goes; empty where it is constant."""
        return () if self.shape == "constant" else pieces(self.shape, self.rate, self.warmup_s, self.duration_s)

    @property
    def engine_settings(self) -> dict[str, str]:
        """What an engine of our own is told beside its address and its database."""
        # Calls go to the sink: one host on this machine, which fails on purpose and is not to be left alone for it.
        return {
            "lease_s": f"{self.lease_s:g}",
            "outbound_allow": "127.0.0.0/8",
            "calls_per_host_max": "1000",
            "circuit_failures": "0",
            **{key: value for name in self.members for key, value in scenarios.load(name).engine.items()},
        }

    @property
    def members(self) -> list[str]:
        """The scenarios that have runs."""
        return scenarios.load(self.scenario).members

    @property
    def drain_s(self) -> float:
        """What the slowest of its scenarios asks for."""
        return max(scenarios.load(name).drain_s for name in self.members)

    @property
    def bounds(self) -> dict[str, float]:
        """By when the engine must have done what it promises, in seconds."""
        return {
            "drain_s": self.drain_s,
            "takeover_s": TAKEOVER_S,
            "timer_s": TIMER_S,
            "liveness_s": LIVENESS_S,
            "live_s": LIVE_S,
        }

    def document(self) -> dict[str, Any]:
        """The settings as they go into the evidence."""
        return {
            "target": self.target,
            "workers": self.workers if self.embedded else None,
            "apis": self.apis if self.embedded else None,
            "generators": self.generators,
            "arrivals": "closed" if self.levels else self.arrivals,
            "shape": None if self.levels else self.shape,
            "trace": self.trace,
            "rate": self.rate or None,
            "warmup_s": self.warmup_s or None,
            "duration_s": self.duration_s,
            "levels": list(self.levels) or None,
            "step_s": self.step_s or None,
            "factor": self.factor or None,
            "faults": list(self.faults) or None,
            "slices": self.slice.of if self.slice.is_part else None,
            "engine": self.engine_settings if self.embedded else None,
        }

    def command(self) -> str:
        """The command that makes the same plan again."""
        scenario = str(scenarios.own_files().get(self.scenario, self.scenario))
        if self.profile == "smoke":
            return shlex.join(["meshproof", "run", "smoke", "--seed", str(self.seed)])
        if self.profile == "stress":
            return shlex.join(self._stress_words(scenario))
        words = ["meshproof", "run", self.profile, "--scenario", scenario, "--seed", str(self.seed)]
        if self.levels:
            words += ["--levels", ",".join(map(str, self.levels))]
        else:
            words += ["--rate", f"{self.rate:g}", "--warmup", f"{self.warmup_s:g}", "--arrivals", self.arrivals]
        words += ["--shape", self.shape] if self.shape != "constant" else []
        words += ["--trace", self.trace, "--speed", f"{self.speed:g}"] if self.trace is not None else []
        words += ["--duration", f"{self.duration_s:g}", "--target", self.target]
        words += ["--faults", ",".join(self.faults)] if self.faults else []
        words += ["--backlog", str(self.backlog)] if self.backlog is not None else []
        words += ["--workers", str(self.workers)] if self.embedded else ["--database", "DSN"]
        words += [ownership.FLAG, self.owned] if self.owned is not None else []
        return shlex.join(words)

    def _stress_words(self, scenario: str) -> list[str]:
        words = ["meshproof", "run", "stress", "--scenario", scenario, "--seed", str(self.seed)]
        words += ["--start", f"{self.rate:g}", "--factor", f"{self.factor:g}", "--step", f"{self.step_s:g}"]
        words += ["--warmup", f"{self.warmup_s:g}", "--arrivals", self.arrivals, "--workers", str(self.workers)]
        # Digit by digit, so that the same rates make the same plan.
        return [*words, "--steps", ",".join(map(repr, self.rates))] if self.rates else words
