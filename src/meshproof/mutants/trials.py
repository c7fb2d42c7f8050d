"""The runs that mutants go through, and the unpatched engine as well: short, small, and each with what makes bugs show.

A trial is a load, a number of workers, and perhaps a fault. Faults wait for work to be under way, so that none of them is in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from meshproof.mutants.faults import Fault, freeze_worker, kill_api, kill_worker, stop_worker
from meshproof.profiles.settings import RunSettings


@dataclass(frozen=True)
class Trial:
    """One kind of run."""

    name: str
    why: str
    """What shows under it."""
    scenario: str
    rate: float
    seconds: float
    workers: int = 1
    fault: Fault | None = None
    engine: Mapping[str, str] = field(default_factory=dict)
    """Settings of the engine that differ from the usual."""


@dataclass(frozen=True)
class TrialSettings(RunSettings):
    """The settings of a trial: bounds are short, since next to nothing has to be worked off."""

    trial: Trial | None = None

    @property
    def engine_settings(self) -> dict[str, str]:
        assert self.trial is not None
        return {**super().engine_settings, **self.trial.engine}

    @property
    def bounds(self) -> dict[str, float]:
        return {"drain_s": DRAIN_S, "takeover_s": TAKEOVER_S, "timer_s": TAKEOVER_S, "live_s": LIVE_S}

    def document(self) -> dict[str, Any]:
        return {**super().document(), "trial": self.trial.name if self.trial else None}


DRAIN_S: Final = 15.0
TAKEOVER_S: Final = 10.0
# Trials run side by side, and the subscribers of one are two hundred.
LIVE_S: Final = 10.0
LEASE_S: Final = 3

TRIALS: Final = {
    trial.name: trial
    for trial in (
        Trial("door", "Redeliveries, conflicts and batches at the door.", "duplicates", rate=150, seconds=4),
        Trial(
            "door-killed",
            "The API is killed (SIGKILL) while it takes deliveries.",
            "duplicates",
            rate=150,
            seconds=5,
            fault=kill_api(accepted=200),
        ),
        Trial(
            "signed",
            "Signatures of four schemes; one secret is withdrawn on the way.",
            "signatures",
            rate=60,
            seconds=7,
        ),
        Trial("waiting", "Callers who wait for the answer of their run.", "sync_reply", rate=60, seconds=3),
        Trial("published", "New versions while runs are under way.", "publish_under_load", rate=40, seconds=4),
        Trial("operations", "Many runs cancelled, and begun again, at once.", "bulk_cancel", rate=40, seconds=5),
        Trial("scheduled", "Schedules that tick every second or two.", "schedules", rate=10, seconds=7, workers=2),
        Trial("gathered", "Deliveries that are gathered by their keys.", "gatherings", rate=60, seconds=3),
        Trial("steps", "Runs of many steps that are done in one go.", "diamond", rate=60, seconds=3),
        Trial(
            "calls", "Calls that fail, are tried again, and sometimes fail for good.", "http_call", rate=60, seconds=4
        ),
        Trial("rows", "Five calls in a row in each run.", "calls", rate=25, seconds=3),
        Trial("pair", "Two workers at one queue.", "http_call", rate=120, seconds=4, workers=2),
        Trial("loops", "Loops of calls, some of which fail for good.", "fan_out", rate=15, seconds=3),
        Trial("naps", "Runs that sleep for a moment, twice.", "naps", rate=40, seconds=3),
        Trial(
            "signals",
            "Events that come early, late, twice or never; runs that are cancelled.",
            "signals",
            rate=30,
            seconds=3,
        ),
        Trial("families", "Runs that start another one and wait for it.", "families", rate=40, seconds=3),
        Trial(
            "tenants",
            "Two projects with the same work, each asking for what is the other's.",
            "tenants",
            rate=30,
            seconds=3,
        ),
        Trial("watched", "Subscribers of live streams, and an API that is restarted.", "watchers", rate=10, seconds=4),
        Trial("lanes", "One run of a key at a time, in order.", "ordered_keys", rate=600, seconds=2, workers=2),
        Trial("slots", "Three runs of a key at a time.", "key_limits", rate=300, seconds=2, workers=2),
        Trial(
            "worker-killed",
            "A worker is killed (SIGKILL) with calls under way.",
            "slow_call",
            rate=20,
            seconds=4,
            workers=2,
            fault=kill_worker(leases=5),
            engine={"lease_s": f"{LEASE_S}"},
        ),
        Trial(
            "worker-frozen",
            "A worker is stopped (SIGSTOP) with calls under way until its leases are others', and goes on.",
            "slow_call",
            rate=20,
            seconds=4,
            workers=2,
            fault=freeze_worker(leases=5),
            engine={"lease_s": f"{LEASE_S}"},
        ),
        Trial(
            "worker-stopped",
            "A worker is asked to end (SIGTERM) with calls under way.",
            "slow_call",
            rate=20,
            seconds=4,
            workers=2,
            fault=stop_worker(leases=5),
            engine={"lease_s": f"{LEASE_S}"},
        ),
    )
}
"""Every trial by its name."""
