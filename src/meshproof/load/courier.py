"""The courier: brings runs what comes to them from outside, once they are stored — events, and the wish that they end.

What it brings follows from the plan alone, as deliveries do. It looks up in the database which run a delivery has become, and
repeats whatever is not answered with 2xx: an event carries an id, so it counts once, and a run can be cancelled only once. What is
for one run comes in order, each when the one before has been taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from meshproof import scenarios
from meshproof.database import ERRORS, Reader
from meshproof.ledger import LineWriter
from meshproof.plan import Plan
from meshproof.rest import Api, ApiError
from meshproof.scenarios import Signal
from meshproof.sql import statement

LOOK_S: Final = 0.1
# Looking takes at most a fifth of the time of one connection, however many runs there are.
PAUSE_FACTOR: Final = 4.0
AGAIN_S: Final = 0.5
AT_ONCE: Final = 8


class Courier:
    """Brings every signal of a plan; `sent` is its ledger."""

    def __init__(self, plan: Plan, apis: Mapping[str, Api], reader: Reader, sent: LineWriter) -> None:
        """`apis`: of each project of the plan."""
        self._apis = apis
        self._reader = reader
        self._sent = sent
        self._waiting = _signals_of(plan)
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Go on until everything is brought."""
        async with asyncio.TaskGroup() as errands:
            while self._waiting:
                began = time.monotonic()
                with suppress(*ERRORS):
                    for row in await self._reader.fetch(statement("runs_of_deliveries"), list(self._waiting)):
                        delivery = row["delivery_key"]
                        if waiting := self._waiting.pop(delivery, None):
                            errands.create_task(self._bring(row["run_id"], delivery, *waiting))
                await asyncio.sleep(max(LOOK_S, PAUSE_FACTOR * (time.monotonic() - began)))

    async def _bring(self, run_id: str, delivery: str, project: str, signals: tuple[Signal, ...]) -> None:
        """Everything for one run, each thing at its time."""
        began = time.monotonic()
        for signal in signals:
            await asyncio.sleep(max(0.0, began + signal.after_s - time.monotonic()))
            while not await self._is_taken(self._apis[project], run_id, delivery, signal):
                await asyncio.sleep(AGAIN_S)
            line = {"at_us": time.time_ns() // 1_000, "d": delivery, "run_id": run_id, "what": signal.what}
            self._sent.add_json(line)
            self._sent.flush()

    async def _is_taken(self, api: Api, run_id: str, delivery: str, signal: Signal) -> bool:
        async with self._free:
            try:
                if signal.what == "cancel":
                    await api.cancel(run_id)
                else:
                    # The same event sent twice carries the same id.
                    await api.send_event(signal.name, signal.key, signal.payload, f"{delivery}-{signal.name}")
            except ApiError:
                return False
            return True


def _signals_of(plan: Plan) -> dict[str, tuple[str, tuple[Signal, ...]]]:
    """What is to be brought to each delivery that gets anything, and in the name of which project."""
    members = {name: scenarios.load(name) for name in plan.members()}
    found: dict[str, tuple[str, tuple[Signal, ...]]] = {}
    if any(member.signals for member in members.values()):
        for attempt in plan.attempts():
            member = members[attempt.scenario]
            if attempt.kind == "first" and member.signals and (wanted := member.signals(attempt.payload(plan.seed))):
                found[plan.delivery_id(attempt)] = member.project, wanted
    return found
