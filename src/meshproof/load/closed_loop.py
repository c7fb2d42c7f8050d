"""The closed model: exactly so many runs in flight, no more and no fewer.

A *run* is in flight from the sending of its webhook until it is seen finished in the database, and the next is sent in
the same turn of the event loop. There is no schedule here, so there is no intended time: latency counts from the
sending, and a slow engine is offered less. That is what the closed model asks — how the engine does with N at a time —
and why the open model stands beside it.

A refusal ends a run that never was; its place stays empty for as long as the door asks (`Retry-After`), and the level
counts as not held for that time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from time import perf_counter_ns, process_time_ns

from meshproof.load.client import Exchange, Pool
from meshproof.load.finished import Finished
from meshproof.load.recorder import Recorder
from meshproof.load.request import Requests
from meshproof.plan import Level, Plan

TURN_S = 0.002
REFUSED_PAUSE_S = 0.1
EXPIRE_EVERY_TURNS = 25
TOO_MANY = 429


@dataclass
class Held:
    """How one level went. Times are microseconds of Unix time."""

    level: int
    started_us: int = 0
    filled_us: int = 0
    """When as many as asked for were first in flight: the steady phase begins."""
    last_sent_us: int = 0
    """When the last of the level's attempts was sent: the steady phase ends."""
    ended_us: int = 0
    in_flight_max: int = 0
    held_share: float = 0.0
    """The part of the steady phase during which exactly `level` were in flight."""
    unsent: int = 0


class ClosedLoop:
    """Runs the levels of a plan one after the other."""

    def __init__(
        self,
        plan: Plan,
        requests: Requests,
        recorder: Recorder,
        host: str,
        port: int,
        finished: Finished | None,
        timeout_s: float,
        level_s_max: float,
        *,
        tls: bool = False,
    ) -> None:
        """Without `finished` a run counts as finished when its webhook is answered."""
        self._plan = plan
        self._requests = requests
        self._recorder = recorder
        self._finished = finished
        self._level_s_max = level_s_max
        self._pool = Pool(host, port, self._ended, timeout_s=timeout_s, connections_max=512, tls=tls)
        self._units: dict[str, int] = defaultdict(int)
        """Units of each run that is not finished: a redelivery has the run of its first delivery."""
        self._level = Level(0, 0)
        self._left = 0
        self._intended_ns: dict[int, int] = {}
        self._paused = 0
        self._off_ns = 0
        self._off_since_ns: int | None = None
        self.in_flight = 0
        self.cpu_share = 0.0
        """Processor time of this process over wall time, in cores."""
        self.held: list[Held] = []

    @property
    def transactions(self) -> int:
        """What looking for finished runs has cost the database."""
        return self._finished.transactions if self._finished else 0

    async def run(self) -> None:
        """Every level, to its end or to the bound of time."""
        await asyncio.sleep(max(0, self._recorder.clock.start_ns - perf_counter_ns()) / 1e9)
        began_ns, cpu_ns = perf_counter_ns(), process_time_ns()
        for level in self._plan.levels:
            self.held.append(Held(level.in_flight))
            await self._hold(level, self.held[-1])
        self.cpu_share = (process_time_ns() - cpu_ns) / (perf_counter_ns() - began_ns)
        await self._pool.close()

    async def _hold(self, level: Level, held: Held) -> None:
        wall_us = self._recorder.clock.wall_us
        held.started_us = wall_us(perf_counter_ns())
        self._level, self._left, self._off_ns, self._off_since_ns = level, level.attempts, 0, None
        deadline_ns = perf_counter_ns() + round(self._level_s_max * 1e9)
        self._send(min(level.in_flight, self._left))
        held.filled_us = wall_us(perf_counter_ns())
        turns = 0
        while self.in_flight or self._paused:
            await asyncio.sleep(TURN_S)
            await self._reap()
            self._recorder.commit_outcomes()
            turns += 1
            if turns % EXPIRE_EVERY_TURNS == 0:
                self._pool.expire()
            if perf_counter_ns() > deadline_ns:
                self._give_up(held)
        held.ended_us = wall_us(perf_counter_ns())
        steady_us = held.last_sent_us - held.filled_us
        held.held_share = 1.0 - min(1.0, self._off_ns / 1_000 / steady_us) if steady_us > 0 else 1.0

    def _give_up(self, held: Held) -> None:
        # What is still under way is left to the drain, like any other run.
        held.unsent += self._left
        for _ in range(self._left):
            if self._requests.peek() is not None:
                self._requests.take()
        self._left = 0
        self._units.clear()
        self.in_flight = 0

    def _send(self, count: int) -> None:
        """Send the next attempts; on record before the first byte leaves."""
        batch = []
        for _ in range(min(count, self._left)):
            if self._requests.peek() is None:
                break
            ready = self._requests.take()
            now = perf_counter_ns()
            self._intended_ns[ready.attempt.n] = now
            self._recorder.attempt(ready, now)
            batch.append(ready)
        self._recorder.commit_attempts()
        self._left -= len(batch)
        self.in_flight += len(batch)
        held = self.held[-1]
        held.in_flight_max = max(held.in_flight_max, self.in_flight)
        for ready in batch:
            self._pool.submit(Exchange(ready.attempt, ready.request))
        if batch:
            held.last_sent_us = self._recorder.clock.wall_us(perf_counter_ns())
        self._note_held()

    def _ended(self, exchange: Exchange) -> None:
        attempt = exchange.attempt
        intended_ns = self._intended_ns.pop(attempt.n)
        outcome = self._recorder.outcome(exchange, self._plan.delivery_id(attempt), intended_ns)
        if outcome.verdict == "ok" and outcome.run_id and self._finished is not None:
            self._units[outcome.run_id] += 1
            self._finished.watch(outcome.run_id)
        elif 200 <= exchange.status < 500 and exchange.status != TOO_MANY:
            self._replace(1)
        else:
            self._pause(exchange)

    async def _reap(self) -> None:
        if self._finished is not None:
            self._replace(sum(self._units.pop(run_id, 0) for run_id in await self._finished.poll()))

    def _replace(self, count: int) -> None:
        count = min(count, self.in_flight)
        self.in_flight -= count
        self._send(count)

    def _pause(self, exchange: Exchange) -> None:
        retry_after = exchange.retry_after.decode("latin-1")
        pause_s = float(retry_after) if retry_after.isdigit() else REFUSED_PAUSE_S
        self.in_flight -= 1
        self._paused += 1
        self._note_held()
        asyncio.get_running_loop().call_later(min(pause_s, 5.0), self._resume)

    def _resume(self) -> None:
        self._paused -= 1
        self._send(1)

    def _note_held(self) -> None:
        """Add up the time during which the level was not held, as long as there was more to send."""
        now = perf_counter_ns()
        if self._off_since_ns is not None:
            self._off_ns += now - self._off_since_ns
        short = self.in_flight != self._level.in_flight and self._left > 0
        self._off_since_ns = now if short else None
