"""One real server for all tests of the API; every answer it gives is held against its own OpenAPI document."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from tests.conftest import execute, in_database
from tests.engine.processes import free_port

from meshhook.db.migrate import migrate

BOUND_S = 120.0
numbers = itertools.count(1)


class Server:
    """A running ``meshhook serve``."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        self.dsn, self.port = dsn, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        chosen = {"database_url": dsn, "port": self.port, "log_format": "json", **settings}
        flags = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meshhook", "serve", "--stop-with-stdin", *flags],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        until(lambda: '"serving"' in self.said or self.process.poll() is not None)
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said += line

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        if self.process.stdin is not None:
            self.process.stdin.close()


class Api:
    """Calls a server, and checks that every answer is one its OpenAPI document tells of."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        self.server = server
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=BOUND_S)
        self.document = self.http.get("/openapi.json").json() if key or not server_wants_key(server) else None

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        answer = (
            self.http.request(method, path, json=body, **options)
            if body is not None
            else self.raw(method, path, **options)
        )
        self.check(answer)
        return answer

    def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(method, path, **options)

    def publish(self, name: str, definition: Any) -> httpx.Response:
        assert self("PUT", f"/api/v1/workflows/{name}", definition).status_code == 200
        return self("POST", f"/api/v1/workflows/{name}/versions")

    def check(self, answer: httpx.Response) -> None:
        operation = self._operation(answer.request.method, answer.request.url.path)
        if operation is None or self.document is None:
            return
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, f"{answer.request.url} answered {answer.status_code}, which is not told: {answer.text}"
        if answer.status_code == 204:
            assert not answer.content
            return
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in told["content"], f"{media_type} is not among {list(told['content'])}"
        if "json" in media_type and "schema" in told["content"][media_type]:
            schema = {"components": self.document["components"], **told["content"][media_type]["schema"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json())

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self.document["paths"].items() if self.document else ():
            pattern = re.sub(r"\{path\}", ".+", re.sub(r"\{(?!path)\w+\}", "[^/]+", template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return operations[method.lower()]
        return None


def server_wants_key(server: Server) -> bool:
    return httpx.get(f"{server.url}/openapi.json").status_code == 401


def until(condition: Callable[[], Any]) -> Any:
    """Poll until ``condition()`` is true."""
    deadline = time.monotonic() + BOUND_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return found


@pytest.fixture(scope="session")
def api_dsn(postgres_dsn: str) -> str:
    """The database of the one server."""
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE api TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "api")
    asyncio.run(migrate(dsn))
    return dsn


@pytest.fixture(scope="session")
def server(api_dsn: str) -> Iterator[Server]:
    running = Server(api_dsn)
    yield running
    running.end()


@pytest.fixture(scope="session")
def api(server: Server) -> Iterator[Api]:
    """The API as whoever sits at this machine sees it: no key, the default project."""
    made = Api(server)
    yield made
    made.http.close()


@pytest.fixture
def api_of() -> Iterator[Callable[..., Api]]:
    """The API of another server, or of another key."""
    made: list[Api] = []

    def make(server: Server, key: str | None = None) -> Api:
        made.append(Api(server, key))
        return made[-1]

    yield make
    for api in made:
        api.http.close()


@pytest.fixture
def name() -> str:
    """A name nothing else has."""
    return f"name-{next(numbers)}"


def transform(expression: str = "input", id: str = "only") -> dict[str, Any]:
    """The smallest definition."""
    return {
        "nodes": [{"id": id, "type": "transform", "config": {"expression": expression}}],
        "edges": [{"from": "trigger", "to": id}],
    }
