"""What MeshHook asks of its database: one function for each SQL function or query, arrays in, rows out.

The only module that names SQL functions; the SQL itself, and why it is as it is, stands in ``db/sql``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from meshhook import endpoint_config
from meshhook.answers import Answered
from meshhook.backlog import Backlog
from meshhook.db.connect import Connection, Database, Row
from meshhook.endpoint_config import EndpointConfig
from meshhook.model import Placing
from meshhook.outbox import Outbox, Signal
from meshhook.quota import Ask, Lease


class Delivery(NamedTuple):
    """One webhook, ready to be stored. ``trigger`` is JSON text, ``body_hash`` the SHA-256 of the raw body."""

    run_id: str
    endpoint_id: int
    key: str | None
    body_hash: bytes | None
    trigger: str


class ToGather(NamedTuple):
    """One webhook to be gathered with others, ready to be stored; see ``sql/functions/gather.sql``.

    ``run_id`` is the run it makes if none is open for the key it is gathered ``by``. ``trigger`` is JSON text, ``body_hash`` the
    SHA-256 of the raw body. The run has at most ``size_max`` deliveries, and starts ``wait`` after the last, at most ``longest``
    after the first.
    """

    run_id: str
    endpoint_id: int
    key: str | None
    body_hash: bytes
    trigger: str
    by: str
    kind: str
    size_max: int
    wait: timedelta
    longest: timedelta


class GatherOutcome(NamedTuple):
    """What became of a delivery to be gathered: ``new``, ``added``, or as ``NotNew``; and the run it is in."""

    outcome: str
    run_id: str | None


class RunStart(NamedTuple):
    """A run that no webhook begins, ready to be stored; see ``sql/functions/start_runs.sql``.

    ``trigger`` and ``members`` are JSON text; ``version_id`` is ``None`` for the published version. With a ``key`` there is a
    ``scope``, within which it counts, and a ``body_hash`` that tells a repetition from another start.
    """

    run_id: str
    project_id: int
    workflow: str
    version_id: int | None
    scope: str | None
    key: str | None
    body_hash: bytes | None
    trigger: str
    members: str


class NotNew(NamedTuple):
    """Why a delivery made no new run: ``duplicate`` or ``key-reused`` (of ``run_id``), ``unpublished``, ``gone``."""

    outcome: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """One run a worker took. ``journal`` holds the JSON arrays of events in order, ``events`` how many rows of them.

    ``epoch`` is the one to write under. ``expired_owner`` and ``due_at`` tell whose lease ran out, and when; without one,
    ``due_at`` is since when the run was due. ``signaled``: something lies in the inbox of the run. ``lane`` is the lane it was in.
    """

    run_id: UUID
    epoch: int
    expired_owner: str | None
    due_at: datetime
    claimed_at: datetime
    journal: list[str]
    signaled: bool = False
    lane: int | None = None

    @property
    def is_first(self) -> bool:
        """Whether nobody has written to the run before."""
        return self.epoch == 1 and self.expired_owner is None

    @property
    def is_entering(self) -> bool:
        """Whether the run is to be placed, not to be advanced."""
        return self.lane is not None and self.lane < 0 and not self.is_without_slot

    @property
    def is_without_slot(self) -> bool:
        """Whether the run was only taken to read its inbox: it stands in a lane, and has no slot to be advanced in."""
        return self.signaled and self.lane is not None and self.expired_owner is None

    @property
    def waited_s(self) -> float:
        """Seconds a free run was due before it was claimed."""
        return (self.claimed_at - self.due_at).total_seconds()


class InboxItem(NamedTuple):
    """One signal in the inbox of a run; ``body`` is JSON text. See ``sql/functions/signals.sql``."""

    number: int
    kind: str
    body: str


class Append(NamedTuple):
    """What a worker writes to one run: ``count`` events as a JSON array, and where the run stands then.

    ``due_at`` is ``None`` for a finished run; else when it wants attention next, held by ``owner`` or free. ``tells`` is what it
    says to others in the same transaction.
    """

    run_id: UUID
    claimed_at: datetime
    epoch: int
    seq: int
    events: str
    status: str
    due_at: datetime | None = None
    owner: str | None = None
    tells: Outbox | None = None


class Written(NamedTuple):
    """What became of a batch of writes.

    ``refused`` were stopped by fencing; in the inbox of ``signaled``, held under leases, lies something; ``reached`` were told
    something, and are to be poked once the transaction is committed.
    """

    refused: set[UUID]
    signaled: set[UUID]
    reached: set[UUID]


class NewEvent(NamedTuple):
    """An event from outside. ``run_id``: for this run alone; ``payload`` is JSON text. Within a project an ``id`` counts once."""

    project_id: int
    id: str
    run_id: UUID | None
    name: str
    key: str
    payload: str


class Pressure(NamedTuple):
    """What the door must know; see ``sql/functions/heartbeat.sql``. ``lags_s`` is by project."""

    lag_s: float
    queued: int
    committed: int
    workers: int
    lags_s: Mapping[int, float] = MappingProxyType({})
    front: datetime | None = None


class Endpoint(NamedTuple):
    """Where webhooks of one path go, and what is asked of them; ``config`` is ``None`` when that is nothing."""

    id: int
    path: str
    project_id: int
    workflow: str
    methods: tuple[str, ...]
    published: bool
    config: EndpointConfig | None = None


class Turn:
    """One transaction of a worker on one shard: claim, then commit or put back."""

    def __init__(self, connection: Connection[Row], shard: int) -> None:
        self._connection = connection
        self._shard = shard
        self.front: datetime | None = None
        """After a claim with ``since``: when that became due which waited longest. ``None``: it can't be said."""

    async def claim(self, limit: int, since: datetime | None = None) -> list[Claimed]:
        """Take at most ``limit`` due runs, with their journals; ``since`` leaves out what was due before, see ``lookback.py``."""
        rows = await self._connection.fetch("SELECT * FROM meshhook.claim($1, $2, $3)", self._shard, limit, since)
        if rows and rows[0][0] is None:
            self.front = rows.pop(0)["due_at"]
        claimed: list[Claimed] = []
        last: UUID | None = None
        for run_id, epoch, owner, due_at, signaled, claimed_at, _, events, lane in rows:
            if run_id == last:
                claimed[-1].journal.append(events)
            else:
                claimed.append(Claimed(run_id, epoch + 1, owner, due_at, claimed_at, [events], signaled, lane))
                last = run_id
        return claimed

    async def inbox(self, runs: Sequence[Claimed]) -> dict[UUID, list[InboxItem]]:
        """What lies in the inboxes of these runs."""
        return await _inbox(self._connection, self._shard, runs)

    async def took(self, taken: Sequence[tuple[UUID, int]]) -> None:
        """These signals are in the journal, or came too late."""
        await _took(self._connection, self._shard, taken)

    async def commit(self, appends: Sequence[Append]) -> Written:
        """Write what happened to the claimed runs."""
        return await _commit(self._connection, self._shard, appends, held=False)

    async def put_back(self, claimed: Sequence[Claimed]) -> None:
        """Return runs to the queue as they were."""
        await self._connection.execute(
            "SELECT meshhook.put_back($1, $2, $3, $4, $5, $6, $7)",
            self._shard,
            [run.run_id for run in claimed],
            [run.epoch - 1 for run in claimed],
            [run.expired_owner for run in claimed],
            [run.due_at for run in claimed],
            [run.signaled for run in claimed],
            [run.lane for run in claimed],
        )

    async def place(self, claimed: Sequence[Claimed], placings: Sequence[Placing]) -> dict[UUID, str]:
        """Put runs claimed from their entry in line; returns the fate of those that get or keep no place.

        See ``sql/functions/place.sql`` for what the fates are.
        """
        rows = await self._connection.fetch(
            "SELECT * FROM meshhook.place($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            self._shard,
            [run.run_id for run in claimed],
            [run.due_at for run in claimed],
            [placing.lane for placing in placings],
            [placing.slots for placing in placings],
            [placing.strategy for placing in placings],
            [placing.bucket for placing in placings],
            [placing.starts for placing in placings],
            [_interval(placing.per_s) for placing in placings],
            [placing.priority for placing in placings],
            [_interval(placing.ttl_s) for placing in placings],
        )
        return {row["run_id"]: row["fate"] for row in rows}

    async def definitions(self, version_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
        """The definitions of these versions, as JSON text, and the projects they belong to."""
        rows = await self._connection.fetch(
            "SELECT v.id, v.definition, p.name FROM meshhook.versions v JOIN meshhook.workflows w ON w.id = v.workflow_id "
            "JOIN meshhook.projects p ON p.id = w.project_id WHERE v.id = ANY ($1)",
            list(version_ids),
        )
        return {row["id"]: (row["definition"], row["name"]) for row in rows}


class Holding:
    """One transaction of a worker on runs of one shard that it holds under leases."""

    def __init__(self, connection: Connection[Row], shard: int) -> None:
        self._connection = connection
        self._shard = shard

    async def inbox(self, runs: Sequence[Claimed]) -> dict[UUID, list[InboxItem]]:
        """What lies in the inboxes of these runs; what comes from now on is told by the next commit or renewal."""
        return await _inbox(self._connection, self._shard, runs)

    async def took(self, taken: Sequence[tuple[UUID, int]]) -> None:
        """These signals are in the journal, or came too late."""
        await _took(self._connection, self._shard, taken)

    async def commit(self, appends: Sequence[Append]) -> Written:
        """Write what happened to the runs."""
        return await _commit(self._connection, self._shard, appends, held=True)


class Store:
    """The hot path, and what goes with it. Reference data and listings are in ``catalog`` and ``history``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, shard: int, deliveries: Sequence[Delivery], keep: timedelta) -> list[NotNew | None]:
        """Store a batch of deliveries in one commit; ``None`` for each that became a new run.

        Raises:
            Unavailable: nothing was written.
            OutcomeUnknown: all of it was written, or nothing.
        """
        rows = await self._database.call(
            "SELECT * FROM meshhook.accept($1, $2, $3, $4, $5, $6, $7)",
            shard,
            *map(list, zip(*deliveries, strict=True)),
            keep,
        )
        return _answers(deliveries, rows)

    async def gather(
        self, shard: int, deliveries: Sequence[ToGather], bytes_max: int, keep: timedelta
    ) -> list[GatherOutcome]:
        """Store a batch of deliveries in one commit, each in the run that gathers its key.

        Raises:
            Unavailable: nothing was written.
            OutcomeUnknown: all of it was written, or nothing.
        """
        rows = await self._database.call(
            "SELECT * FROM meshhook.gather($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ORDER BY ordinal",
            shard,
            *map(list, zip(*deliveries, strict=True)),
            bytes_max,
            keep,
        )
        return [GatherOutcome(outcome, None if run_id is None else str(run_id)) for _, outcome, run_id in rows]

    async def start_runs(self, shard: int, starts: Sequence[RunStart], keep: timedelta) -> list[NotNew | None]:
        """Start runs in one commit of their own; ``None`` for each that is new.

        Raises:
            Unavailable: nothing was written.
            OutcomeUnknown: all of it was written, or nothing.
        """
        return _answers(starts, await self._database.call(_START_RUNS, *_start_arguments(shard, starts, keep)))

    @asynccontextmanager
    async def turn(self, shard: int) -> AsyncIterator[Turn]:
        """A transaction to claim and commit in.

        Raises:
            Unavailable: nothing was written. OutcomeUnknown: all or nothing was written; the queue knows which.
        """
        async with self._database.transaction() as connection:
            yield Turn(connection, shard)

    @asynccontextmanager
    async def holding(self, shard: int) -> AsyncIterator[Holding]:
        """A transaction to write in to runs that are held under leases."""
        async with self._database.transaction() as connection:
            yield Holding(connection, shard)

    async def renew(
        self, shard: int, owner: str, run_ids: Sequence[UUID], epochs: Sequence[int], lease: timedelta
    ) -> dict[UUID, tuple[datetime, bool]]:
        """Push out the end of leases; returns those still held: their new end, and whether something lies in their inbox."""
        rows = await self._database.call(
            "SELECT * FROM meshhook.renew($1, $2, $3, $4, $5)", shard, owner, list(run_ids), list(epochs), lease
        )
        return {row["held"]: (row["until"], row["signaled"]) for row in rows}

    async def signal(self, shard: int, signals: Sequence[Signal]) -> set[UUID]:
        """Put something into the inboxes of runs, and poke them; returns those that live."""
        async with self._database.transaction() as connection:
            reached = await signal_in(connection, shard, signals)
        await self.poke(shard, reached)
        return reached

    async def send_event(self, shard: int, event: NewEvent, keep: timedelta) -> set[UUID]:
        """Keep an event, and hand it to the runs of this shard that wait for it; returns those. With the same id, at most once."""
        rows = await self._database.call(
            "SELECT * FROM meshhook.send_event($1, $2, $3, $4, $5, $6, $7, $8)", shard, *event, keep
        )
        reached = {row["reached"] for row in rows}
        await self.poke(shard, reached)
        return reached

    async def poke(self, shard: int, run_ids: Collection[UUID]) -> None:
        """These runs have something in their inbox. What is not poked because we end here is found later."""
        if run_ids:
            await self._database.call("SELECT meshhook.poke($1, $2)", shard, list(run_ids))

    async def call_back(self, shard: int, run_ids: Sequence[UUID]) -> None:
        """These runs wait for room that is there now: they are due at once."""
        await self._database.call("SELECT meshhook.call_back($1, $2)", shard, list(run_ids))

    async def poke_forgotten(self, shard: int, older: timedelta) -> int:
        """Poke runs whose signal is older, and was never followed by a poke; returns how many."""
        return int((await self._database.call("SELECT meshhook.poke_forgotten($1, $2)", shard, older))[0][0])

    async def forget_lanes(self, shard: int) -> int:
        """Delete lanes in which nobody stands, a bounded batch; returns how many."""
        return int((await self._database.call("SELECT meshhook.forget_lanes($1, 5000)", shard))[0][0])

    async def expire(self, shard: int) -> int:
        """Let runs that wait in a lane for longer than they may leave it, to be ended; returns how many."""
        return int((await self._database.call("SELECT meshhook.expire($1)", shard))[0][0])

    async def heartbeat(self, worker: str, committed: int, refused: int) -> None:
        """Say that ``worker`` lives, and what it has done so far."""
        await self._database.call("SELECT meshhook.heartbeat($1, $2, $3)", worker, committed, refused)

    async def pressure(self, alive: timedelta, since: datetime | None = None) -> Pressure:
        """How far behind the workers are; a worker counts as living when it was seen within ``alive``.

        ``since`` leaves out what was due before, see ``lookback.py``.
        """
        rows = await self._database.read("SELECT * FROM meshhook.pressure($1, $2)", alive, since)
        lag_s, queued, committed, workers, projects, lags_s, front = rows[0]
        return Pressure(lag_s, queued, committed, workers, dict(zip(projects, lags_s, strict=True)), front)

    async def lease_tokens(self, asks: Sequence[Ask]) -> list[Lease]:
        """Take tokens out of the rate buckets of endpoints; one answer for each, in order."""
        rows = await self._database.call(
            "SELECT * FROM meshhook.lease_tokens($1, $2, $3, $4)",
            [ask.endpoint_id for ask in asks],
            [ask.tokens for ask in asks],
            [ask.quota.tokens for ask in asks],
            [ask.quota.per_s for ask in asks],
        )
        leases = {row["endpoint_id"]: Lease(row["granted"], row["remaining"]) for row in rows}
        return [leases[ask.endpoint_id] for ask in asks]

    async def backlogs(self) -> list[Backlog]:
        """Live runs of every project that has a limit."""
        return [Backlog(*row) for row in await self._database.read("SELECT * FROM meshhook.backlogs()")]

    async def answers(self, shard: int, run_ids: Sequence[str], after: Sequence[int]) -> list[Answered]:
        """What has come of these runs behind these sequence numbers; only runs that have gone on since come back."""
        rows = await self._database.read("SELECT * FROM meshhook.answers($1, $2, $3)", shard, run_ids, after)
        return [Answered(str(row["run_id"]), row["last_seq"], row["event"]) for row in rows]

    async def endpoint(self, path: str) -> Endpoint | None:
        """The endpoint of a path.

        Raises:
            EndpointConfigError: what is asked of its deliveries is not understood.
        """
        rows = await self._database.read(
            "SELECT e.id, e.path, e.project_id, w.name, e.methods, w.published_version_id IS NOT NULL, e.config "
            "FROM meshhook.endpoints e JOIN meshhook.workflows w ON w.id = e.workflow_id WHERE e.path = $1",
            path,
        )
        if not rows:
            return None
        id, path, project_id, workflow, methods, published, config = rows[0]
        return Endpoint(id, path, project_id, workflow, tuple(methods), published, endpoint_config.stored(config))

    async def project_of_version(self, version_id: int) -> int:
        """Whose workflow it is that has this version."""
        rows = await self._database.read(
            "SELECT w.project_id FROM meshhook.versions v JOIN meshhook.workflows w ON w.id = v.workflow_id WHERE v.id = $1",
            version_id,
        )
        return int(rows[0]["project_id"])

    async def shards(self) -> int:
        """How many shards this installation has."""
        rows = await self._database.read("SELECT value::int FROM meshhook.settings WHERE name = 'shards'")
        return int(rows[0][0])

    async def make_partitions(self, days: int) -> int:
        """Make the partitions of the next days where they are missing; returns how many it made."""
        return int((await self._database.call("SELECT meshhook.make_partitions($1)", days))[0][0])

    async def forget(self) -> int:
        """Delete dedupe keys that have expired and workers long gone, a bounded batch; returns how many keys."""
        return int((await self._database.call("SELECT meshhook.forget(10000)"))[0][0])

    async def forget_audit(self, keep: timedelta) -> int:
        """Remove entries of the audit log that are older than ``keep``, at most some thousand; returns how many."""
        return int((await self._database.call("SELECT meshhook.forget_audit($1, 5000)", keep))[0][0])

    async def forget_feed(self, shard: int, keep: timedelta) -> int:
        """Forget what was told longer ago than ``keep``, a bounded batch; returns how many places of the feed."""
        return int((await self._database.call("SELECT meshhook.forget_feed($1, $2, 10000)", shard, keep))[0][0])


async def rooms_in(connection: Connection[Row]) -> dict[int, int]:
    """How many more live runs each project with a limit may have; a project without one is not among them."""
    rows = await connection.fetch("SELECT * FROM meshhook.backlogs()")
    return {row["project_id"]: row["backlog_max"] - row["live"] for row in rows}


_START_RUNS: Final = "SELECT * FROM meshhook.start_runs($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


async def start_runs(
    connection: Connection[Row], shard: int, starts: Sequence[RunStart], keep: timedelta
) -> list[NotNew | None]:
    """Start runs as part of the transaction of ``connection``; ``None`` for each that is new."""
    return _answers(starts, await connection.fetch(_START_RUNS, *_start_arguments(shard, starts, keep)))


def _start_arguments(shard: int, starts: Sequence[RunStart], keep: timedelta) -> list[Any]:
    return [shard, *map(list, zip(*starts, strict=True)), keep]


def _answers(asked: Sequence[object], rows: Sequence[Row]) -> list[NotNew | None]:
    answers: list[NotNew | None] = [None] * len(asked)
    for ordinal, outcome, run_id in rows:
        answers[ordinal - 1] = NotNew(outcome, None if run_id is None else str(run_id))
    return answers


_SIGNAL: Final = "SELECT * FROM meshhook.signal($1, $2, $3, $4)"
_AWAIT: Final = "SELECT * FROM meshhook.await_events($1, $2, $3, $4, $5, $6)"
_START_CHILDREN: Final = "SELECT * FROM meshhook.start_children($1, $2, $3, $4, $5, $6, $7)"


def _interval(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


async def _commit(connection: Connection[Row], shard: int, appends: Sequence[Append], *, held: bool) -> Written:
    run_ids, claimed_at, epochs, seqs, events, statuses, dues, owners, _ = map(list, zip(*appends, strict=True))
    rows = await connection.fetch(
        "SELECT * FROM meshhook.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        shard,
        claimed_at,
        held,
        run_ids,
        epochs,
        seqs,
        events,
        statuses,
        dues,
        owners,
    )
    refused = {row["run_id"] for row in rows if row["outcome"] == "refused"}
    signaled = {row["run_id"] for row in rows if row["outcome"] == "signaled"}
    said = [row.tells for row in appends if row.tells and not row.tells.is_empty and row.run_id not in refused]
    answering = [row.run_id for row in appends if row.tells and row.tells.answer and row.run_id not in refused]
    reached = await _tell(connection, shard, said, answering) if said else set()
    return Written(refused, signaled, reached)


async def _tell(
    connection: Connection[Row], shard: int, said: Sequence[Outbox], answering: Sequence[UUID]
) -> set[UUID]:
    """Say to others what follows for them; returns the runs that were told something."""
    reached: set[UUID] = set()
    if gone := [place for box in said for place in box.not_waiting]:
        await connection.execute("SELECT meshhook.stop_waiting($1, $2, $3)", shard, *_columns(gone))
    if dead := [letter for box in said for letter in box.dead]:
        await connection.execute("SELECT meshhook.bury($1, $2, $3, $4, $5)", shard, *_columns(dead))
    for statement, told in (
        (_AWAIT, [waiting for box in said for waiting in box.waiting]),
        (_START_CHILDREN, [child for box in said for child in box.children]),
        (_SIGNAL, [signal for box in said for signal in box.signals]),
    ):
        if told:
            reached |= {row["reached"] for row in await connection.fetch(statement, shard, *_columns(told))}
    if answering:
        notify = "SELECT pg_notify('meshhook_answers', id::text) FROM unnest($1::uuid[]) AS id"
        await connection.execute(notify, list(answering))
    return reached


async def signal_in(connection: Connection[Row], shard: int, signals: Sequence[Signal]) -> set[UUID]:
    """Put something into the inboxes of runs as part of a transaction; returns those that live, to be poked after it."""
    return {row["reached"] for row in await connection.fetch(_SIGNAL, shard, *_columns(signals))}


async def _inbox(connection: Connection[Row], shard: int, runs: Sequence[Claimed]) -> dict[UUID, list[InboxItem]]:
    items: dict[UUID, list[InboxItem]] = {}
    asked = [run.run_id for run in runs], [run.epoch for run in runs]
    for run_id, *item in await connection.fetch("SELECT * FROM meshhook.inbox($1, $2, $3)", shard, *asked):
        items.setdefault(run_id, []).append(InboxItem(*item))
    return items


async def _took(connection: Connection[Row], shard: int, taken: Sequence[tuple[UUID, int]]) -> None:
    if taken:
        await connection.execute("SELECT meshhook.took($1, $2, $3)", shard, *_columns(taken))


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Arrays for a function that takes rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]
