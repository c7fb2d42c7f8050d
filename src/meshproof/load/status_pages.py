"""Looks later: callers who were not answered in time were given a `status_url`; this reads it once their runs have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Final

from meshproof import scenarios
from meshproof.ledger import LineWriter, read_lines
from meshproof.plan import Plan
from meshproof.rest import Api

LATER: Final = 202
AT_ONCE: Final = 8


async def read(plan: Plan, apis: Mapping[str, Api], folder: Path) -> None:
    """Write `samples/status_pages.ndjson` where callers wait; nothing where nobody does."""
    if not any(scenarios.load(name).reply for name in plan.members()):
        return
    free = asyncio.Semaphore(AT_ONCE)
    with LineWriter(folder / "samples" / "status_pages.ndjson") as pages:

        async def look(api: Api, run_id: str) -> None:
            async with free:
                with suppress(OSError, HTTPException):
                    status, reply = await api.read(f"/api/v1/runs/{run_id}")
                    line = {"at_us": time.time_ns() // 1_000, "run_id": run_id, "status": status, "reply": reply}
                    pages.add_json(line)

        await asyncio.gather(*(look(apis[project], run_id) for project, run_id in _put_off(plan, folder / "sent")))


def _put_off(plan: Plan, sent: Path) -> Iterator[tuple[str, str]]:
    """The project and the run of every caller who was told to look later."""
    waited = {name: scenarios.load(name).project for name in plan.members() if scenarios.load(name).reply}
    projects = {
        line["n"]: waited[line["s"]]
        for path in sent.glob("*.attempts.ndjson")
        for line in read_lines(path)
        if line["s"] in waited
    }
    for path in sent.glob("*.outcomes.ndjson"):
        for line in read_lines(path):
            if line["n"] in projects and line["status"] == LATER and "reply" not in line:
                yield projects[line["n"]], line["run_id"]
