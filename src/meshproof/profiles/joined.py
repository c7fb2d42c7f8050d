"""`judge --sent`: what several senders of one plan have sent, judged together."""

from __future__ import annotations

from pathlib import Path

from meshproof import scenario_file, stored
from meshproof.database import Reader, endpoint_ids
from meshproof.display import Display
from meshproof.ledger import read_document
from meshproof.merge import merge
from meshproof.profiles.session import Result, conclude, until_idle


async def run(out: Path, sent: list[Path], database: str | None, display: Display) -> Result:
    """Merge, wait for the last runs and read what is stored where a database is given, judge."""
    display.step("Bringing the ledgers together")
    for part in sent:
        scenario_file.adopt_kept(part if part.is_dir() else out)
    merge(out, sent)
    if database is not None:
        await save_stored(out, database, display)
    return await conclude(out, display)


async def save_stored(out: Path, database: str, display: Display) -> None:
    """Wait until no run of the plan is live, then save what is stored of it."""
    plan = read_document(out / "plan.json")
    reader = Reader(database)
    try:
        endpoints = await endpoint_ids(reader, [place["endpoint"] for place in plan["scenarios"].values()])
        display.step("Waiting for the last runs")
        await until_idle(reader, endpoints, plan["bounds"]["drain_s"])
        display.step("Reading what is stored")
        display.note(f"{await stored.export(reader, out / 'stored', endpoints):,} runs")
    finally:
        await reader.close()
