"""The hosts a worker calls: whether it may call one now, or when to ask again. No call is begun that would only wait.

For each host (scheme, name and port) of one worker process:

- so many calls at once; so many a second;
- while at least half of its answers are 429, 502 or 504: half as many at once (then one more for each round that goes well), and
  nothing before the time a ``Retry-After`` names. One 429 among many answers is for the call that got it, not for the host;
- nothing while its circuit is open, see ``circuit``.

Who has to wait goes back into the queue, and costs neither a lease, nor an attempt, nor one of the calls this worker may make at
once. He stands in the line of his host (see ``line``), and is called when there is room for him: as others come back, as seconds
pass, as the host is well again. So a host that is slow or down holds up its own callers and nobody else, and who waits for it costs
nothing. Pure but for the calls themselves: the time is ``clock``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from meshhook.circuit import Circuit, CircuitState
from meshhook.line import Line
from meshhook.model import CallError, Request, Response
from meshhook.placeholders import STAND_IN

_log = structlog.get_logger("meshhook.worker")

RETRY_AFTER_MAX_S: Final = 60.0
_HOSTS_MAX: Final = 10_000
_UNCALLED_S: Final = 2.0
_SLOW_DOWN: Final = frozenset({429, 502, 504})
_FAILED_STATUSES: Final = frozenset({500, 502, 503, 504})
_FAILED_ERRORS: Final = frozenset({"connect", "timeout", "broken"})
_REFUSING: Final = 0.5
_TRUST: Final = 8
"""A host that is new counts as one that has answered so often without refusing."""
_MEMORY: Final = 0.02
"""What the last answer weighs in that share: with more, a host that refuses every fourth call would now and then seem to refuse
every other."""
_NO_LIMIT: Final = 1_000_000.0

Answer = Response | CallError
Send = Callable[[Request, dict[str, str]], Awaitable[Answer]]
Reason = Literal["busy", "rate", "asked", "circuit"]


@dataclass(slots=True)
class HostCounts:
    """What one worker has done since it started: calls held back by reason, circuits opened."""

    held_back: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(("busy", "rate", "asked", "circuit"), 0))
    circuits_opened: int = 0


@dataclass(slots=True)
class _Host:
    circuit: Circuit
    limit: float
    under_way: int = 0
    next_start: float = 0.0
    not_before: float = 0.0
    answers: int = 0
    refused: float = 0.0
    slowed_at: float = float("-inf")
    line: Line = field(default_factory=lambda: Line(_UNCALLED_S))


class Hosts:
    """The hosts as one worker process knows them.

    Args:
        per_host_max: calls to one host at once; 0 is no limit. per_host_per_s: calls to one host begun in a second; 0 is no limit.
        circuit_failures, circuit_pause_s: see ``Circuit``. clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        per_host_max: int = 0,
        per_host_per_s: float = 0.0,
        circuit_failures: int = 0,
        circuit_pause_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = float(per_host_max) or _NO_LIMIT
        self._gap_s = 1 / per_host_per_s if per_host_per_s else 0.0
        # What one second allows may come at once.
        self._burst_s = max(0.0, 1.0 - self._gap_s)
        self._circuit_failures = circuit_failures
        self._circuit_pause_s = circuit_pause_s
        self._clock = clock
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._planned: dict[str, int] = {}
        self._passing: set[tuple[str, UUID]] = set()
        self._lines: set[str] = set()
        self.counts = HostCounts()

    def plan(self) -> None:
        """Begin to plan: what was let through before is under way by now, or never will be."""
        self._planned.clear()
        self._passing.clear()

    def wait_s(self, request: Request, run_id: UUID) -> float:
        """0 when this run may make the call now, which is then planned; else in how many seconds to ask again uncalled.

        A call whose host is a secret is never held back: here nobody knows the host.
        """
        name = host_of(request.url)
        if name == _SECRET_HOST:
            return 0.0
        host, now = self._host(name), self._clock()
        is_next = host.line.is_next(run_id) or (name, run_id) in self._passing
        blocked = self._blocked(host, name, now) or (None if is_next else ("busy", 0.0))
        if blocked is None:
            host.circuit.wait_s(now)  # it is one of the tries, if it is open
            self._planned[name] = self._planned.get(name, 0) + 1
            host.next_start = max(host.next_start, now - self._burst_s) + self._gap_s
            if len(host.line):
                self._passing.add((name, run_id))  # what else it wants of this host goes with it
            host.line.leave(run_id)
            return 0.0
        reason, least_s = blocked
        self.counts.held_back[reason] += 1
        self._lines.add(name)
        return least_s + host.line.wait_s(run_id)

    def call(self) -> list[UUID]:
        """The runs for whose calls there is room now: they are to ask again."""
        run_ids, now = [], self._clock()
        for name in list(self._lines):
            host = self._hosts[name]
            run_ids += host.line.call(self._room(host, now), now)
            if not len(host.line):
                self._lines.discard(name)
        return run_ids

    def around(self, send: Send) -> Send:
        """``send`` for calls that were let through: they are counted, and what it says of the host is learnt from how they end."""

        async def counted(request: Request, headers: dict[str, str]) -> Answer:
            host, began = self._host(host_of(request.url)), self._clock()
            host.under_way += 1
            try:
                answer = await send(request, headers)
            finally:
                host.under_way -= 1
            self._learn(host, request, answer, began, self._clock())
            return answer

        return counted

    def circuits(self) -> list[CircuitState]:
        """How the circuits of all hosts stand."""
        now = self._clock()
        return [host.circuit.state(now) for host in list(self._hosts.values())]  # asked from another thread

    def _blocked(self, host: _Host, name: str, now: float) -> tuple[Reason, float] | None:
        if host.not_before > now:
            return "asked", host.not_before - now
        if host.under_way + self._planned.get(name, 0) >= max(1, int(host.limit)):
            return "busy", 0.0
        if self._gap_s and (wait_s := host.next_start - now) > 0:
            return "rate", wait_s
        if host.circuit.tries(now) == 0:
            return "circuit", host.circuit.wait_s(now)
        return None

    def _room(self, host: _Host, now: float) -> int:
        """How many calls to a host could be begun now."""
        if host.not_before > now:
            return 0
        room = max(1, int(host.limit)) - host.under_way
        if self._gap_s:
            room = min(room, int((now - max(host.next_start, now - self._burst_s)) / self._gap_s + 1))
        tries = host.circuit.tries(now)
        return room if tries is None else min(room, tries)

    def _learn(self, host: _Host, request: Request, answer: Answer, began: float, now: float) -> None:
        status = answer.status if isinstance(answer, Response) else None
        host.answers += 1
        host.refused += ((status in _SLOW_DOWN) - host.refused) * max(_MEMORY, 1 / (host.answers + _TRUST))
        if isinstance(answer, Response) and status in _SLOW_DOWN:
            if host.refused >= _REFUSING:
                self._slow_down(host, answer, began, now)
        elif status is not None:
            host.limit = min(self._limit, host.limit + 1 / host.limit)
        failed = status in _FAILED_STATUSES if isinstance(answer, Response) else answer.type in _FAILED_ERRORS
        if host.circuit.note(now, began, failed=failed):
            self.counts.circuits_opened += 1
            _log.warning("a host fails: it is left alone for a while", host=host_of(request.url))

    def _slow_down(self, host: _Host, answer: Response, began: float, now: float) -> None:
        asked = answer.headers.get("retry-after", "")
        if asked.isdecimal():
            host.not_before = max(host.not_before, now + min(float(asked), RETRY_AFTER_MAX_S))
        if began > host.slowed_at:  # else it was begun before the last time, and says nothing new
            host.slowed_at = now
            host.limit = max(1.0, min(host.limit, float(host.under_way + 1)) / 2)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _HOSTS_MAX:
                self._forget_idle()
            host = self._hosts[name] = _Host(Circuit(self._circuit_failures, self._circuit_pause_s), self._limit)
        else:
            self._hosts.move_to_end(name)
        return host

    def _forget_idle(self) -> None:
        """Make room: the half that was not asked for the longest, but for those with calls under way or runs in line."""
        for name in list(self._hosts)[: _HOSTS_MAX // 2]:
            if not self._hosts[name].under_way and name not in self._lines:
                del self._hosts[name]


@lru_cache(maxsize=1_000)
def host_of(url: str) -> str:
    """Scheme, name and port: what has limits and a circuit of its own."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


_SECRET_HOST: Final = host_of(STAND_IN)
