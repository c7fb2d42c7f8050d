"""Canaries: secrets that are planted, used in every way there is, and then searched for everywhere.

Real processes, a real server that gives away whatever it is sent, a worker that is killed in the middle. Afterwards every column of
every table, every log, every answer of the API and the command line, and the command lines of the processes are searched for each
canary: plainly, percent-encoded, escaped, in hex, and in base64 at each of the three places it can begin in.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from tests.engine.processes import Running, free_port

from meshhook.key_source import KeySource, ensure_file

CALLED = ("HEADER", "QUERY", "BODY", "FORM", "TEXT", "PATH", "PASSWORD", "BEARER", "HOST", "BROKEN", "ERROR", "AWAY", "ODD",
          "SLOW", "NUMBER")  # fmt: skip
"""What calls use, each its own. ``HOST`` is a name that leads nowhere, ``ODD`` can't be part of a header, ``NUMBER`` is one."""

PROVING = ("SIGNING", "TOKEN")
"""What senders prove themselves with."""

CORE = {name: os.urandom(8).hex() for name in (*CALLED, *PROVING)}
CORE["NUMBER"] = str(7_000_000_000_000_000 + int.from_bytes(os.urandom(6)))
"""The part of each canary that is searched for: whatever is done to the rest, this is told apart from everything else."""


def canary(name: str) -> str:
    match name:
        case "HOST":
            return f"{CORE[name]}.invalid"
        case "ODD":
            return f"line\nbreak {CORE[name]}"
        case "NUMBER":
            return CORE[name]
        case "PATH":
            return f"{CORE[name]}/~%C3%A9"
        case _:
            return f"{CORE[name]} &%/+\"'\\é"


