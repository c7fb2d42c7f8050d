"""What k6 has written of a run (`k6 run --out json=FILE`), as ledgers of the suite.

The script in deploy/k6 sends the requests of a plan, and for each of them makes one point of the metric `meshproof_attempt` before
the request leaves and one of `meshproof_outcome` after its reply. What there is to know of it is in the metadata of the point
(which k6 keeps out of its time series), or in its tags. The format of the file is that of
https://grafana.com/docs/k6/latest/results-output/real-time/json: a line is
`{"type", "metric", "data": {"time", "value", "tags", "metadata"}}`.

k6 hands its points over in batches. When it is killed, some attempts are on no record though they were sent; the point
`meshproof_ended`, made in `teardown`, says that this did not happen. Without it every attempt of the plan counts as one whose fate
is unknown, and the generator certifies nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from meshproof.load.outcome import verdict_of

ATTEMPT: Final = "meshproof_attempt"
OUTCOME: Final = "meshproof_outcome"
ENDED: Final = "meshproof_ended"
DROPPED: Final = "dropped_iterations"


class K6Error(ValueError):
    """The file is no output of k6 that can be judged; the message says why and what to do."""


@dataclass
class K6Run:
    """What a file says."""

    attempts: dict[int, int] = field(default_factory=dict)
    """By number: when k6 meant to send it, in microseconds."""
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By number: a line for the ledger of outcomes."""
    dropped: int = 0
    """Iterations k6 could not begin in time."""
    ended: bool = False


class _Data(msgspec.Struct):
    value: float = 0.0
    tags: dict[str, str] | None = None
    metadata: dict[str, str] | None = None


class _Line(msgspec.Struct):
    type: str
    metric: str
    data: _Data


def is_k6(file: Path) -> bool:
    """Whether a file looks like output of k6."""
    try:
        with _open(file) as lines:
            return _decode(next(iter(lines))).type in ("Metric", "Point")
    except (OSError, StopIteration, msgspec.MsgspecError):
        return False


def read(file: Path, namespace: str) -> K6Run:
    """Read a file. Raises K6Error when it holds no attempts, or those of another run."""
    with _open(file) as lines:
        run = of_lines(lines, namespace)
    if not run.attempts:
        raise K6Error(
            f"{file} holds no point of {ATTEMPT}. Was k6 run with deploy/k6/meshhook.ts and --out json={file.name}?"
        )
    return run


def of_lines(lines: Iterable[bytes], namespace: str) -> K6Run:
    """What the lines of a file say. Raises K6Error."""
    run = K6Run()
    for line in lines:
        if not line.endswith(b"\n"):
            # Cut off: its writer died.
            break
        try:
            point = _decode(line)
        except msgspec.MsgspecError as error:
            raise K6Error(f"This is no line that k6 writes: {line[:200]!r} ({error}).") from error
        if point.type == "Point":
            _note(run, point, namespace)
    return run


def _note(run: K6Run, point: _Line, namespace: str) -> None:
    tags = {**(point.data.tags or {}), **(point.data.metadata or {})}
    match point.metric:
        case _ if point.metric == ATTEMPT:
            if not tags["d"].startswith(f"{namespace}-"):
                raise K6Error(f"The delivery {tags['d']} is of another run than {namespace}. Which plan did k6 play?")
            run.attempts[int(tags["n"])] = int(tags["intended_us"])
        case _ if point.metric == OUTCOME:
            run.outcomes[int(tags["n"])] = _outcome(tags)
        case _ if point.metric == ENDED:
            run.ended = True
        case _ if point.metric == DROPPED:
            run.dropped += round(point.data.value)


def _outcome(tags: dict[str, str]) -> dict[str, Any]:
    """The line of the ledger. What an exchange means is decided here, by the one rule there is, and not in the script."""
    status = int(tags.get("http", "0")) or None
    verdict = verdict_of(status, tags.get("problem") or None, sent=tags.get("refused") != "true")
    ok = verdict == "ok"
    return {
        "n": int(tags["n"]),
        "d": tags["d"],
        "outcome": verdict,
        "status": status,
        "problem": tags.get("problem") or None,
        "run_id": (tags.get("run_id") or None) if ok else None,
        "duplicate": tags["duplicate"] == "true" if ok and "duplicate" in tags else None,
        "error": tags.get("error") or None,
        "sent_us": int(tags["sent_us"]),
        "reply_us": int(tags["reply_us"]),
    }


def certificate(run: K6Run) -> dict[str, Any]:
    """What k6 certifies of itself: that it began every iteration in time. It knows of no lag, and not what it used."""
    answered = [line["outcome"] for line in run.outcomes.values()]
    return {
        "process": "k6",
        "scheduling": "k6",
        "lag_ms": None,
        "cpu_share": None,
        "unsent": run.dropped,
        "steps": None,
        "ended": run.ended,
        "tally": {"sent": len(run.attempts), **{name: answered.count(name) for name in ("ok", "fail", "unknown")}},
    }


def _open(file: Path) -> Any:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")


def ledger_attempts(run: K6Run, planned: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of the ledger of attempts; `planned` are those of the plan, without a time. Raises K6Error for any other."""
    left = dict(run.attempts)
    latest_us = max(left.values())
    for line in planned:
        intended_us = left.pop(line["n"], None)
        if intended_us is not None or not run.ended:
            yield line | {"intended_us": latest_us if intended_us is None else intended_us}
    if left:
        raise K6Error(f"Attempt {min(left)} is not in the plan. Which plan did k6 play?")


_decode = msgspec.json.Decoder(_Line).decode
