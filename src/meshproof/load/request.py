"""Requests made ready before they are due: the bytes to send, and the line that says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from time import time

from meshproof import scenarios
from meshproof.load.shape import moments
from meshproof.load.steps import Steps
from meshproof.plan import Attempt, Plan

READY_BYTES_MAX = 128 * 1024 * 1024


class Ready:
    """One attempt, made ready."""

    __slots__ = ("at_ns", "attempt", "line", "request")

    def __init__(self, attempt: Attempt, request: bytes, line: bytes) -> None:
        self.attempt = attempt
        self.at_ns = attempt.at_us * 1_000
        self.request = request
        self.line = line
        """Its line in the ledger of attempts, up to the time, which is known when the run starts."""

    def ledger_line(self, intended_us: int) -> bytes:
        """The line for the ledger of attempts."""
        return b"%b%d}" % (self.line, intended_us)


class Requests:
    """The attempts of one generator process, made ready ahead of time within a bound of memory."""

    bytes_max = READY_BYTES_MAX

    def __init__(self, plan: Plan, host: str, process: int = 0, processes: int = 1) -> None:
        self._plan = plan
        self._attempts: Iterator[Attempt] = (a for a in self._planned() if a.n % processes == process)
        self._ready: deque[Ready] = deque()
        self._bytes = 0
        self._exhausted = False
        self._heads = {
            name: (
                f"POST /hooks/{plan.place(name)} HTTP/1.1\r\nhost: {host}\r\nuser-agent: meshproof\r\n"
                f"content-type: {scenarios.load(name).content_type}\r\nwebhook-id: "
            ).encode()
            for name in plan.members()
        }

    def _planned(self) -> Iterator[Attempt]:
        return self._plan.attempts()

    @property
    def ended(self) -> bool:
        """Whether there will be no more."""
        return self.peek() is None

    def fill(self) -> None:
        """Make requests ready up to the bound of memory."""
        while self.fill_one():
            pass

    def fill_one(self) -> bool:
        """Make one more ready; False when there is none left, or no room."""
        if self._exhausted or self._bytes >= self.bytes_max:
            return False
        attempt = next(self._attempts, None)
        if attempt is None:
            self._exhausted = True
            return False
        ready = self._make(attempt)
        self._ready.append(ready)
        self._bytes += len(ready.request)
        return True

    def peek(self) -> Ready | None:
        """The next request, or None at the end of the plan."""
        if not self._ready and not self.fill_one():
            return None
        return self._ready[0]

    def take(self) -> Ready:
        """Take the next request, which `peek` has shown."""
        ready = self._ready.popleft()
        self._bytes -= len(ready.request)
        return ready

    def _make(self, attempt: Attempt) -> Ready:
        body = attempt.payload(self._plan.seed)
        delivery = self._plan.delivery_id(attempt)
        request = b"%b%b%b\r\ncontent-length: %d\r\n\r\n%b" % (
            self._heads[attempt.scenario],
            delivery.encode(),
            self._further(attempt.scenario, body, delivery),
            len(body),
            body,
        )
        line = (
            f'{{"n":{attempt.n},"d":"{delivery}","k":"{attempt.kind}","s":"{attempt.scenario}","i":{attempt.i},'
            f'"hash":"{sha256(body).hexdigest()}","intended_us":'
        )
        return Ready(attempt, request, line.encode())

    def _further(self, scenario: str, body: bytes, delivery: str) -> bytes:
        """What else the head of a request holds. Whoever signs a time signs that at which the request is made ready."""
        headers = scenarios.load(scenario).headers
        if headers is None:
            return b""
        return "".join(f"\r\n{name}: {value}" for name, value in headers(body, delivery, time()).items()).encode()


class SteppedRequests(Requests):
    """Requests whose times become known as the run goes on; everything else about them is made ready before."""

    # How many there will be is not known, and most of them may never be wanted.
    bytes_max = READY_BYTES_MAX // 3

    def __init__(self, plan: Plan, host: str, steps: Steps, process: int = 0, processes: int = 1) -> None:
        super().__init__(plan, host, process, processes)
        self._moments = moments(steps, plan.gaps())
        self._share = (process, processes)
        self._number = -1
        self._at_us: int | None = None
        self._over = False

    def _planned(self) -> Iterator[Attempt]:
        return self._plan.untimed()

    @property
    def ended(self) -> bool:
        return self.peek() is None and self._over

    def peek(self) -> Ready | None:
        """The next request; None too while its time is not known."""
        if self._at_us is None and (at_us := self._next_moment()) is not None:
            self._at_us = at_us
            ready = super().peek()
            assert ready is not None
            ready.attempt = ready.attempt._replace(at_us=at_us)
            ready.at_ns = at_us * 1_000
        return None if self._at_us is None else super().peek()

    def take(self) -> Ready:
        self._at_us = None
        return super().take()

    def _next_moment(self) -> int | None:
        process, processes = self._share
        for at_us in self._moments:
            if at_us is None:
                return None
            self._number += 1
            if self._number % processes == process:
                return at_us
        self._over = True
        return None
