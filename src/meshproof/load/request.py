"""Requests made ready before they are due: the bytes to send, and the line that says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from time import time

from meshproof import scenarios
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

    def __init__(self, plan: Plan, host: str, process: int = 0, processes: int = 1) -> None:
        self._plan = plan
        self._attempts: Iterator[Attempt] = (a for a in plan.attempts() if a.n % processes == process)
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

    def fill(self) -> None:
        """Make requests ready up to the bound of memory."""
        while self.fill_one():
            pass

    def fill_one(self) -> bool:
        """Make one more ready; False when there is none left, or no room."""
        if self._exhausted or self._bytes >= READY_BYTES_MAX:
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
