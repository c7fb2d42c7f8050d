"""The audience: subscribers of live streams beside the load. Each writes down what it was told, when, and in which order.

Some subscribe to a workflow before anything is sent, so that nothing of it may be missed; the others take up run after run. Some
break their connection off again and again and go on with their cursor, some read slowly while things are sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from meshproof import scenarios
from meshproof.database import ERRORS, Reader
from meshproof.draw import Draw
from meshproof.ledger import LineWriter
from meshproof.plan import Plan
from meshproof.rest import Api
from meshproof.scenarios import Audience
from meshproof.sql import statement
from meshproof.sse import Parser
from meshproof.watcher import READ_BYTES, RETRY_S, SLOW_BYTES, SLOW_PAUSE_S, Address

BEGIN_S_MAX: Final = 60.0
QUIET_S_MAX: Final = 30.0
"""When somebody lacks something and nobody is told anything for so long, it is not coming any more."""

LOOK_S: Final = 0.2
FEW: Final = 20


class Told(msgspec.Struct):
    """What is kept of an event."""

    run_id: str
    seq: int
    at: datetime


_told: Final = msgspec.json.Decoder(Told)


@dataclass
class Subscriber:
    """One reader of streams; `of` is the scenario whose runs it is about."""

    number: int
    address: Address
    of: str
    quits: bool
    slow: bool
    ledger: LineWriter
    marks: Mapping[str, str]
    """The canaries of the other projects."""
    connections: int = 0
    told: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: bool = False
    ended: list[str] = field(default_factory=list)
    """Runs whose stream has said that they have ended."""

    async def follow(self, path: str, parser: Parser, draw: Draw, stay_s: float) -> bool:
        """Follow a stream, connecting again whenever it ends, until it says that all was told."""
        while True:
            limit_s = stay_s * (0.5 + draw.unit()) if self.quits else None
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(limit_s):
                    if await self._listen(path, parser):
                        return True
            # What was cut off in the middle comes again, behind the cursor.
            parser = Parser(last_id=parser.last_id)
            await asyncio.sleep(0 if self.quits else RETRY_S)

    async def _listen(self, path: str, parser: Parser) -> bool:
        cursor = {"last-event-id": parser.last_id} if parser.last_id else {}
        is_slow = self.slow and not self.hurried
        async with self.address.ask("GET", path, headers=cursor, slow=is_slow) as (status, reader):
            if status == 204:
                return True
            if status != 200:
                return False
            self.connections += 1
            since_us = _now_us()
            while chunk := await reader.read(SLOW_BYTES if self.slow and not self.hurried else READ_BYTES):
                if self._take(parser, chunk, since_us):
                    return True
                if self.slow and not self.hurried:
                    await asyncio.sleep(SLOW_PAUSE_S)
        return False

    def _take(self, parser: Parser, chunk: bytes, since_us: int) -> bool:
        now_us, is_over = _now_us(), False
        for event in parser.feed(chunk):
            if event.name != "message":
                is_over |= event.name == "end"
                continue
            told = _told.decode(event.data)
            at_us = round(told.at.timestamp() * 1_000_000)
            line = {"w": self.number, "run_id": told.run_id, "seq": told.seq, "n": self.told, "at_us": at_us}
            line |= {"seen_us": now_us, "live": at_us >= since_us and not self.slow}
            line |= {"marks": [project for project, mark in self.marks.items() if mark in event.data]}
            self.ledger.add_json(line)
            self.told += 1
        self.ledger.flush()
        if parser.last_id:
            self.began.set()
        return is_over


class House:
    """All subscribers of a run; `folder` takes their ledgers."""

    def __init__(self, plan: Plan, apis: Mapping[str, Api], reader: Reader, folder: Path) -> None:
        """`apis`: of each project of the plan."""
        self._plan = plan
        self._reader = reader
        self._folder = folder
        self._ledger = LineWriter(folder / "told.ndjson")
        audience = scenarios.load(plan.scenario).audience
        assert audience is not None
        self._audience = audience
        self._members = [name for name in plan.members() if scenarios.load(name).project in apis]
        people = [self._subscriber(number, apis) for number in range(audience.of_workflows + audience.of_runs)]
        self._of_workflows = people[: audience.of_workflows]
        self._of_runs = people[audience.of_workflows :]
        self._tasks: list[asyncio.Task[object]] = []

    async def open(self) -> None:
        """Let all subscribe; returns when each stream of a workflow has begun."""
        for person in self._of_workflows:
            path = f"/api/v1/stream?workflow={self._plan.place(person.of)}"
            following = person.follow(path, Parser(), Draw("subscriber", person.number), self._audience.stay_s)
            self._tasks.append(asyncio.create_task(following))
        async with asyncio.timeout(BEGIN_S_MAX):
            for person in self._of_workflows:
                await person.began.wait()
        self._tasks += [asyncio.create_task(self._take_up_runs(person)) for person in self._of_runs]

    async def close(self) -> None:
        """Wait until all that is stored was told, as long as anything is; then end all, and write down who they were."""
        for person in self._people:
            person.hurried = True
        await self._all_told()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with LineWriter(self._folder / "subscribers.ndjson") as people:
            for person in self._people:
                people.add_json(self._line(person))
        self._ledger.close()

    async def _all_told(self) -> None:
        told, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_S_MAX:
            with suppress(
                *ERRORS
            ):  # of a database that does not answer nobody knows how many there are: it is asked again
                if not await self._is_anybody_behind():
                    return
            if (now := sum(person.told for person in self._of_workflows)) > told:
                told, since = now, time.monotonic()
            await asyncio.sleep(LOOK_S)

    async def _is_anybody_behind(self) -> bool:
        """Whether more is stored of a workflow than somebody was told who watches it. Raises one of ERRORS."""
        rows = await self._reader.fetch(statement("watched_counts"), self._places)
        stored = {row["workflow"]: row["events"] for row in rows}
        return any(person.told < stored.get(self._plan.place(person.of), 0) for person in self._of_workflows)

    async def _take_up_runs(self, person: Subscriber) -> None:
        """One run after the other, from its first event to its last; which ones is drawn from those that are new."""
        draw = Draw("follower", person.number)
        place, seen = self._plan.place(person.of), set[str]()
        while not person.hurried:
            with suppress(*ERRORS):
                rows = await self._reader.fetch(statement("runs_of_places"), [place], FEW)
                if fresh := [row["run_id"] for row in rows if row["run_id"] not in seen]:
                    run_id = str(draw.pick(fresh))
                    seen.add(run_id)
                    if await person.follow(
                        f"/api/v1/runs/{run_id}/stream", Parser(), draw, self._audience.stay_in_run_s
                    ):
                        person.ended.append(run_id)
                    continue
            await asyncio.sleep(LOOK_S)

    def _subscriber(self, number: int, apis: Mapping[str, Api]) -> Subscriber:
        of, every = self._members[number % len(self._members)], self._audience
        project = scenarios.load(of).project
        api = apis[project]
        key = {"authorization": f"Bearer {api.key}"} if api.key else {}
        others = {other: scenarios.canary(other) for other in apis if other != project}
        draw = Draw("kind of subscriber", number)
        quits, slow = draw.chance(every.quitting_share), draw.chance(every.slow_share)
        return Subscriber(number, Address(api.host, api.port, key), of, quits, slow and not quits, self._ledger, others)

    def _line(self, person: Subscriber) -> dict[str, object]:
        line: dict[str, object] = {"w": person.number, "scenario": person.of}
        line |= {"kind": "workflow" if person in self._of_workflows else "run", "ended": person.ended}
        return line | {"quits": person.quits, "slow": person.slow, "connections": person.connections}

    @property
    def _people(self) -> Sequence[Subscriber]:
        return [*self._of_workflows, *self._of_runs]

    @property
    def _places(self) -> list[str]:
        return [self._plan.place(name) for name in self._members]


def is_wanted(plan: Plan) -> bool:
    """Whether anybody watches this run."""
    audience: Audience | None = scenarios.load(plan.scenario).audience
    return audience is not None


def _now_us() -> int:
    return time.time_ns() // 1_000
