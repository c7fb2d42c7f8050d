"""The audience against a real engine is in every run of `watchers`; here, how it ends when the last events come late."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from meshproof.ledger import read_lines
from meshproof.load import audience
from meshproof.load.audience import House
from meshproof.plan import Plan
from meshproof.rest import Api

PLAN = Plan(profile="load", scenario="watchers", seed=3, namespace="n", rate=20, duration_s=1)
HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
EVENTS = 3
OF_WORKFLOWS = 160


class Door:
    """Streams of workflows, each with one run: its first event is told at once, the others when ``rest`` is set."""

    def __init__(self) -> None:
        self.rest = asyncio.Event()
        self.lacking = False
        """Whether the last event is never told."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Api]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            yield Api("127.0.0.1", server.sockets[0].getsockname()[1])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        _, _, cursor = asked.partition("last-event-id: ")
        told = int(cursor.split()[0]) if cursor else 0
        writer.write(HEAD + b":\nid: %d\n\n" % told)
        for seq in range(told + 1, EVENTS + (not self.lacking)):
            if seq > 1:
                await self.rest.wait()
            data = json.dumps({"run_id": "run-1", "seq": seq, "at": "2026-01-01T00:00:00Z"})
            writer.write(f"id: {seq}\ndata: {data}\n\n".encode())
        await reader.read()
        writer.close()


class Rows:
    """A database that is away at first; then it says how many events are stored, and at the third look the door tells them."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.looks = 0

    async def fetch(self, query: str, places: list[str], *_: Any) -> list[dict[str, Any]]:
        if "events" not in query:
            return []  # nobody takes up a run
        self.looks += 1
        if self.looks == 1:
            raise asyncpg.InterfaceError("another operation is in progress")
        if self.looks == 3:
            self.door.rest.set()
        return [{"workflow": place, "events": EVENTS} for place in places]


async def told(folder: Path, *, lacking: bool) -> Counter[int]:
    """Let everybody in and out again; returns how many events each was told who watched a workflow."""
    door = Door()
    door.lacking = lacking
    async with door.open() as api:
        house = House(PLAN, {"default": api, "next-door": api}, Rows(door), folder)  # type: ignore[arg-type]
        await house.open()
        await house.close()
    return Counter(line["w"] for line in read_lines(folder / "told.ndjson"))


async def test_it_waits_until_all_is_told_though_the_database_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "LOOK_S", 0.0)
    assert await told(tmp_path, lacking=False) == dict.fromkeys(range(OF_WORKFLOWS), EVENTS)


async def test_what_is_never_told_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "QUIET_S_MAX", 1.0)
    assert await told(tmp_path, lacking=True) == dict.fromkeys(range(OF_WORKFLOWS), EVENTS - 1)
