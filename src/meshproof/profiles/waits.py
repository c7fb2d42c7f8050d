"""What sessions of the database wait for, ten times a second (`samples/waits.ndjson`); once is too few to see what fills up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from meshproof.database import ERRORS, Reader
from meshproof.ledger import LineWriter
from meshproof.profiles.session import Session, now_us
from meshproof.sql import statement

INTERVAL_S: Final = 0.1


@asynccontextmanager
async def watch_waits(run: Session) -> AsyncIterator[None]:
    """Sample while the block goes on."""
    reader = Reader(run.target.dsn)
    with LineWriter(run.folder / "samples" / "waits.ndjson") as lines:
        sampling = asyncio.create_task(_sample(reader, lines))
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.wait([sampling])
            await reader.close()


async def _sample(reader: Reader, lines: LineWriter) -> None:
    while True:
        began = time.monotonic()
        try:
            (row,) = await reader.fetch(statement("waiting"))
        except ERRORS:
            pass  # a database that is away waits for nothing
        else:
            lines.add_json({"at_us": now_us(), "waiting": json.loads(row["waiting"])})
            lines.flush()
        await asyncio.sleep(max(0.0, INTERVAL_S - (time.monotonic() - began)))
