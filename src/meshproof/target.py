"""What is driven: a MeshHook of its own on an embedded Postgres, or one that runs already.

    embedded    meshhook postgres, migrate, serve, work × n, in a temporary folder, supervised; nothing stays behind
    a URL       whatever answers there, on this machine or on one's own, with the database it writes to, which is only read

The embedded one is started as a user would start it: by its commands, with its settings in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from base64 import b64encode
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import asyncpg
import psutil

from meshproof import ownership, scenarios
from meshproof.placing import placed
from meshproof.plan import Plan
from meshproof.reaper import Reaper
from meshproof.rest import Api
from meshproof.supervise import Incidents, Supervised

READY_S_MAX = 120.0
POLL_S = 0.05


class TargetError(RuntimeError):
    """The target cannot be used; the message says what to do."""


class Target(Protocol):
    """A running engine."""

    host: str
    port: int
    tls: bool
    dsn: str
    settings: dict[str, str]
    """What it was told by the suite, for the record."""

    @property
    def api(self) -> Api: ...

    async def api_of(self, project: str) -> Api:
        """The API as one who has a key of this project; raises TargetError when there is no such key to be had."""
        ...

    def pids(self) -> dict[str, list[int]]:
        """The processes of each role, as they are now; empty for those that are not known."""
        ...

    def scraped(self) -> list[tuple[str, str]]:
        """Where its processes tell their figures: role, and host and port, of each."""
        ...

    def check(self) -> None:
        """Raise when it cannot be kept running any more."""
        ...

    async def start(self) -> None:
        """Bring it to where it accepts deliveries."""
        ...

    async def stop(self) -> None:
        """End what `start` started, as far as it came."""
        ...


async def prepare(target: Target, plan: Plan, sink: str | None = None) -> dict[str, Api]:
    """Publish the workflows of a plan and bind their endpoints; `sink` is the address their calls go to.

    Returns the API of each project there is work in.
    """
    apis = {project: await target.api_of(project) for project in plan.projects()}
    for name in plan.members():
        scenario = scenarios.load(name)
        api = apis[scenario.project]
        await api.publish(plan.place(name), placed(scenario.definition, sink, datetime.now(UTC), plan.place))
        await api.bind(plan.place(name), plan.place(name), scenario.config)
    return apis


async def prepared(target: Target, plan: Plan) -> dict[str, Api]:
    """Wait until somebody else has prepared the target for the same plan; returns as `prepare`. Raises TargetError."""
    apis = {project: await target.api_of(project) for project in plan.projects()}
    deadline = time.monotonic() + READY_S_MAX
    for name in plan.members():
        while plan.place(name) not in await apis[scenarios.load(name).project].endpoints():
            if time.monotonic() > deadline:
                raise TargetError(
                    f"There is no endpoint {plan.place(name)} after {READY_S_MAX:g} s. The first slice (0/N) makes it: was that"
                    " started, with the same --namespace?"
                )
            await asyncio.sleep(POLL_S * 4)
    return apis


class Embedded:
    """An engine of our own, in a folder that the reaper removes."""

    host = "127.0.0.1"
    tls = False

    def __init__(
        self,
        *,
        workers: int,
        apis: int = 1,
        incidents: Incidents,
        reaper: Reaper,
        logs: Path,
        settings: dict[str, str] | None = None,
        package: Path | None = None,
        counted: bool = False,
        measured: bool = False,
    ) -> None:
        """`settings` are further `MESHHOOK_*` variables, without the prefix and in lower case. `package` is a folder to find
        the engine in before the one that is installed. `counted` has Postgres count the calls of the engine's functions.
        `measured`: its workers tell their figures as well."""
        self.port = free_port()
        self._workers = workers
        self._apis = apis
        self._incidents = incidents
        self._reaper = reaper
        self._logs = logs
        self._package = package
        self._counted = counted
        # Postgres may run as another user, who has to get in; and the path of a socket must be short.
        self.folder = reaper.folder / f"engine-{self.port}"
        self.folder.mkdir()
        self.folder.chmod(0o711)
        # The server's socket moves when it is started again; this link to it does not.
        self._socket = self.folder / "pg"
        self.dsn = f"postgresql:///meshhook?host={self._socket}&port=5432&user=postgres&sslmode=disable"
        self.settings = {
            "database_url": self.dsn,
            "host": self.host,
            "port": str(self.port),
            "secrets_key_file": str(self.folder / "secrets.key"),
            **(settings or {}),
        }
        self._postgres_ready = asyncio.Event()
        self._workers_started = 0
        self._measured = measured
        self._metrics_ports: dict[str, int] = {}
        self._postmaster: int | None = None
        self._processes: list[Supervised] = []
        self._stack = AsyncExitStack()

    @property
    def api(self) -> Api:
        return Api(self.host, self.port)

    @property
    def socket(self) -> Path:
        """The Unix socket of its Postgres."""
        return self._socket / ".s.PGSQL.5432"

    async def api_of(self, project: str) -> Api:
        if project == scenarios.HOME:
            return self.api
        key = await self._command("key", "create", "suite", "--project", project, "--new-project", "--json")
        return Api(self.host, self.port, json.loads(key)["key"])

    def pids(self) -> dict[str, list[int]]:
        roles: dict[str, list[int]] = {}
        for process in self._processes:
            if process.pid is not None and process.role != "postgres":
                roles.setdefault(process.role, []).append(process.pid)
        if self._postmaster is not None:
            roles["postgres"] = [self._postmaster]
        return roles

    def processes(self, role: str) -> list[Supervised]:
        """Its processes of one role, in the order they were started."""
        return [process for process in self._processes if process.role == role]

    def scraped(self) -> list[tuple[str, str]]:
        workers = [("worker", f"{self.host}:{port}") for port in self._metrics_ports.values()]
        # Several that share a port answer for each other: figures of now this one, now that one are none.
        return [*([("api", f"{self.host}:{self.port}")] if self._apis == 1 else []), *workers]

    def check(self) -> None:
        for process in self._processes:
            process.check()

    async def stop(self) -> None:
        """End every process; nothing happens to those that were not started."""
        await self._stack.aclose()

    async def start_database(self) -> None:
        """Start Postgres and migrate, and nothing else."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._make_key()
        data = self.folder / "data"
        await self._supervise("postgres", ["postgres", "--data", str(data), "--json"], on_line=self._on_postgres_line)
        await self._until("Postgres", self._postgres_ready.is_set)
        await self._migrate()
        if self._counted:
            await self._count_calls()

    async def _count_calls(self) -> None:
        """What a stage costs the database is read off its functions; sessions that begin later have them counted."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("ALTER DATABASE meshhook SET track_functions = 'pl'")
        finally:
            await connection.close()

    async def start(self) -> None:
        """Start Postgres, migrate, start API and workers, and wait until it is ready."""
        await self.start_database()
        for number in range(1, self._apis + 1):
            await self._supervise("api", ["serve"], log="api" if self._apis == 1 else f"api-{number}")
        await self.add_workers(self._workers)
        # All of them listen on one port, among which the kernel spreads connections: one that answers is not all.
        await self._until("The API", self._all_listen)
        async with asyncio.timeout(READY_S_MAX):
            while not await self.api.ready():
                self.check()
                await asyncio.sleep(POLL_S)

    def _all_listen(self) -> bool:
        return self._apis == 1 or all(listens(api.pid, self.port) for api in self.processes("api"))

    def _make_key(self) -> None:
        """The key that secrets are kept under, for this engine alone."""
        key = Path(self.settings["secrets_key_file"])
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(b64encode(os.urandom(32)) + b"\n")

    async def stop_workers(self) -> None:
        """Stop every worker, and leave them stopped until `start_workers`."""
        await asyncio.gather(*(worker.stop() for worker in self.processes("worker")))
        self._processes = [process for process in self._processes if process.role != "worker"]
        self._metrics_ports.clear()

    async def start_workers(self) -> None:
        """Start workers again after `stop_workers`."""
        await self.add_workers(self._workers)

    async def add_workers(self, count: int, environment: dict[str, str] | None = None) -> None:
        """Start further workers beside those there are; `environment` is what they find in it besides."""
        for _ in range(count):
            self._workers_started += 1
            name = f"worker-{self._workers_started}"
            words = ["work"]
            if self._measured:
                self._metrics_ports[name] = free_port()
                words += ["--metrics-port", str(self._metrics_ports[name])]
            await self._supervise("worker", words, log=name, environment=environment)

    async def restart(self, role: str) -> None:
        """Ask the first process of a role to end, and wait until there is another and the API is ready."""
        process = self.processes(role)[0]
        ended = process.strike(signal.SIGTERM)
        await self._until(f"another {role}", lambda: process.pid not in (None, ended))
        async with asyncio.timeout(READY_S_MAX):
            while not await self.api.ready():
                self.check()
                await asyncio.sleep(POLL_S)

    async def remove_workers(self, count: int) -> None:
        """Stop the workers that were started last, and leave them stopped."""
        leaving = self.processes("worker")[-count:]
        await asyncio.gather(*(worker.stop() for worker in leaving))
        self._processes = [process for process in self._processes if process not in leaving]
        self._metrics_ports = dict(list(self._metrics_ports.items())[:-count])

    async def _supervise(
        self,
        role: str,
        arguments: list[str],
        *,
        log: str = "",
        environment: dict[str, str] | None = None,
        **options: object,
    ) -> None:
        process = Supervised(
            role,
            [str(meshhook()), *arguments, "--stop-with-stdin"],
            environment={**self._environment(), **(environment or {})},
            folder=self.folder,
            log=self._logs / f"{log or role}.log",
            reaper=self._reaper,
            incidents=self._incidents,
            **options,  # type: ignore[arg-type]
        )
        self._stack.push_async_callback(process.stop)
        self._processes.append(process)
        await process.start()

    def _on_postgres_line(self, line: bytes) -> None:
        facts = json.loads(line)
        server = dict(pair.split("=", 1) for pair in urlsplit(facts["dsn"]).query.split("&"))
        link = self._socket.with_suffix(".new")
        link.unlink(missing_ok=True)
        link.symlink_to(server["host"])
        link.replace(self._socket)
        self._postmaster = facts["pid"]
        self._reaper.watch(facts["pid"])
        self._postgres_ready.set()

    async def _migrate(self) -> None:
        await self._command("migrate")

    async def _command(self, *words: str) -> str:
        """Run a command of the engine to its end; returns what it printed. Raises TargetError."""
        process = await asyncio.create_subprocess_exec(
            meshhook(),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            cwd=self.folder,
            start_new_session=True,
        )
        self._reaper.watch(process.pid)
        printed, said = await process.communicate()
        if process.returncode:
            told = (printed + said).decode()
            raise TargetError(f"meshhook {' '.join(words[:2])} ended with exit code {process.returncode}:\n{told}")
        return printed.decode()

    async def _until(self, what: str, condition: object) -> None:
        assert callable(condition)
        deadline = time.monotonic() + READY_S_MAX
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise TargetError(f"{what} was not ready within {READY_S_MAX:g} s. Its log is in {self._logs}.")
            await asyncio.sleep(POLL_S)

    def _environment(self) -> dict[str, str]:
        # Nothing else of the caller's: a run must not depend on who starts it.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        if self._package is not None:
            kept["PYTHONPATH"] = str(self._package.resolve())
        return {**kept, **{f"MESHHOOK_{name.upper()}": value for name, value in self.settings.items()}}


class Remote:
    """An engine that runs already: on this machine, or on one that is said to be the user's own."""

    def __init__(self, url: str, dsn: str, api_key: str | None = None, owned: str | None = None) -> None:
        """`owned` is the host that the user says is theirs. Raises TargetError when the target is no such engine, or another's."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise TargetError(f"{url} is no target. Give an address such as http://127.0.0.1:8080, or `embedded`.")
        try:
            here = ownership.check(parts.hostname, owned)
        except ownership.NotOwnedError as error:
            raise TargetError(str(error)) from error
        self.tls = parts.scheme == "https"
        # A certificate is for a name; it says by itself that the name has not led elsewhere.
        self.host = parts.hostname if here is None or self.tls else here
        self.port = parts.port or (443 if self.tls else 80)
        self.is_here = here is not None
        self.dsn = dsn
        self.settings: dict[str, str] = {"url": url}
        self._api_key = api_key

    @property
    def api(self) -> Api:
        return Api(self.host, self.port, self._api_key, tls=self.tls)

    async def api_of(self, project: str) -> Api:
        if project == scenarios.HOME:
            return self.api
        variable = f"MESHPROOF_API_KEY_{project.upper()}"
        if not (key := os.environ.get(variable)):
            raise TargetError(
                f"The scenario has work in a second project, which it calls {project!r}. Make a key of a project of its own"
                f" there (meshhook key create --new-project), and put it into {variable}."
            )
        return Api(self.host, self.port, key, tls=self.tls)

    def pids(self) -> dict[str, list[int]]:
        return {}

    def scraped(self) -> list[tuple[str, str]]:
        return [("api", f"{self.host}:{self.port}")]

    def check(self) -> None:
        """Nothing here is ours to keep running."""

    async def start(self) -> None:
        """See whether it is there, and its database too. Raises TargetError."""
        if not await self.api.ready():
            scheme = "https" if self.tls else "http"
            raise TargetError(f"{scheme}://{self.host}:{self.port}/readyz does not answer 200. Is the engine running?")
        try:
            connection = await asyncpg.connect(self.dsn, timeout=10.0)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise TargetError(f"The database of the target cannot be read: {error}. See --database.") from error
        await connection.close()

    async def stop(self) -> None:
        """Nothing here is ours to end."""


def meshhook() -> Path:
    """The engine's command, from the same environment as this one. Raises TargetError when there is none."""
    command = Path(sys.executable).with_name("meshhook")
    if not command.exists():
        raise TargetError(f"There is no {command}. Install MeshHook into the same environment as the suite.")
    return command


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(pid: int | None, port: int) -> bool:
    """Whether a process listens on a port."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp") if pid else []
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)
