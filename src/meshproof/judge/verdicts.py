"""What the judge says: frozen values, and their form in `verdicts.json`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    """`PASS` and `FAIL` are proofs. `INVALID`: the run itself was no fair test. `UNKNOWN`: something could not be judged."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INVALID = "invalid"
    UNKNOWN = "unknown"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """What is to be said of all of them together: a violation outweighs everything, and nothing is outweighed by a pass."""
    return min(verdicts, key=[Verdict.FAIL, Verdict.INVALID, Verdict.UNKNOWN, Verdict.PASS].index)


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """One counterexample, with what every ledger says of it. Lists are capped; texts are cut, and say so."""

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
    """What the sink has received of its calls."""
    samples: list[dict[str, Any]] = []


class Result(msgspec.Struct, frozen=True):
    """What became of one invariant."""

    name: str
    family: str
    says: str
    """The invariant itself, as a sentence that is true of a sound engine."""
    verdict: Verdict
    checked: int
    """How many things it was held against; nothing checked is nothing proved."""
    count: int
    """How many of them break it."""
    sentence: str
    """What was found, for people."""
    examples: list[Example] = []
    of_what: str = ""
    """What `checked` counts."""


class Counts(msgspec.Struct, frozen=True):
    """The sums of the run. The first four count attempts; `None` where it could not be judged."""

    attempted: int | None
    acknowledged: int | None
    refused: int | None
    unknown: int | None
    deliveries: int | None
    runs: int | None
    recovered: int | None
    """Runs of deliveries whose sender never learned what became of them: allowed, and counted."""
    lost: int | None
    duplicated: int | None
    wrong: int | None
    stuck: int | None


class Verdicts(msgspec.Struct, frozen=True):
    """Everything the judge says of one run."""

    verdict: Verdict
    valid: bool
    reason: str
    """The verdict in one sentence."""
    counts: Counts
    results: list[Result]

    def of(self, name: str) -> Result:
        """The result of one invariant; raises KeyError."""
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    def to_json(self) -> bytes:
        """The bytes of `verdicts.json`: the same for the same evidence."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def read(data: bytes) -> Verdicts:
    """The verdicts in a `verdicts.json`; raises msgspec.MsgspecError."""
    return msgspec.json.decode(data, type=Verdicts)
