"""`run stress`: up by steps until goodput stops following the load, then down by the same steps.

The whole story is one open load. What the next rate is depends on what became of the last ones (meshproof.analysis.climb); when
the requests of a step are due, and what they are, follows from the seed and its rate alone. The steps that were made stand in
plan.json, and `--steps` plays them again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

from meshproof import scenarios
from meshproof.analysis.climb import Climb, Reached, Turn, next_rate, way_down
from meshproof.database import ERRORS, Reader
from meshproof.display import Display
from meshproof.load.generator import CALIBRATION_IN_FLIGHT
from meshproof.load.shape import Piece
from meshproof.phases import Phase
from meshproof.plan import Level, Plan
from meshproof.profiles.flames import flames
from meshproof.profiles.session import (
    Driven,
    Result,
    Session,
    conclude,
    drive,
    export,
    measure_floor,
    now_us,
    session,
    write_plan,
)
from meshproof.profiles.settings import RunSettings
from meshproof.profiles.waits import watch_waits
from meshproof.reaper import Reaper
from meshproof.sql import statement

SETTLE_SHARE: Final = 0.25
"""So much of a step goes by before it is measured: what waited from the step before is not its own."""
TOLD_BEFORE_S: Final = 0.4
"""So long before a step ends the generator hears of the next, whose requests are ready by then."""
CALIBRATION_MARGIN: Final = 2.0
CALIBRATION_ATTEMPTS: Final = 30_000


async def run(settings: RunSettings, display: Display, reaper: Reaper) -> Result:
    """Climb, come down, drain, save, judge."""
    plan = plan_of(settings)
    await write_plan(settings, plan, display)
    trial = replace(plan, course=(), levels=(Level(CALIBRATION_IN_FLIGHT, CALIBRATION_ATTEMPTS),))
    async with session(settings, plan, display, reaper, trial=trial) as under_way:
        what = f"Raising the load of {settings.scenario} from {settings.rate:,g}/s, times {settings.factor:g} a step"
        async with _pilot(under_way, climb_of(settings, under_way)) as pilot, watch_waits(under_way), flames(under_way):
            driven = await drive(under_way, what, pilot.fly, stepped=True)
        made = replace(settings, rates=tuple(step.rate for step in pilot.up))
        await write_plan(made, under_way.plan, display, {"stress": pilot.document()})
        await export(under_way, phases_of(under_way.plan, driven, now_us()))
        await measure_floor(under_way)
        display.step("Stopping MeshHook" if settings.embedded else "Leaving the target as it is")
    return await conclude(settings.out, display)


def plan_of(settings: RunSettings) -> Plan:
    """How it begins: the warm-up and the first step. What follows is not known yet."""
    return Plan(
        profile="stress",
        scenario=settings.scenario,
        seed=settings.seed,
        namespace=settings.namespace,
        rate=settings.rate,
        warmup_s=settings.warmup_s,
        duration_s=settings.step_s,
        arrivals=settings.arrivals,
        course=(
            Piece(settings.warmup_s, settings.rate, settings.rate),
            Piece(settings.step_s, settings.rate, settings.rate),
        ),
    )


def climb_of(settings: RunSettings, under_way: Session) -> Climb:
    """How to climb: no higher than half of what the generator has shown."""
    shown = under_way.calibration.per_s / CALIBRATION_MARGIN if under_way.calibration else float("inf")
    top = min(shown, settings.rate_max or float("inf"))
    return Climb(settings.rates[0] if settings.rates else settings.rate, settings.factor, max(top, settings.rate))


def phases_of(plan: Plan, driven: Driven, drained_us: int) -> list[Phase]:
    """All steps together are the steady phase; each on its own is in analysis.json."""
    warm_us = driven.start_us + round(plan.warmup_s * 1e6)
    end_us = warm_us + round(plan.duration_s * 1e6)
    return [
        Phase("warm-up", driven.start_us, warm_us),
        Phase("steady", warm_us, end_us),
        Phase("drain", end_us, max(drained_us, end_us)),
    ]


def next_of(rates: tuple[float, ...], done: int) -> float | Turn:
    """The next of some rates that were given."""
    return rates[done] if done < len(rates) else "top"


def runs_share(scenario: str) -> float:
    """Which part of the attempts of a scenario makes runs."""
    blend = scenarios.load(scenario).blend
    parts = {name: 1 - scenarios.load(name).redelivered - scenarios.load(name).conflicted for name in blend}
    return sum(parts[name] * weight for name, weight in blend.items()) / sum(blend.values())


class Count(NamedTuple):
    """How many runs had ended by a moment."""

    at_us: int
    ended: int


def goodput_between(began: Count | None, ended: Count | None) -> float:
    """Runs that ended a second; none where the database did not answer, since nobody has seen one end."""
    if began is None or ended is None or ended.at_us <= began.at_us:
        return 0.0
    return (ended.ended - began.ended) * 1e6 / (ended.at_us - began.at_us)


@dataclass
class Pilot:
    """Says how the load goes on, while it goes on."""

    run: Session
    climb: Climb
    reader: Reader
    """Its own: the next rate must be told in time, whatever others are asking."""
    up: list[Reached] = field(default_factory=list)
    down: list[Reached] = field(default_factory=list)
    turned: Turn = "top"

    async def fly(self, start_us: int) -> None:
        """Up, down, and the end."""
        self._start_us = start_us
        self._course = list(self.run.plan.course)
        self._share = runs_share(self.run.settings.scenario)
        fixed = self.run.settings.rates
        rate: float | Turn = self.climb.start
        while isinstance(rate, float):
            self.up.append(await self._watch(rate))
            rate = next_rate(self.climb, self.up) if not fixed else next_of(fixed, len(self.up))
            if isinstance(rate, float):
                self._tell(rate)
            else:
                self.turned = rate
        coming = way_down(self.up)
        for rate in coming:
            self._tell(rate)
        assert self.run.generator is not None
        self.run.generator.tell({"end": True})
        self._note_plan()
        for rate in coming:
            self.down.append(await self._watch(rate))

    def document(self) -> dict[str, Any]:
        """What goes into plan.json."""
        return {
            "climb": asdict(self.climb),
            "turned": self.turned,
            "steps_up": len(self.up),
            "step_s": self.run.settings.step_s,
            "seen": [{**asdict(step), "share": step.share} for step in (*self.up, *self.down)],
        }

    def _tell(self, rate: float) -> None:
        piece = Piece(self.run.settings.step_s, rate, rate)
        self._course.append(piece)
        assert self.run.generator is not None
        self.run.generator.tell({"piece": asdict(piece)})

    def _note_plan(self) -> None:
        seconds = sum(piece.seconds for piece in self._course[1:])
        self.run.plan = replace(self.run.plan, course=tuple(self._course), duration_s=seconds)

    async def _watch(self, rate: float) -> Reached:
        """Measure the step that is under way, and return a moment before it ends."""
        number = len(self.up) + len(self.down)
        step_s = self.run.settings.step_s
        begins_s = self._start_us / 1e6 + self.run.settings.warmup_s + number * step_s
        await _until(begins_s + SETTLE_SHARE * step_s)
        began = await self._ended()
        await _until(begins_s + step_s - TOLD_BEFORE_S)
        goodput = goodput_between(began, await self._ended())
        reached = Reached(rate, rate * self._share, goodput)
        self.run.display.note(f"{rate:,.0f}/s: {reached.share:.0%} done")
        return reached

    async def _ended(self) -> Count | None:
        """How many runs have ended; None when the database does not answer."""
        try:
            (row,) = await self.reader.fetch(statement("ended"), self.run.endpoints)
        except ERRORS:
            return None
        return Count(int(row["at_us"]), int(row["ended"]))


@asynccontextmanager
async def _pilot(run: Session, climb: Climb) -> AsyncIterator[Pilot]:
    reader = Reader(run.target.dsn)
    try:
        yield Pilot(run, climb, reader)
    finally:
        await reader.close()


async def _until(moment_s: float) -> None:
    await asyncio.sleep(max(0.0, moment_s - time.time()))
