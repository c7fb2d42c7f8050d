"""The one place where the pieces are joined: the API process, the worker process, and their way up and down."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from meshhook import backlog, chores, operations, schedules
from meshhook.accept import Acceptor, GroupCommit
from meshhook.answers import CHANNEL, Answers
from meshhook.api import bridge
from meshhook.api.gate import Gate
from meshhook.api.hooks import PREFIX, Endpoints, Hooks
from meshhook.api.lab_stream import LabStreams
from meshhook.api.proofs import Proofs
from meshhook.api.rest import Rest, make_rest
from meshhook.api.stream import Streams
from meshhook.api.workbench import Workbench, built
from meshhook.backlog import Backlogs
from meshhook.config import Settings
from meshhook.data_keys import Keychain
from meshhook.db import migrate as migrations
from meshhook.db.connect import Database, connect_once
from meshhook.db.hearing import hear
from meshhook.door import Door
from meshhook.egress import Egress
from meshhook.errors import DatabaseError, SchemaError
from meshhook.feed import Feed
from meshhook.gatherer import Gatherer
from meshhook.hosts import Hosts
from meshhook.key_sets import KeySets
from meshhook.key_source import KeySource, ensure_file
from meshhook.lab.bench import Lab
from meshhook.live import Live
from meshhook.lookback import Lookback
from meshhook.metrics.door import DoorMetrics
from meshhook.metrics.exposition import Exposition
from meshhook.metrics.process import registry_of
from meshhook.metrics.state import StateMetrics
from meshhook.metrics.worker import MetricsServer, WorkerMetrics
from meshhook.rate import IDLE_S, Rates
from meshhook.reach import AllowList
from meshhook.receipt_desk import ReceiptDesk
from meshhook.refusals import FLUSH_S, Refusals
from meshhook.retention import keep_trimming
from meshhook.secret_calls import SecretCalls
from meshhook.store import Store
from meshhook.tailer import Tailer
from meshhook.trial import Trials, server_url
from meshhook.vault import Vault
from meshhook.worker import Worker

_log = structlog.get_logger("meshhook")

_ALIVE = timedelta(seconds=5)
_HEARTBEAT_S = 0.5
_PRESSURE_S = 0.1
_SHARE_MAX = 0.1
_PAUSE_S_MAX = 5.0
_GC_ALLOCATIONS = 50_000
_GC_ALLOCATIONS_PER_CALL = 200
"""A run whose call is under way is a hundred objects or so that live for a second. While so many are what the collector waits for
anyway, it looks at them again and again, finds no cycle, and costs a fifth of the worker's time."""
_LAB_S = 2.0
"""A test under way ends by itself when we are gone; so long its end is waited for."""
_QUIET_S = 0.1
_QUIET_S_MAX = 1.5


async def migrate(settings: Settings) -> migrations.Migrated:
    """Bring the schema up to date; see ``db.migrate``."""
    return await migrations.migrate(settings.database_url, shards=settings.shards)


async def serve(settings: Settings) -> int:
    """Run the API process until SIGTERM or SIGINT. Returns the exit code."""
    _collect_rarely(_GC_ALLOCATIONS)
    stop = _on_signal()
    database = Database(settings.database_url, size=settings.database_connections, name="meshhook-api")
    try:
        shards = await _database_ready(settings, database, stop)
        if shards is None:
            return 0
        vault, keychain = await _open_vault(settings, database, f"api:{_process_name()}")
        await _serve_until(stop, settings, database, Store(database), shards, vault, keychain)
    finally:
        await database.close()
    return 0


