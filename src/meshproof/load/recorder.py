"""The ledger of sent requests of one generator process: what is about to be sent, and what came of it."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from time import perf_counter_ns, time_ns

from meshproof.ledger import LineWriter
from meshproof.load.client import Exchange
from meshproof.load.outcome import Outcome, ledger_line, outcome_of
from meshproof.load.request import Ready

RECENT_MAX = 2_000


class Clock:
    """The start of a run on both clocks: the wall clock for the ledgers, the monotonic one for waiting.

    The wall clock is read once. Whatever is done to it during the run, differences in the ledgers stay true.
    """

    def __init__(self, start_us: int) -> None:
        self.start_us = start_us
        self.start_ns = perf_counter_ns() + (start_us * 1_000 - time_ns())

    def wall_us(self, at_ns: int) -> int:
        """Microseconds of Unix time at a reading of `perf_counter_ns`."""
        return self.start_us + (at_ns - self.start_ns) // 1_000


class Recorder:
    """Writes attempts before they are sent and outcomes after, and keeps the tallies."""

    def __init__(self, folder: Path, process: int, clock: Clock) -> None:
        self.clock = clock
        self._attempts = LineWriter(folder / f"{process}.attempts.ndjson")
        self._outcomes = LineWriter(folder / f"{process}.outcomes.ndjson")
        self.tally: Counter[str] = Counter(sent=0, ok=0, new=0, fail=0, unknown=0)
        self.lag_us = array("q")
        """How late each request was handed over, against the time it was planned for."""
        self.recent_us: list[int] = []
        """Latest accept latencies from the intended time, for the display; emptied by whoever shows them."""

    def attempt(self, ready: Ready, intended_ns: int) -> None:
        """Note a request that is about to be sent; nothing may be sent before `commit_attempts`."""
        self._attempts.add(ready.ledger_line(self.clock.wall_us(intended_ns)))
        self.tally["sent"] += 1

    def commit_attempts(self) -> None:
        """Put what was noted on record."""
        self._attempts.flush()

    def outcome(self, exchange: Exchange, delivery: str, intended_ns: int) -> Outcome:
        """Note what came of a request."""
        reply_ns = perf_counter_ns()
        outcome = outcome_of(exchange)
        sent_us = self.clock.wall_us(exchange.sent_ns) if exchange.sent_ns else None
        self._outcomes.add(ledger_line(exchange.attempt.n, delivery, outcome, sent_us, self.clock.wall_us(reply_ns)))
        self.tally[outcome.verdict] += 1
        if outcome.verdict == "ok" and not outcome.duplicate and not outcome.gathered:
            self.tally["new"] += 1
        if outcome.verdict == "ok" and len(self.recent_us) < RECENT_MAX:
            self.recent_us.append((reply_ns - intended_ns) // 1_000)
        return outcome

    def commit_outcomes(self) -> None:
        """Put what came back on record."""
        self._outcomes.flush()

    def close(self) -> None:
        """Close both files."""
        self._attempts.close()
        self._outcomes.close()
