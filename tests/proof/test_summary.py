"""summary.json: its keys are those that are documented, and its figures are those of the evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshproof import phases
from meshproof.figures import open_evidence
from meshproof.ledger import LineWriter, read_document, write_document
from meshproof.phases import Phase
from meshproof.summary import COUNTS, KEYS, summarise

DOCUMENT = Path(__file__).parents[2] / "docs" / "concurrency" / "summary.md"
START = 1_800_000_000_000_000
SECOND = 1_000_000


@dataclass
class Judged:
    """What the judge would say."""

    verdict: str = "pass"
    valid: bool = True

    @property
    def counts(self) -> Any:
        return SimpleNamespace(**dict.fromkeys(COUNTS, 3))


def write_evidence(folder: Path) -> None:
    """Ten deliveries a tenth of a second apart: each accepted after 2 ms, claimed after 5, finished after 10."""
    write_document(
        folder / "plan.json",
        {"profile": "load", "scenario": "simple", "seed": 1, "settings": {"rate": 10}, "scenarios": {}},
    )
    write_document(folder / "versions.json", {"commit": "abc", "python": "3.11"})
    write_document(folder / "floor.json", {"runs_per_s": 100.0})
    phases.write(
        folder, [Phase("warm-up", START, START + SECOND // 2), Phase("steady", START + SECOND // 2, START + SECOND)]
    )
    runs = ["run_id,shard,workflow,version,endpoint,delivery_key,status,epoch,finished_us"]
    events = ["run_id,seq,row_seq,epoch,claimed_us,at_us,type,event"]
    with (
        LineWriter(folder / "sent" / "0.attempts.ndjson") as attempts,
        LineWriter(folder / "sent" / "0.outcomes.ndjson") as outcomes,
    ):
        for n in range(10):
            at = START + n * SECOND // 10
            run_id = f"01900000-0000-7000-8000-{n:012d}"
            attempts.add_json(
                {"n": n, "d": f"t-{n}", "k": "first", "s": "simple", "i": n, "intended_us": at, "hash": ""}
            )
            outcomes.add_json({"n": n, "outcome": "ok", "duplicate": False, "run_id": run_id, "reply_us": at + 2_000})
            runs.append(f"{run_id},0,t-simple,1,t-simple,t-{n},completed,1,{at + 10_000}")
            events.append(f'{run_id},1,1,0,,{at + 1_000},run.accepted,"{{}}"')
            events.append(f'{run_id},2,2,1,{at + 6_000},{at + 10_000},run.completed,"{{}}"')
    (folder / "stored").mkdir()
    (folder / "stored" / "runs.csv").write_text("\n".join(runs) + "\n")
    (folder / "stored" / "events.csv").write_text("\n".join(events) + "\n")
    with LineWriter(folder / "samples" / "observe.ndjson") as observe:
        for second in (0.5, 0.7, 0.99):
            roles = {
                role: {"cpu_s": second, "rss_bytes": int(second * 100), "processes": 1}
                for role in ("api", "worker", "postgres", "generator", "suite")
            }
            database = {"wal_bytes": second * 1_000, "transactions": second * 100, "own_transactions": second * 20}
            observe.add_json({"at_us": START + int(second * SECOND), "roles": roles, "database": database})


def test_every_key_is_documented_and_nothing_else_is() -> None:
    documented = [
        name
        for row in re.findall(r"^\| (`.*?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(documented) == sorted(KEYS)


def test_figures_are_those_of_the_steady_phase(tmp_path: Path) -> None:
    write_evidence(tmp_path)
    summary = summarise(tmp_path, Judged())
    assert list(read_document(tmp_path / "summary.json")) == list(KEYS)
    assert summary["accepted_per_s"] == summary["completed_per_s"] == 10.0
    assert summary["accept_ms"] == {"p50": 2.0, "p90": 2.0, "p99": 2.0, "p99_9": 2.0, "max": 2.0}
    assert summary["queue_ms"]["p50"] == 5.0
    assert summary["end_to_end_ms"]["max"] == 10.0
    assert summary["floor_ratio"] == 0.1
    # Between the first look and the last one within the phase, 0.49 s, five runs were finished.
    assert summary["cpu_ms_per_run"] == pytest.approx(3 * 490 / 5)
    assert summary["wal_bytes_per_run"] == pytest.approx(490 / 5)
    assert summary["transactions_per_run"] == pytest.approx(0.49 * 80 / 5)
    assert summary["rss_bytes_max"]["api"] == 99
    assert summary["lost"] == 3


def test_without_a_stored_ledger_there_are_no_figures_and_no_error(tmp_path: Path) -> None:
    write_document(tmp_path / "plan.json", {"profile": "load", "scenario": "simple", "seed": 1, "settings": {}})
    summary = summarise(tmp_path, Judged("unknown", valid=False))
    assert summary["completed_per_s"] is None
    assert summary["floor_ratio"] is None
    assert set(read_document(tmp_path / "summary.json")) == set(KEYS)


def test_a_level_has_figures_of_its_own(tmp_path: Path) -> None:
    write_evidence(tmp_path)
    phases.write(
        tmp_path,
        [
            Phase("steady", START, START + SECOND // 2, level=5),
            Phase("steady", START + SECOND // 2, START + SECOND, level=50),
        ],
    )
    summarise(tmp_path, Judged())
    levels = read_document(tmp_path / "levels.json")
    assert [level["in_flight"] for level in levels] == [5, 50]
    assert levels[1]["accept_ms"]["p50"] == 2.0


def test_no_evidence_opens_as_none(tmp_path: Path) -> None:
    with open_evidence(tmp_path) as evidence:
        assert evidence is None