async def _serve_until(
    stop: asyncio.Event,
    settings: Settings,
    database: Database,
    store: Store,
    shards: int,
    vault: Vault,
    keychain: Keychain,
) -> None:
    metrics = DoorMetrics()
    exposition = Exposition(registry_of("serve", database), StateMetrics(database, settings.retention_days), metrics)
    commits: GroupCommit = {
        "shards": shards,
        "batch_max": settings.accept_batch_max,
        "buffer_max": settings.accept_buffer_max,
        "linger_s": settings.accept_linger_ms / 1000,
        "keep": timedelta(hours=settings.dedupe_hours),
        "note": metrics.committed,
    }
    acceptor, gatherer = Acceptor(store, **commits), Gatherer(store, **commits)
    endpoints = Endpoints(store)
    door = Door(lag_max_s=settings.lag_max_ms / 1000, backlog_max=settings.backlog_max)
    rates = Rates(store.lease_tokens)
    gate = Gate(rates, settings.proxies, check_s=settings.schema_check_ms / 1000)
    answers = Answers(store.answers, waiting_max=settings.sync_waiting_max, poll_s=settings.poll_ms / 1000)
    egress = Egress(AllowList.parse(settings.outbound_allow))
    proofs = Proofs(vault, KeySets(egress.send))
    refusals = Refusals(database)
    backlogs = Backlogs(store.backlogs)
    hooks = Hooks(
        acceptor,
        gatherer,
        endpoints,
        door,
        metrics,
        gate,
        answers,
        proofs,
        refusals,
        backlogs,
        ReceiptDesk(database, vault),
        body_limit_bytes=settings.body_limit_bytes,
    )

    def forget() -> None:
        endpoints.forget()
        vault.forget()

    trials = Trials(database, vault, server_url(settings.host, settings.port))
    lab = Lab(settings.data_dir / "lab", is_on=settings.lab, kept=settings.lab_keep)
    rest = make_rest(
        settings, database, exposition, metrics, trials, on_change=forget, admit=hooks.admit, keychain=keychain, lab=lab
    )
    tailer, live = _watchers(settings, database, shards)
    streams = Streams(live, rest.admit)
    metrics.watched = {
        "meshhook_accept_waiting": lambda: acceptor.waiting + gatherer.waiting,
        "meshhook_sync_waiting": lambda: answers.waiting,
        "meshhook_door_slowed": lambda: door.rate is not None,
        "meshhook_door_full": lambda: door.full,
        "meshhook_backlog_runs_max": lambda: settings.backlog_max,
        "meshhook_watchers": lambda: live.watchers,
        "meshhook_watchers_lagged_total": lambda: live.lagged,
        "meshhook_feed_rows_total": lambda: tailer.read,
    }
    server = _server(settings, hooks, [streams, LabStreams(lab, rest.admit, settings.heartbeat_s)], rest)
    async with asyncio.TaskGroup() as tasks:
        lookback = Lookback()
        watching = tasks.create_task(_every(_PRESSURE_S, lambda: _watch_pressure(store, door, rest, lookback)))
        beside = [
            tasks.create_task(_every(IDLE_S, rates.give_back)),
            tasks.create_task(hear(settings.database_url, {CHANNEL: answers.hear})),
            tasks.create_task(answers.run()),
            tasks.create_task(_every(FLUSH_S, refusals.flush)),
            tasks.create_task(tailer.run()),
            tasks.create_task(_every(backlog.PERIOD_S, backlogs.look)),
        ]
        serving = tasks.create_task(server.serve())
        with suppress(DatabaseError):
            await rest.warn_without_keys()
        _log.info("serving", url=f"http://{settings.host}:{settings.port}", shards=shards)
        await stop.wait()
        # New deliveries get 503 and "connection: close", those taken are committed and answered. The sockets close when
        # senders have gone quiet: what is still on its way into a closed socket would have no answer at all.
        hooks.closing = rest.closing = True
        answers.close()
        live.close()
        async with asyncio.timeout(settings.shutdown_s):
            await acceptor.close()
            await gatherer.close()
        await _quiet(hooks)
        await streams.close()
        await lab.close(_LAB_S)
        watching.cancel()
        for task in beside:
            task.cancel()
        await refusals.flush()
        await egress.close()
        await rates.close()
        await rest.close()
        server.stop()  # type: ignore[no-untyped-call]
        await serving
    _log.info("stopped")


