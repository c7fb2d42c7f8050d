"""One run in the hands of a worker: its folded state, what is to be written next, and what becomes of it then.

No I/O: the worker claims and commits, this says what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from meshhook import machine
from meshhook.errors import JournalError
from meshhook.execution import Execution
from meshhook.ids import unix_ms_of
from meshhook.model import CallError, Definition, Event, Request, Response, Start, State, Wants
from meshhook.outbox import Waits, outbox, waits_of
from meshhook.store import Append, Claimed, InboxItem
from meshhook.tracing import trace_headers

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("meshhook.worker")

NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a run wants attention that waits for others alone: they poke it."""


@dataclass(slots=True)
class Held:
    """One claimed run.

    ``clock`` gives monotonic seconds; together with ``claimed_at`` it is the time of the database, never ahead of it.
    ``until`` is when the lease ends, if there is one (``leased``); ``due`` when the run wants attention without one. ``cut``
    tells that there is more to advance, and only the time was over. ``taken`` are the signals that are in ``pending``. ``is_new``:
    its first commit is still to come.
    """

    claimed: Claimed
    state: State
    execution: Execution | None
    owner: str
    until: datetime
    clock: Callable[[], float]
    since: float
    seq: int
    pending: list[Event] = field(default_factory=list)
    wants: Wants = field(init=False)
    waits: Waits = frozenset()
    taken: list[int] = field(default_factory=list)
    calls: dict[str, Start] = field(default_factory=dict)
    cut: bool = False
    leased: bool = False
    due: datetime | None = None
    is_new: bool = False

    @staticmethod
    def begin(
        run: Claimed, state: State, definition: Definition, owner: str, lease: timedelta, clock: Callable[[], float]
    ) -> Held:
        """A run just claimed; that somebody's lease ran out is the first thing to be written."""
        seq = state.events + 1
        execution = Execution(definition, state, str(run.run_id))
        held = Held(run, state, execution, owner, run.claimed_at + lease, clock, clock(), seq, waits=waits_of(state))
        held.is_new = run.is_first
        if run.expired_owner is not None:
            held._take({"type": "lease.expired", "owner": run.expired_owner, "until": run.due_at.isoformat()})
        return held

    @staticmethod
    def broken(run: Claimed, reason: str, state: State | None = None) -> Held:
        """A run that can't go on through no fault of its workflow's author: it ends as failed, and says why."""
        _log.error("run can't be advanced", run_id=str(run.run_id), reason=reason)
        events = sum(len(_decode(row)) for row in run.journal)
        state = state or State("", 0, 0, None, events=events)
        held = Held(run, state, None, "", run.due_at, float, 0.0, seq=events + 1)
        held._take(_engine_failure(reason))
        return held

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.state.ended is not None

    def now(self) -> datetime:
        """The time of the database; in the turn of the claim, that of the claim."""
        if not self.leased:
            return self.claimed.claimed_at
        return self.claimed.claimed_at + timedelta(seconds=self.clock() - self.since)

    def age_s(self) -> float:
        """Seconds since the run was accepted: from the clock of who accepted it to that of the database."""
        accepted_s = unix_ms_of(self.claimed.run_id) / 1000
        return self.claimed.claimed_at.timestamp() - accepted_s + self.clock() - self.since

    def advance(self, deadline: float) -> int:
        """Go on as far as possible until ``deadline`` on the clock; returns how many steps that were."""
        self.wants, self.cut, steps = Wants(), False, 0
        try:
            for events in self._advancing():
                self._put(events)
                steps += 1
                if self.clock() >= deadline and not self.finished:
                    self.cut = True
                    break
        except Exception as error:  # noqa: BLE001 one run must not stop the others, nor be retried without end
            self._break(error)
        return steps

    def receive(self, inbox: list[InboxItem]) -> None:
        """Take note of what others have put into the inbox of the run."""
        for item in inbox:
            self.taken.append(item.number)
            if self.execution is not None:
                try:
                    self._put(self.execution.receive(item.kind, _decode(item.body)))
                except Exception as error:  # noqa: BLE001 as above
                    self._break(error)

    def give_up(self, error: dict[str, Any]) -> None:
        """End the run as failed before it has begun."""
        self._take({"type": "run.failed", "error": error})

    def cancel(self, reason: str) -> None:
        """End the run as cancelled before it has begun: a limit of its workflow wants it so."""
        self._take({"type": "run.cancelled", "by": "limit", "reason": reason})

    def stand_in_line(self) -> None:
        """Do nothing now, for want of a slot: the run is due, and waits for one."""
        self.wants = Wants(wake_at=self.now())

    def end_call(self, start: Start, result: Response | CallError) -> None:
        """Take note of how a call ended."""
        del self.calls[start.node]
        if self.finished or self.execution is None:
            return
        try:
            self._put(self.execution.end_call(start, result, self.now()))
        except Exception as error:  # noqa: BLE001 as above
            self._break(error)

    def place(self, *, room_s: Callable[[UUID], float], wait_s: Callable[[Request, UUID], float]) -> list[Start]:
        """Decide what becomes of the run with its next commit, and write down what must be: leases, calls about to be made.

        ``room_s`` says how long it must wait for room on this worker, ``wait_s`` how long one call must wait for its host. Returns
        the calls to make once the commit is done.
        """
        if self.finished or self.execution is None:
            return []
        wanted = bool(self.wants.calls) and not self.cut
        no_room_s = room_s(self.claimed.run_id) if wanted and not self.calls else 0.0
        if wanted and not no_room_s:
            self._hold_back(wait_s)
        starting = self.wants.calls if wanted and not no_room_s else []
        if starting:
            self._put(self.execution.begin_calls(self.wants))
            self.calls |= {start.node: start for start in starting}
        if self.cut or self.calls:
            self._take_lease()
        else:
            soon = timedelta(seconds=no_room_s)
            self.due = self.now() + soon if self.wants.calls else self.wants.wake_at or NEVER
            self.release()
        return starting

    def _hold_back(self, wait_s: Callable[[Request, UUID], float]) -> None:
        """Leave out the calls that must wait, as if they were not wanted yet: no attempt of them is begun."""
        wanted, self.wants.calls = self.wants.calls, []
        for start in wanted:
            seconds = wait_s(start.call.request, self.claimed.run_id)
            if seconds > 0:
                at = self.now() + timedelta(seconds=seconds)
                self.wants.wake_at = min(at, self.wants.wake_at or at)
            else:
                self.wants.calls.append(start)

    def release(self) -> None:
        """Give the lease back."""
        if self.leased:
            self._take({"type": "lease.released", "owner": self.owner})
            self.leased = False

    def append(self) -> Append:
        """What is pending, as one journal row, where the run stands then, and what it tells others."""
        seq, events, before = self.seq, self.pending, self.waits
        self.seq, self.pending, self.waits = seq + len(events), [], waits_of(self.state)
        run = self.claimed
        text = (b"[" + b",".join([event.json for event in events]) + b"]").decode()
        tells = outbox(run.run_id, before, self.state, [event.body for event in events])
        row = Append(run.run_id, run.claimed_at, run.epoch, seq, text, self.state.status, tells=tells)
        if self.finished:
            return row
        if self.leased:
            return row._replace(due_at=self.until, owner=self.owner)
        return row._replace(due_at=self.due or run.claimed_at)

    def _advancing(self) -> Iterator[list[Event]]:
        if self.execution is None:
            return iter(())
        return self.execution.advance(self.now(), self.wants, self.calls)

    def _take_lease(self) -> None:
        if not self.leased:
            self._take({"type": "lease.taken", "owner": self.owner, "until": self.until.isoformat()})
            self.leased = True

    def _break(self, error: Exception) -> None:
        _log.error("run can't be advanced", run_id=str(self.claimed.run_id), exc_info=error)
        if not self.finished:
            self._take(_engine_failure(f"{type(error).__name__}: {error}"))

    def _put(self, events: list[Event]) -> None:
        self.pending += events

    def _take(self, body: dict[str, Any]) -> None:
        machine.apply(self.state, body)
        self.pending.append(Event(body, _encode(body)))


def call_headers(state: State, run_id: str, start: Start) -> dict[str, str]:
    """What an attempt of a call carries beside what its node says: the same key each time, and a span of its own."""
    received = state.trigger.get("headers") if isinstance(state.trigger, dict) else None
    trace = trace_headers(received if isinstance(received, dict) else {}, run_id, start.node, start.attempt)
    return {"idempotency-key": f'"{run_id}/{start.node}"', **trace}


def fold(run: Claimed) -> State | JournalError:
    """The state of a claimed run, or why it has none."""
    try:
        return machine.fold(event for events in run.journal for event in _decode(events))
    except JournalError as error:
        return error


def _engine_failure(reason: str) -> dict[str, Any]:
    return {"type": "run.failed", "error": {"type": "engine", "reason": reason}}
