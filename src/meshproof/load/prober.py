"""The prober: asks, in the name of each project, for its own runs and for those of the others, and writes down what it was shown.

What belongs to a project carries its canary; the names of its workflows are marks as well. A reply in which the mark of another
project stands is a leak, whatever its status says. It only looks: what a leak would let it change, it leaves alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Final

from meshproof import scenarios
from meshproof.database import ERRORS, Reader
from meshproof.ledger import LineWriter
from meshproof.plan import Plan
from meshproof.rest import Api
from meshproof.sql import statement

PAUSE_S: Final = 0.25
RUNS_EACH: Final = 3


class Prober:
    """Asks until it is told to stop; `replies` is its ledger."""

    def __init__(self, plan: Plan, apis: Mapping[str, Api], reader: Reader, replies: LineWriter) -> None:
        """`apis`: of each project of the plan."""
        self._apis = apis
        self._reader = reader
        self._replies = replies
        self._places = {
            project: [plan.place(name) for name in plan.members() if scenarios.load(name).project == project]
            for project in apis
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for everything there is, again and again, and once more at the end."""
        while not stop.is_set():
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_S)
        await self.look()

    async def look(self) -> None:
        """Ask once for everything, in the name of every project."""
        try:
            newest = {
                project: [
                    row["run_id"] for row in await self._reader.fetch(statement("runs_of_places"), places, RUNS_EACH)
                ]
                for project, places in self._places.items()
            }
        except ERRORS:
            return
        for asker, api in self._apis.items():
            for path in self._paths(newest):
                with suppress(OSError, HTTPException):
                    status, text = await api.read(path)
                    line = {"at_us": time.time_ns() // 1_000, "asker": asker, "path": path, "status": status}
                    self._replies.add_json(line | {"marks": self._marks(path, text)})
        self._replies.flush()

    def _paths(self, newest: Mapping[str, list[str]]) -> Iterator[str]:
        yield "/api/v1/runs?limit=20"
        yield "/api/v1/workflows"
        for project, run_ids in newest.items():
            yield from (f"/api/v1/workflows/{place}" for place in self._places[project])
            for run_id in run_ids:
                yield f"/api/v1/runs/{run_id}"
                yield f"/api/v1/runs/{run_id}/events"

    def _marks(self, path: str, text: str) -> list[str]:
        """The projects whose marks stand in a reply. A refusal may repeat what was asked for: that is no mark."""
        return [
            project
            for project, places in self._places.items()
            if scenarios.canary(project) in text or any(place in text and place not in path for place in places)
        ]