def forms(core: str) -> Iterator[bytes]:
    """Each form that ``core`` is searched for in, in lower case. Made here, and not by what is tested."""
    octets = core.encode()
    yield octets
    yield octets.hex().encode()
    yield "".join(f"%{octet:02x}" for octet in octets).encode()
    yield "".join(f"\\u{octet:04x}" for octet in octets).encode()
    for before in range(3):
        padded = base64.b64encode(b"\0" * before + octets + b"\0" * 3).decode()
        yield padded[4 if before else 0 : 4 * ((before + len(octets)) // 3)].lower().encode()


def found_in(where: bytes) -> set[str]:
    """The canaries that something holds."""
    lower = where.lower()
    return {name for name, core in CORE.items() if any(form in lower for form in forms(core))}


@pytest.mark.parametrize("name", CORE)
def test_the_search_finds_a_canary_in_every_form(name: str) -> None:
    text = canary(name)
    for shown in (
        text.encode(),
        text.upper().encode(),
        quote(text, safe="").encode(),
        "".join(f"%{octet:02X}" for octet in text.encode()).encode(),
        json.dumps(text).encode(),
        text.encode().hex().encode(),
        *(base64.b64encode(b"x" * before + text.encode() + b"tail") for before in range(5)),
        *(base64.urlsafe_b64encode(b"x" * before + text.encode()) for before in range(5)),
    ):
        assert name in found_in(b"before " + shown + b" after"), shown


def call(**config: Any) -> dict[str, Any]:
    retry = {"attempts": 2, "backoff_s": 0, **config.pop("retry", {})}
    config = {"method": "POST", "timeout_s": 20, "retry": retry} | config
    return {
        "nodes": [{"id": "call", "type": "http_call", "config": config}],
        "edges": [{"from": "trigger", "to": "call"}],
    }


def workflows(sink: str) -> dict[str, dict[str, Any]]:
    """One workflow for each way of giving a canary away."""
    return {
        "header": call(url=f"{sink}/echo", headers={"x-key": "k={{ secrets.HEADER }}"}),
        "query": call(url=f"{sink}/echo", method="GET", query={"key": "{{ secrets.QUERY }}"}),
        "body": call(url=f"{sink}/echo", json={"deep": ["{{ secrets.BODY }}"]}),
        "form": call(url=f"{sink}/echo", form={"key": "{{ secrets.FORM }}"}),
        "text": call(url=f"{sink}/echo", text="{{ secrets.TEXT }}"),
        "path": call(url=sink + "/echo/{{ secrets.PATH }}"),
        "basic": call(url=f"{sink}/echo", auth={"type": "basic", "user": "u", "password": "{{ secrets.PASSWORD }}"}),
        "bearer": call(url=f"{sink}/echo", auth={"type": "bearer", "token": "{{ secrets.BEARER }}"}),
        "number": call(url=f"{sink}/number", text="{{ secrets.NUMBER }}"),
        "host": call(url="http://{{ secrets.HOST }}/"),
        "broken": call(url=f"{sink}/broken", text="{{ secrets.BROKEN }}"),
        "error": call(url=f"{sink}/error", text="{{ secrets.ERROR }}"),
        "away": call(url=f"{sink}/away", text="{{ secrets.AWAY }}"),
        "odd": call(url=f"{sink}/echo", headers={"x-odd": "{{ secrets.ODD }}"}),
        "slow": call(url=f"{sink}/slow", text="{{ secrets.SLOW }}"),
        "unknown": call(url=f"{sink}/echo", text="{{ secrets.NOT_THERE }}"),
    }


class Sink:
    """A server that gives everything away that it is sent; ``/slow`` answers when told to."""

    def __init__(self) -> None:
        self.received = b""
        self.slow = asyncio.Event()
        self.asked_slowly = asyncio.Event()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Sink:
        application = web.Application(handler_args={"max_line_size": 65536, "max_field_size": 65536})
        application.router.add_route("*", "/{path:.*}", self.answer)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.slow.set()
        await self._runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        everything = f"{request.raw_path}\n{dict(request.headers)}\n{body.decode()}"
        self.received += everything.encode()
        match request.path:
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "/error":
                return web.Response(status=500, text=everything)
            case "/away":
                return web.Response(
                    status=307, headers={"location": f"http://{quote(body.decode(), safe='')}.invalid/"}
                )
            case "/number":
                return web.json_response({"number": int(body), "inside": [float(body)]})
            case "/slow":
                self.asked_slowly.set()
                await self.slow.wait()
        encoded = [base64.b64encode(b"x" * before + everything.encode()).decode() for before in range(3)]
        return web.json_response(
            {
                everything: everything,
                "base64": encoded,
                "quoted": quote(everything, safe=""),
                "json": json.dumps(everything),
            },
            headers={"x-echo": quote(everything), "x-base64": base64.urlsafe_b64encode(everything.encode()).decode()},
        )


class Installation:
    """A server, a worker, and everything they and the command line have said."""

    def __init__(self, dsn: str, key_file: Path) -> None:
        self.settings = {
            "secrets_key_file": key_file,
            "log_level": "debug",
            "outbound_allow": "127.0.0.0/8",
            "poll_ms": 20,
        }
        self.dsn = dsn
        self.said = b""
        self.command_lines = b""

    def process(self, command: str) -> Running:
        return Running(command, self.dsn, lease_s=1, **self.settings)

    async def command(self, *arguments: str, given: str = "") -> bytes:
        environment = {f"MESHHOOK_{name.upper()}": str(value) for name, value in self.settings.items()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meshhook", *arguments),
            env={**os.environ, **environment, "MESHHOOK_DATABASE_URL": self.dsn},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.look_at_command_lines()
        out, _ = await process.communicate(given.encode())
        self.said += out
        return out

    def look_at_command_lines(self) -> None:
        """What ``ps`` shows of every process of this machine: arguments, and of ours no environment."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.command_lines += process.read_bytes()
            except OSError:
                continue  # it has ended

    async def read(self, session: aiohttp.ClientSession, url: str) -> int:
        """Ask for something, whatever it is; its status."""
        async with session.get(url) as answer:
            self.said += await answer.read() + str(answer.headers).encode()
            return answer.status

    async def api(self, session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Any:
        async with session.request(method, url, **options) as answer:
            text = await answer.text()
            self.said += text.encode() + str(answer.headers).encode()
            return json.loads(text) if text else None


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "secrets.key"
    ensure_file(KeySource("file", str(file)))
    return file


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as running:
        yield running


@pytest.mark.slow
async def test_no_canary_is_anywhere(database: str, key_file: Path, sink: Sink) -> None:
    here = Installation(database, key_file)
    async with aiohttp.ClientSession() as session, here.process("serve") as serve:
        await set_canaries(here, session, serve.url)
        await publish(here, session, serve.url, workflows(sink.url))
        await prove_senders(here, session, serve.url)
        first = here.process("work")
        async with first:
            runs = await deliver(here, session, serve.url, workflows(sink.url))
            await asyncio.wait_for(sink.asked_slowly.wait(), 20)
            here.look_at_command_lines()
            first.kill()
            await first.ended()
        sink.slow.set()
        second = here.process("work")
        async with second:
            ended = await until_ended(here, session, serve, runs)
            await rotate_keys_meanwhile(here, session, serve)
        await read_everything(here, session, serve.url, runs)
    logs = first.log + second.log + serve.log
    tables = await every_column(database)

    check_that_it_all_happened(ended, sink, logs, here)
    assert found_in(tables) == set()
    assert found_in(logs) == set()
    assert found_in(here.said) == set()
    assert found_in(here.command_lines) == set()


async def set_canaries(here: Installation, session: aiohttp.ClientSession, url: str) -> None:
    for name in CORE:
        if name in ("HEADER", "SIGNING"):
            await here.command("secret", "set", name, given=canary(name) + "\n")
        else:
            await here.api(session, "PUT", f"{url}/api/v1/secrets/{name}", json={"value": canary(name)})


async def publish(
    here: Installation, session: aiohttp.ClientSession, url: str, definitions: dict[str, dict[str, Any]]
) -> None:
    for name, definition in definitions.items():
        await here.api(session, "PUT", f"{url}/api/v1/workflows/{name}", json=definition)
        await here.api(session, "POST", f"{url}/api/v1/workflows/{name}/versions")
        await here.api(session, "PUT", f"{url}/api/v1/endpoints/{name}", json={"workflow": name})


async def deliver(
    here: Installation, session: aiohttp.ClientSession, url: str, definitions: dict[str, dict[str, Any]]
) -> dict[str, str]:
    """One run of each workflow: its id by its name."""
    return {name: (await here.api(session, "POST", f"{url}/hooks/{name}", json={}))["run_id"] for name in definitions}


async def prove_senders(here: Installation, session: aiohttp.ClientSession, url: str) -> None:
    """Endpoints that ask for a signature or a token: right ones, wrong ones, and a token where it does not belong."""
    signature = {"scheme": "github", "secrets": ["SIGNING"]}
    token = {"scheme": "token", "secrets": ["TOKEN"], "header": "x-my-token"}
    await here.api(
        session,
        "PUT",
        f"{url}/api/v1/endpoints/signed",
        json={"workflow": "unknown", "config": {"signature": signature}},
    )
    await here.api(
        session, "PUT", f"{url}/api/v1/endpoints/token", json={"workflow": "unknown", "config": {"signature": token}}
    )
    right = hmac.digest(canary("SIGNING").encode(), b"{}", hashlib.sha256).hex()
    value = canary("TOKEN").encode().decode("latin-1")
    for path, headers, body in (
        ("signed", {"x-hub-signature-256": f"sha256={right}"}, b"{}"),
        ("signed", {"x-hub-signature-256": f"sha256={right}"}, b"{} "),
        ("token", {"x-my-token": canary("TOKEN")}, b"{}"),
        ("token", {"x-my-token": value[:-1]}, b"{}"),
    ):
        answer = await here.api(session, "POST", f"{url}/hooks/{path}", headers=headers, data=body)
        here.said += json.dumps(answer).encode()


async def until_ended(
    here: Installation, session: aiohttp.ClientSession, serve: Running, runs: dict[str, str]
) -> dict[str, Any]:
    ended: dict[str, Any] = {}

    async def all_have() -> bool:
        for name, run_id in runs.items():
            if name not in ended:
                run = await here.api(session, "GET", f"{serve.url}/api/v1/runs/{run_id}")
                if run["status"] in ("completed", "failed"):
                    ended[name] = run
        return len(ended) == len(runs)

    await serve.until(all_have)
    return ended


async def rotate_keys_meanwhile(here: Installation, session: aiohttp.ClientSession, serve: Running) -> None:
    """Both keys are replaced and the old ones dropped under the running processes: calls and signatures go on."""
    for arguments in ((), ("--drop-old",), ("--data-key",), (), ("--drop-old",)):
        said = await here.command("secret", "rotate-key", *arguments)
        assert b"error" not in said, said
        run = await here.api(session, "POST", f"{serve.url}/hooks/header", json={})
        ended = await until_ended(here, session, serve, {"again": run["run_id"]})
        assert ended["again"]["status"] == "completed", ended
    signed = hmac.digest(canary("SIGNING").encode(), b"{}", hashlib.sha256).hex()
    headers = {"x-hub-signature-256": f"sha256={signed}", "x-github-delivery": "after-rotation"}
    assert "run_id" in await here.api(session, "POST", f"{serve.url}/hooks/signed", headers=headers, data=b"{}")


async def read_everything(here: Installation, session: aiohttp.ClientSession, url: str, runs: dict[str, str]) -> None:
    """Whatever the API can be asked for of each run and workflow, their feeds, the metrics, and what the command line tells."""
    document = await here.api(session, "GET", f"{url}/openapi.json")
    for path in (path for path, operations in document["paths"].items() if "get" in operations):
        if path not in NOT_HERE:
            statuses = [await here.read(session, url + path.format_map(values)) for values in fillings(path, runs)]
            assert 200 in statuses, path
    for name in runs:
        await here.read(session, f"{url}/api/v1/deliveries?endpoint={name}")
    for path in ("/metrics", "/api/v1/audit?limit=500", "/api/v1/runs?limit=100", "/api/v1/nothing", "/nothing"):
        await here.read(session, url + path)
    for arguments in (("secret", "list"), ("audit", "--json", "--limit", "500"), ("runs", "list"), ("runs", "verify"),
                      ("runs", "show", runs["header"]), ("runs", "replay-check"), ("runs", "why", runs["host"]),
                      ("dead-letters", "list"), ("doctor",), ("workflow", "list")):  # fmt: skip
        await here.command(*arguments)


NOT_HERE = {
    "/api/v1/stream",  # has no end: it tells what the feeds of the runs tell
    "/api/v1/deliveries",  # asked for with its endpoint
    "/api/v1/operations/{id}",
    "/api/v1/schedules/{name}",
    "/api/v1/schedules/{name}/next",
    "/api/v1/lab/comparison",
    "/api/v1/lab/tests/{id}",
    "/api/v1/lab/tests/{id}/report",
    "/api/v1/lab/tests/{id}/stream",
    "/problems/{name}",
}
"""Of what there is none here."""


def fillings(path: str, runs: dict[str, str]) -> Iterator[dict[str, str]]:
    """What to put into a path of the API: everything of a workflow is called as it is."""
    for name, run_id in runs.items():
        yield {"id": run_id, "name": name, "number": "1", "path": "call" if "/steps/" in path else name}


async def every_column(dsn: str) -> bytes:
    """Every row of every table of the database as text."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog')"
        )
        assert len(tables) > 10
        said = b""
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table['name']} t")
            said += "\n".join(row["row"] for row in rows).encode() + b"\n"
        return said
    finally:
        await connection.close()


def check_that_it_all_happened(ended: dict[str, Any], sink: Sink, logs: bytes, here: Installation) -> None:
    """A search that finds nothing because nothing was sent proves nothing."""
    kept = {"header", "query", "body", "form", "text", "path", "basic", "bearer", "number", "slow"}
    assert {name for name, run in ended.items() if run["status"] == "completed"} == kept
    assert found_in(sink.received) >= set(CALLED) - {"HOST", "ODD"}
    for name in kept:
        assert "[secret " in json.dumps(ended[name]["output"]), name
    errors = {name: run["error"]["reason"] for name, run in ended.items() if name not in kept}
    assert "There is no secret 'NOT_THERE'" in errors["unknown"]
    assert "can't be sent with its secrets filled in" in errors["odd"]
    assert "another origin, and the request holds secrets" in errors["away"]
    assert b"working" in logs
    assert here.command_lines.count(b"meshhook") > 2
    assert re.search(rb"secret.used.{0,40}HEADER", here.said, re.DOTALL)