def _watchers(settings: Settings, database: Database, shards: int) -> tuple[Tailer, Live]:
    feed = Feed(database, shards)
    tailer = Tailer(
        feed,
        poll_s=settings.poll_ms / 1000,
        listen=lambda wake: hear(settings.database_url, {"meshhook_tasks": lambda _: wake()}),
    )
    live = Live(
        feed,
        tailer,
        watchers_max=settings.watchers_max,
        buffer_bytes=settings.watcher_buffer_bytes,
        heartbeat_s=settings.heartbeat_s,
    )
    return tailer, live


async def _quiet(hooks: Hooks) -> None:
    deadline = time.monotonic() + _QUIET_S_MAX
    while hooks.quiet_s() < _QUIET_S and time.monotonic() < deadline:
        await asyncio.sleep(_QUIET_S / 4)


def _server(settings: Settings, hooks: Hooks, streams: list[Streams | LabStreams], rest: Rest) -> Server:
    workbench = Workbench(built())

    async def application(scope: Any, protocol: Any) -> None:
        if scope.path.startswith(PREFIX):
            await hooks(scope, protocol)
        elif workbench.takes(scope):
            await workbench(scope, protocol)
        elif stream := next((each for each in streams if each.takes(scope.path)), None):
            await stream(scope, protocol)
        else:
            await bridge.serve(rest.application, scope, protocol)

    return Server(
        application,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        backlog=4096,
        backpressure=16384,
        http=HTTPModes.http1,  # what tells a broken body from a whole one (see Hooks) is told so in HTTP/1 alone
        websockets=False,
        log_enabled=False,
    )


async def make_key_file(settings: Settings) -> bool:
    """Make the file with the key that secrets are kept under, where none is needed yet; says whether it did.

    Raises:
        ConfigError: it can't be written, or the settings name several places.
    """
    connection = await connect_once(settings.database_url)
    try:
        in_force = await connection.fetchval("SELECT value FROM meshhook.settings WHERE name = 'secrets_kek'")
    finally:
        await connection.close()
    return in_force is None and ensure_file(KeySource.of(settings))


