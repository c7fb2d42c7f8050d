"""What is left of a test, as far as it is told on: its summary and its verdicts (docs/concurrency/summary.md, evidence.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from meshhook.lab.told import Word

T = TypeVar("T")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, rates and latencies of the steady phase; null where they could not be told."""

    attempted: int | None
    acknowledged: int | None
    refused: int | None
    unknown: int | None
    runs: int | None
    lost: int | None
    duplicated: int | None
    wrong: int | None
    stuck: int | None
    accepted_per_s: float | None
    completed_per_s: float | None
    accept_ms: dict[str, float] | None
    queue_ms: dict[str, float] | None
    end_to_end_ms: dict[str, float] | None
    cpu_ms_per_run: float | None
    wal_bytes_per_run: float | None
    transactions_per_run: float | None


class Counterexample(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that breaks an invariant, and what each ledger says of it, a line each."""

    why: str
    endpoint: str | None = None
    delivery: str | None = None
    run_id: str | None = None
    sent: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    journal: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    leases: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    samples: list[dict[str, Any]] = []


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one invariant. ``of_what`` is what ``checked`` counts; ``plans`` where the test had nothing of the kind."""

    name: str
    family: str
    says: str
    verdict: Word
    checked: int
    count: int
    sentence: str
    of_what: str = ""
    examples: list[Counterexample] = []


class _Verdicts(msgspec.Struct, frozen=True):
    results: list[Invariant]


def summary(evidence: Path) -> Summary | None:
    """The figures of a test; none where there are none."""
    return _read(evidence / "summary.json", Summary)


def invariants(evidence: Path) -> list[Invariant]:
    """What became of each invariant; none before they were judged."""
    found = _read(evidence / "verdicts.json", _Verdicts)
    return [] if found is None else found.results


def _read(path: Path, type: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type)
    except (OSError, msgspec.MsgspecError):
        return None
