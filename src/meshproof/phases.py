"""Phases: the parts of a run, kept apart. Figures come from steady phases alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from meshproof.ledger import write_document
from meshproof.plan import Plan

Kind = Literal["warm-up", "steady", "drain"]


class Phase(msgspec.Struct, frozen=True):
    """One part of a run. Times are microseconds of Unix time."""

    kind: Kind
    from_us: int
    to_us: int
    level: int | None = None
    """How many runs were in flight, in the closed model."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.to_us - self.from_us) / 1e6


def at(now_us: int, start_us: int, plan: Plan) -> Kind:
    """The phase a run is in while it is sending. In the closed model only the end tells; it is called steady."""
    elapsed_s = (now_us - start_us) / 1e6
    if plan.levels or plan.warmup_s <= elapsed_s < plan.warmup_s + plan.duration_s:
        return "steady"
    return "warm-up" if elapsed_s < plan.warmup_s else "drain"


def write(folder: Path, phases: list[Phase]) -> None:
    """Write `phases.json`."""
    write_document(folder / "phases.json", phases)


def read(folder: Path) -> list[Phase]:
    """Read `phases.json`; no phases when there is none, because the run did not come that far."""
    path = folder / "phases.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Phase]) if path.exists() else []


def steady(phases: list[Phase]) -> list[Phase]:
    """The phases that figures come from."""
    return [phase for phase in phases if phase.kind == "steady"]
