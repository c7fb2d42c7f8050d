"""The stagehand: changes the engine while deliveries arrive. It withdraws a secret, publishes a version, cancels many runs.

What it does follows from the plan alone. It goes by the clock, one thing after the other, repeats what is not answered with 2xx,
and writes down from when to when each was done: before the one moment nothing of it can be true, after the other all of it must be.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Final

from meshproof import scenarios
from meshproof.ledger import LineWriter
from meshproof.placing import HERE, placed
from meshproof.plan import Plan
from meshproof.rest import Api, ApiError
from meshproof.scenarios import Act

AGAIN_S: Final = 0.5
FOLLOW_S: Final = 0.1
PATIENCE_S: Final = 60.0
OK: Final = range(200, 300)


@dataclass(frozen=True)
class Cue:
    """One act, and where it belongs."""

    scenario: str
    act: Act


class Stagehand:
    """Does every act of a plan; `done` is its ledger."""

    def __init__(
        self,
        plan: Plan,
        apis: Mapping[str, Api],
        sink: str | None,
        done: LineWriter,
        restart: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`apis`: of each project of the plan; `sink`: the address of the sink, if there is one; `restart` ends a process of a
        role in good order, and returns when another is ready in its place: None where it is nobody's to end."""
        self._plan = plan
        self._apis = apis
        self._sink = sink
        self._done = done
        self._restart = restart

    async def set_up(self) -> None:
        """What comes before anything is sent. Raises ApiError."""
        for cue in cues(self._plan):
            if cue.act.at == scenarios.BEFORE:
                await self._do(cue)

    async def play(self, start_us: int) -> None:
        """Everything else, each thing at its time. Raises ApiError when something can't be done at all."""
        for cue in cues(self._plan):
            if cue.act.at != scenarios.BEFORE:
                await asyncio.sleep(start_us / 1e6 + due_s(self._plan, cue.act) - time.time())
                await self._do(cue)

    async def _do(self, cue: Cue) -> None:
        api = self._apis[scenarios.load(cue.scenario).project]
        path = cue.act.path.replace(HERE, self._plan.place(cue.scenario))
        document = self._document(cue)
        began_us = _now_us()
        if cue.act.method == scenarios.RESTART:
            if self._restart is None:
                return
            await self._restart(path)
            status, reply = 200, ""
        else:
            status, reply = await _insist(api, cue.act.method, path, document)
        if cue.act.followed:
            reply = await _end_of(api, f"{path}/{json.loads(reply)['id']}")
        line = {"name": cue.act.name, "scenario": cue.scenario, "began_us": began_us, "ended_us": _now_us()}
        self._done.add_json(line | {"status": status, "reply": reply})
        self._done.flush()

    def _document(self, cue: Cue) -> Any:
        if cue.act.document is None:
            return None
        here = self._plan.place(cue.scenario)
        document = placed(cue.act.document, self._sink, datetime.now(UTC), self._plan.place)
        return json.loads(json.dumps(document).replace(HERE, here))


def cues(plan: Plan) -> list[Cue]:
    """Every act of a plan in the order of their times."""
    found = [Cue(name, act) for name in plan.members() for act in scenarios.load(name).acts]
    return sorted(found, key=lambda cue: cue.act.at)


def due_s(plan: Plan, act: Act) -> float:
    """When an act is due, in seconds from the start."""
    return plan.warmup_s + act.at * plan.duration_s


async def _insist(api: Api, method: str, path: str, document: Any) -> tuple[int, str]:
    """Call until it is answered 2xx. Raises ApiError at a refusal for good, and when patience is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            status, reply = await api.ask(method, path, document)
            if status in OK:
                return status, reply
            said = f"answered {status}: {reply[:500]}"
        except (OSError, HTTPException) as error:
            status, said = 503, str(error)
        if (400 <= status < 500 and status != 429) or time.monotonic() > deadline:
            raise ApiError(f"{method} {path} was {said}")
        await asyncio.sleep(AGAIN_S)


async def _end_of(api: Api, path: str) -> str:
    while True:
        _, reply = await _insist(api, "GET", path, None)
        if json.loads(reply)["state"] != "working":
            return reply
        await asyncio.sleep(FOLLOW_S)


def _now_us() -> int:
    return time.time_ns() // 1_000