def _process_name() -> str:
    """Unique among all processes, now and before."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"


async def _open_vault(settings: Settings, database: Database, actor: str) -> tuple[Vault, Keychain]:
    """The secrets, after a look whether they can be opened: it is better to learn that now than from failing calls.

    Raises:
        ConfigError: the settings name no one place for the key, or the right key is not there.
    """
    keychain = Keychain(KeySource.of(settings))
    vault = Vault(database, keychain, actor=actor)
    await vault.check()
    return vault, keychain


async def _watch_pressure(store: Store, door: Door, rest: Rest, lookback: Lookback) -> None:
    try:
        pressure = await store.pressure(_ALIVE, lookback.since())
        lookback.saw(pressure.front)
    except DatabaseError as error:
        rest.note_database(error)
        return
    rest.note_pressure(pressure)
    door.observe(pressure, time.monotonic())


async def work(settings: Settings) -> int:
    """Run a worker process until SIGTERM or SIGINT. Returns the exit code."""
    _collect_rarely(_GC_ALLOCATIONS + settings.calls_max * _GC_ALLOCATIONS_PER_CALL)
    stop = _on_signal()
    database = Database(settings.database_url, size=settings.database_connections, name="meshhook-worker")
    try:
        shards = await _database_ready(settings, database, stop)
        if shards is None:
            return 0
        name = _process_name()
        vault, _ = await _open_vault(settings, database, f"worker:{name}")
        await _work_until(stop, settings, database, Store(database), shards, name, vault)
    finally:
        await database.close()
    return 0


async def _work_until(
    stop: asyncio.Event, settings: Settings, database: Database, store: Store, shards: int, name: str, vault: Vault
) -> None:
    egress = Egress(AllowList.parse(settings.outbound_allow))
    hosts = Hosts(
        per_host_max=settings.calls_per_host_max,
        per_host_per_s=settings.calls_per_host_per_s,
        circuit_failures=settings.circuit_failures,
        circuit_pause_s=settings.circuit_pause_s,
    )
    send = hosts.around(egress.send)
    worker = Worker(
        store,
        send,
        hosts=hosts,
        name=name,
        shards=shards,
        batch_max=settings.claim_batch_max,
        hold_s=settings.batch_hold_ms / 1000,
        lease_s=settings.lease_s,
        poll_s=settings.poll_ms / 1000,
        calls_max=settings.calls_max,
        shutdown_s=settings.shutdown_s,
        send_secretly=SecretCalls(vault, store.project_of_version, send).send,
    )
    registry = registry_of("work", database)
    registry.register(WorkerMetrics(worker, hosts))
    metrics = MetricsServer(registry, settings.host, settings.metrics_port)
    feed_keep = timedelta(hours=settings.feed_hours)
    payload_days = settings.payload_days

    async def do_chores() -> None:
        await chores.do(
            store,
            database,
            shards,
            feed_keep=feed_keep,
            retention_days=settings.retention_days,
            audit_days=settings.audit_days,
        )

    async with asyncio.TaskGroup() as tasks:
        beside = [
            tasks.create_task(
                hear(
                    settings.database_url,
                    {"meshhook_tasks": lambda _: worker.wake(), "meshhook_signals": worker.note_signal},
                )
            ),
            tasks.create_task(_every(_HEARTBEAT_S, lambda: _heartbeat(store, worker))),
            tasks.create_task(_every(chores.PERIOD_S, do_chores)),
            tasks.create_task(schedules.keep_firing(database, shards)),
            tasks.create_task(operations.keep_working(database, shards)),
            *([tasks.create_task(keep_trimming(database, shards, payload_days))] if payload_days else []),
            tasks.create_task(_every(chores.EXPIRY_S, lambda: chores.expire(store, shards, worker.look_at_all))),
        ]
        working = tasks.create_task(worker.run())
        _log.info("working", worker=worker.name, shards=shards)
        await stop.wait()
        worker.stop()
        try:
            async with asyncio.timeout(settings.shutdown_s):
                await working
        finally:
            for task in beside:
                task.cancel()
            metrics.close()
            await egress.close()
    _log.info("stopped", worker=worker.name, runs=worker.counts.committed)


async def _heartbeat(store: Store, worker: Worker) -> None:
    with suppress(DatabaseError):
        await store.heartbeat(worker.name, worker.counts.committed, worker.counts.refused)


def _collect_rarely(allocations: int) -> None:
    """Batches are thousands of short-lived objects in no cycle: looking for cycles among them again and again is wasted.

    What was imported is never looked at again; young objects are looked at when there are so many more than the last time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(allocations, 20, 20)


async def _database_ready(settings: Settings, database: Database, stop: asyncio.Event) -> int | None:
    """Wait for a database that can be used; returns its number of shards, or ``None`` when told to stop first.

    Raises:
        SchemaError: it can be reached, but was not migrated.
    """
    warned = False
    while not stop.is_set():
        try:
            await _check_schema(settings.database_url)
            await database.connect()
            return await Store(database).shards()
        except SchemaError:
            raise
        except DatabaseError as error:
            if not warned:
                _log.warning("waiting for the database", error=str(error))
                warned = True
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await stop.wait()
    return None


async def _check_schema(dsn: str) -> None:
    connection = await connect_once(dsn)
    try:
        if missing := await migrations.pending(connection):
            raise SchemaError(f"the database lacks {', '.join(missing)}: run `meshhook migrate` first")
    finally:
        await connection.close()


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        began = time.monotonic()
        try:
            await do()
        except Exception as error:  # noqa: BLE001 what is done beside the work must never end it
            _log.error("failed, and tried again later", exc_info=error)
        await asyncio.sleep(pause_s(seconds, time.monotonic() - began))


def pause_s(seconds: float, took_s: float) -> float:
    """How long to pause between two times of something done beside the work: longer when it is slow.

    Looking at a queue full of dead rows takes as long as they are many (62 ms with 350,000 of them); done ten times a second all
    the same, it would take most of a core from those who work them off.
    """
    return max(seconds, min(_PAUSE_S_MAX, took_s * (1 / _SHARE_MAX - 1)))


def _on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
