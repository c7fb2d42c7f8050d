"""`meshhook up` as a user sees it: it answers, it survives its children, and nothing of it outlives it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BOUND_S = 120


class Up:
    """A running `meshhook up`. ``said`` grows as it speaks."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [
            sys.executable,
            "-m",
            "meshhook",
            "up",
            "--data-dir",
            str(data),
            "--port",
            str(self.port),
            *arguments,
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        try:
            until(lambda: "Ctrl-C stops it" in self.output)
        except BaseException:
            self.end()
            raise

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self.said.extend(lines)

    @property
    def output(self) -> str:
        assert self.process.poll() is None, "".join(self.said)
        return "".join(self.said)

    def children(self) -> dict[str, int]:
        """The processes of ours below it, by command."""
        found = {}
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        for pid in (int(pid) for thread in threads for pid in thread.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            found["postgres" if words[-2].startswith("{") else words[3]] = pid
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()


@pytest.fixture
def data() -> Iterator[Path]:
    """Not pytest's tmp_path: as root, the user that Postgres runs as may not enter that one."""
    made = Path(tempfile.mkdtemp(prefix="meshhook-test-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    made = Up(data)
    yield made
    made.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {BOUND_S} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def fetch(url: str, body: Any = None) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def hello(up: Up, name: str) -> Any:
    """Send what the printed curl line sends, and wait for the result."""
    accepted = fetch(f"{up.url}/hooks/hello", {"name": name})
    until(lambda: fetch(up.url + accepted["status_url"])["status"] == "completed")
    return fetch(up.url + accepted["status_url"])["output"]


def answers(up: Up) -> bool:
    try:
        return urllib.request.urlopen(f"{up.url}/readyz", timeout=10).status == 200
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_it_answers_survives_its_children_and_stops_in_order(up: Up, data: Path) -> None:
    assert hello(up, "Ada") == {"greeting": "Hello, Ada!"}
    assert f"curl -i {up.url}/hooks/hello" in up.output
    key = (data / "secrets.key").read_bytes()
    assert (data / "secrets.key").stat().st_mode & 0o777 == 0o600
    set_secret = urllib.request.Request(
        f"{up.url}/api/v1/secrets/TOKEN",
        b'{"value": "correct horse"}',
        {"content-type": "application/json"},
        method="PUT",
    )
    assert json.load(urllib.request.urlopen(set_secret, timeout=10))["version"] == 1

    for command in ("serve", "work"):
        os.kill(up.children()[command], signal.SIGKILL)
        until(lambda command=command: f"{command} ended with -9; starting it again" in up.output)
    until(lambda: answers(up))
    assert hello(up, "Grace") == {"greeting": "Hello, Grace!"}

    children = up.children()
    assert set(children) == {"serve", "work", "postgres"}
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(BOUND_S) == 0
    up._listener.join()
    assert "MeshHook has stopped." in up.said[-1]
    assert not any(map(is_alive, children.values()))
    assert "database system is shut down" in (data / "postgres.log").read_text()

    again = Up(data)
    try:
        assert [secret["name"] for secret in fetch(f"{again.url}/api/v1/secrets")["items"]] == ["TOKEN"]
        assert (data / "secrets.key").read_bytes() == key
        runs = fetch(f"{again.url}/api/v1/runs")["items"]
        assert [run["status"] for run in runs] == ["completed", "completed"]
        assert len(fetch(f"{again.url}/api/v1/endpoints")["items"]) == 1
    finally:
        again.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_outlives_it_when_it_is_killed(up: Up) -> None:
    children = up.children()
    assert set(children) == {"serve", "work", "postgres"}
    up.process.kill()
    until(lambda: not any(map(is_alive, children.values())))


def test_a_port_in_use_is_said_before_anything_is_started(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "meshhook", "up", "--data-dir", str(data), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
    assert done.returncode == 2
    assert re.search(rf"127\.0\.0\.1:{port} cannot be listened on .* choose another with --port", done.stderr)
    assert list(data.iterdir()) == []
