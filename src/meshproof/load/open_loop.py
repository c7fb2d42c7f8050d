"""The open model: every request is sent at its planned time, whatever became of those before.

Latency counts from the planned time, so a server that stalls is charged for every request that had to wait for it,
and not only for the one it stalled on (coordinated omission). What cannot be sent because too much is in flight is
counted as `unsent`, and makes the whole run invalid: a generator that waits for the server is no open model.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns, process_time_ns

from meshproof import scenarios
from meshproof.load.client import Exchange, Pool
from meshproof.load.recorder import Recorder
from meshproof.load.request import Ready, Requests
from meshproof.load.steps import StepMeter
from meshproof.plan import Plan

# uvloop's timers have a resolution of one millisecond; a shorter sleep would return at once and burn the processor.
TICK_S = 0.001
EXPIRE_EVERY_TICKS = 50
CONNECTIONS_MAX = 1_024
CONNECTIONS_MIN = 16
STALL_S = 0.25


def connections_for(rate: float) -> int:
    """How many connections to open before the start: as many as requests come due in a stall of the engine of ``STALL_S``.

    To open some hundreds takes 20 ms. Done when a stall asks for them, that makes the next requests late, and the engine's doing
    would be taken for the generator's.
    """
    return max(CONNECTIONS_MIN, min(CONNECTIONS_MAX, round(rate * STALL_S)))


class OpenLoop:
    """Sends the requests of one process at their times, and waits for every reply."""

    def __init__(
        self,
        plan: Plan,
        requests: Requests,
        recorder: Recorder,
        host: str,
        port: int,
        in_flight_max: int,
        timeout_s: float,
        meter: StepMeter | None = None,
        *,
        tls: bool = False,
    ) -> None:
        """`meter` divides what is done by the steps of the load, where it has any."""
        self._meter = meter
        self._plan = plan
        self._requests = requests
        self._recorder = recorder
        self._in_flight_max = in_flight_max
        # Who waits for his run has a connection of his own for as long.
        waits = any(scenarios.load(name).reply for name in plan.members())
        connections_max = in_flight_max if waits else CONNECTIONS_MAX
        self._pool = Pool(host, port, self._ended, timeout_s=timeout_s, connections_max=connections_max, tls=tls)
        self.in_flight = 0
        self.unsent = 0
        self.cpu_share = 0.0
        """Processor time of this process over wall time while it was sending, in cores."""

    async def run(self, connections: int) -> None:
        """Send everything, in its time, and wait until each request is answered or timed out."""
        await self._pool.warm(connections)
        await asyncio.sleep(max(0, self._recorder.clock.start_ns - perf_counter_ns()) / 1e9)
        await self._send_all()
        await self._settle()

    async def _send_all(self) -> None:
        began_ns, cpu_ns = perf_counter_ns(), process_time_ns()
        start_ns = self._recorder.clock.start_ns
        ticks = 0
        while not self._requests.ended:
            upcoming = self._requests.peek()
            # A time that is not known yet is asked for again in a moment.
            wait_s = 2 * TICK_S if upcoming is None else (start_ns + upcoming.at_ns - perf_counter_ns()) / 1e9
            if wait_s > TICK_S:
                self._requests.fill_one()
                await asyncio.sleep(min(wait_s, 50 * TICK_S))
            else:
                await asyncio.sleep(TICK_S)
            self._send_due(start_ns)
            self._recorder.commit_outcomes()
            if self._meter is not None:
                self._meter.look(perf_counter_ns(), self._recorder.lag_us, self.unsent, self.in_flight)
            ticks += 1
            if ticks % EXPIRE_EVERY_TICKS == 0:
                self._pool.expire()
        if self._meter is not None:
            self._meter.close(self._recorder.lag_us, self.unsent)
        self.cpu_share = (process_time_ns() - cpu_ns) / max(1, perf_counter_ns() - began_ns)

    def _send_due(self, start_ns: int) -> None:
        due: list[Ready] = []
        room = self._in_flight_max - self.in_flight
        now = perf_counter_ns()
        while (upcoming := self._requests.peek()) is not None and start_ns + upcoming.at_ns <= now:
            ready = self._requests.take()
            if len(due) >= room:
                self.unsent += 1
                continue
            due.append(ready)
            self._recorder.attempt(ready, start_ns + ready.at_ns)
        # On record before the first byte leaves: a request nobody knows of could never be missed.
        self._recorder.commit_attempts()
        for ready in due:
            self.in_flight += 1
            self._recorder.lag_us.append((perf_counter_ns() - start_ns - ready.at_ns) // 1_000)
            self._pool.submit(Exchange(ready.attempt, ready.request))

    async def _settle(self) -> None:
        while self.in_flight:
            self._pool.expire()
            self._recorder.commit_outcomes()
            await asyncio.sleep(5 * TICK_S)
        self._recorder.commit_outcomes()
        await self._pool.close()

    def _ended(self, exchange: Exchange) -> None:
        self.in_flight -= 1
        attempt = exchange.attempt
        intended_ns = self._recorder.clock.start_ns + attempt.at_us * 1_000
        self._recorder.outcome(exchange, self._plan.delivery_id(attempt), intended_ns)
