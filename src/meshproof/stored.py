"""The stored ledger: what the database holds after the run, read by the suite's own SQL in one snapshot."""

from __future__ import annotations

from pathlib import Path

from meshproof.database import Reader
from meshproof.ledger import write_document
from meshproof.sql import statement

TABLES = ("runs", "events", "tasks")


async def export(reader: Reader, folder: Path, endpoints: list[int] | None) -> int:
    """Write runs, events and tasks as CSV, and `read.json`; streaming, whatever their size.

    `endpoints` narrows it to the runs of those; None takes everything there is. Returns how many runs there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    async with reader.snapshot() as connection:
        at_us = await connection.fetchval("SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint")
        for table in TABLES:
            said = await connection.copy_from_query(
                statement(table), endpoints, output=folder / f"{table}.csv", format="csv", header=True
            )
            rows[table] = int(said.split()[-1])
    write_document(folder / "read.json", {"at_us": at_us, "rows": rows})
    return rows["runs"]
