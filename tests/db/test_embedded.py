"""The embedded Postgres: it starts, it keeps what was committed, and nothing of it outlives its owner."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from meshhook.db.embedded import EmbeddedPostgres, is_postmaster, running
from meshhook.errors import EmbeddedPostgresError

pytestmark = pytest.mark.xdist_group("embedded")

AS_ROOT = os.geteuid() == 0
BOUND_S = 120


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's tmp_path: as root, the server's user may not enter that one."""
    made = Path(tempfile.mkdtemp(prefix="meshhook-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def pristine() -> Iterator[Path]:
    """A folder with a server that was made once and never used."""
    made = Path(tempfile.mkdtemp(prefix="meshhook-test-"))
    with EmbeddedPostgres(made):
        pass
    yield made
    shutil.rmtree(made)


@pytest.fixture
def made(folder: Path, pristine: Path) -> Path:
    """A folder with a server of its own; copied, because making one takes most of the time."""
    subprocess.run(["cp", "-a", f"{pristine}/.", folder], check=True)
    return folder


def ask(dsn: str, query: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {BOUND_S} s"
        time.sleep(0.01)


def socket_folder(dsn: str) -> Path:
    return Path(dsn.partition("host=")[2].partition("&")[0])


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Owner:
    """A process of its own that runs `meshhook postgres`, so that it can be killed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "meshhook", "postgres", "--data", str(folder), "--json", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.facts: dict[str, Any] = json.loads(self.process.stdout.readline())

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        until(lambda: not is_alive(self.facts["pid"]))


def test_starts_stops_and_keeps_its_data(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    with server:
        assert ask(server.dsn, "SELECT current_setting('server_version_num')::int / 10000") == 18
        ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        sockets, pid = socket_folder(server.dsn), server.pid
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert running(folder / "data") == {"dsn": server.dsn, "pid": pid, "data": str(folder / "data")}
    assert not is_alive(pid)
    assert not sockets.exists()
    assert running(folder / "data") is None
    with server:
        assert ask(server.dsn, "SELECT answer FROM kept") == 42


def test_is_durable_and_deaf_to_the_network(made: Path) -> None:
    with EmbeddedPostgres(made) as server:
        settings = {
            name: ask(server.dsn, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses", "jit")
        }
        encoding = ask(server.dsn, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'meshhook'")
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "jit": "off",
    }
    assert encoding == "UTF8"


def test_the_callers_environment_does_not_reach_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGDATA", "PGPORT", "PGHOST", "PGUSER", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "nonsense")
    with EmbeddedPostgres(folder) as server:
        monkeypatch.undo()
        assert ask(server.dsn, "SHOW timezone") == "UTC"


def test_options_override_ours(made: Path) -> None:
    with EmbeddedPostgres(made, {"max_connections": "23"}) as server:
        assert ask(server.dsn, "SHOW max_connections") == "23"


def test_a_temporary_server_leaves_nothing_behind(folder: Path) -> None:
    with EmbeddedPostgres(folder / "data", temporary=True) as server:
        sockets = socket_folder(server.dsn)
    assert not (folder / "data").exists()
    assert not sockets.exists()


def test_a_second_owner_is_refused(made: Path) -> None:
    with (
        EmbeddedPostgres(made),
        pytest.raises(EmbeddedPostgresError, match=f"in use by process {os.getpid()}"),
    ):
        EmbeddedPostgres(made).start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(folder: Path) -> None:
    before = set(Path("/tmp").glob("meshhook-????????"))
    with pytest.raises(EmbeddedPostgresError, match="ended while it started") as caught:
        EmbeddedPostgres(folder / "data", {"shared_buffers": "plenty"}).start()
    assert "shared_buffers" in str(caught.value)
    until(lambda: set(Path("/tmp").glob("meshhook-????????")) <= before)
    with EmbeddedPostgres(folder / "data") as server:
        assert ask(server.dsn, "SELECT 1") == 1


def test_an_interrupted_creation_is_begun_again(folder: Path) -> None:
    half = folder / "cluster-unfinished"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(folder) as server:
        assert ask(server.dsn, "SELECT 1") == 1
    assert not half.exists()


def test_a_stale_postmaster_pid_of_a_living_stranger_does_not_matter(made: Path) -> None:
    (made / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n{made / 'cluster'}\n")
    with EmbeddedPostgres(made) as server:
        assert ask(server.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_cleanly_on_a_signal(made: Path, signum: signal.Signals) -> None:
    with Owner(made) as owner:
        owner.process.send_signal(signum)
        assert owner.process.wait(BOUND_S) == 0
        assert not is_alive(owner.facts["pid"])
    assert "database system is shut down" in (made / "postgres.log").read_text()


def test_the_command_stops_when_its_standard_input_closes(made: Path) -> None:
    with Owner(made, "--stop-with-stdin") as owner:
        assert owner.process.stdin is not None
        owner.process.stdin.close()
        assert owner.process.wait(BOUND_S) == 0


def test_the_server_dies_with_an_owner_that_was_killed_and_the_next_start_recovers(made: Path) -> None:
    with Owner(made) as owner:
        ask(owner.facts["dsn"], "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.process.kill()
        until(lambda: not is_alive(owner.facts["pid"]))
        until(lambda: not socket_folder(owner.facts["dsn"]).exists())
    with EmbeddedPostgres(made) as server:
        assert ask(server.dsn, "SELECT answer FROM kept") == 42


def test_a_start_right_after_the_owner_was_killed_waits_for_the_old_server(made: Path) -> None:
    with Owner(made) as owner:
        ask(owner.facts["dsn"], "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.process.kill()
        with EmbeddedPostgres(made) as server:
            assert not is_alive(owner.facts["pid"])
            assert ask(server.dsn, "SELECT answer FROM kept") == 42


def test_a_temporary_server_is_removed_when_its_owner_was_killed() -> None:
    command = [sys.executable, "-m", "meshhook", "postgres", "--temporary", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        process.kill()
    until(lambda: not Path(facts["data"]).exists())
    assert not is_alive(facts["pid"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_server_stops_even_when_its_keeper_was_killed_too(made: Path) -> None:
    with Owner(made) as owner:
        keeper = int(Path(f"/proc/{owner.facts['pid']}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        until(lambda: not is_alive(owner.facts["pid"]))
        assert owner.process.wait(BOUND_S) == 1


def test_the_command_fails_when_the_server_was_killed_and_the_next_start_recovers(made: Path) -> None:
    with Owner(made) as owner:
        ask(owner.facts["dsn"], "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(owner.facts["pid"], signal.SIGKILL)
        assert owner.process.wait(BOUND_S) == 1
    with EmbeddedPostgres(made) as server:
        assert ask(server.dsn, "SELECT answer FROM kept") == 42


def test_a_server_that_lost_its_owner_and_its_keeper_is_stopped_by_the_next_start(made: Path) -> None:
    """As where the system tells no child that its parent died: started by hand, holding no lock of ours."""
    server = EmbeddedPostgres(made)
    with server:
        command = [Path(f"/proc/{server.pid}/exe").readlink(), "-D", str(server.cluster), "-c", "listen_addresses="]
        owner = server.cluster.stat()
    as_user: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if AS_ROOT else {}
    command += ["-c", f"unix_socket_directories={server.cluster}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **as_user) as orphan:
        until(lambda: is_postmaster(orphan.pid, server.cluster) and (server.cluster / "postmaster.pid").exists())
        with server:
            assert orphan.wait(BOUND_S) == 0
            assert ask(server.dsn, "SELECT 1") == 1


def test_a_folder_that_cannot_be_written_to_says_what_to_do() -> None:
    with pytest.raises(EmbeddedPostgresError, match="MESHHOOK_DATA_DIR"):
        EmbeddedPostgres(Path("/proc/meshhook")).start()


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_as_root_it_runs_as_another_user(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        user = pwd.getpwuid(Path(f"/proc/{server.pid}").stat().st_uid).pw_name
    assert user in {"postgres", "nobody"}


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_as_root_a_closed_folder_is_named_and_stays_closed(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "something").touch()
    with pytest.raises(EmbeddedPostgresError, match=f"may not enter {closed}\\. "):
        EmbeddedPostgres(closed / "data").start()
    assert closed.stat().st_mode & 0o777 == 0o700
    with pytest.raises(EmbeddedPostgresError, match=f"may not enter {closed}\\. "):
        EmbeddedPostgres(closed).start()
    assert closed.stat().st_mode & 0o777 == 0o700
