"""A plan as others get it: from its document, and as requests to send."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshproof import scenarios
from meshproof.ledger import LineWriter
from meshproof.load.shape import Piece
from meshproof.plan import Plan


class PlanError(ValueError):
    """The document is no plan that can be made again; the message says why."""


def plan_of(document: dict[str, Any]) -> Plan:
    """The plan a `plan.json` tells of: the same attempts, under the same namespace. Raises PlanError.

    The document has the digest of what it meant; whether the scenarios are still those is the judge's question, by each hash.
    """
    if document["levels"] or document["arrivals"] not in ("poisson", "constant"):
        raise PlanError(f"A plan of {document['arrivals']} arrivals is not played by other drivers.")
    return Plan(
        profile=document["profile"],
        scenario=document["scenario"],
        seed=document["seed"],
        namespace=document["namespace"],
        rate=document["rate"],
        warmup_s=document["warmup_s"],
        duration_s=document["duration_s"],
        arrivals=document["arrivals"],
        course=tuple(Piece(**piece) for piece in document.get("course") or ()),
    )


def write_requests(plan: Plan, file: Path) -> int:
    """Write every request for a driver that is no Python: a line `{"n", "at_us", "d", "path", "type", "body" | "body64"}`.

    `body64` is base64, of a body that is not UTF-8. Returns how many there are. Raises PlanError where requests are signed as they
    are sent.
    """
    if signed := [name for name in plan.members() if scenarios.load(name).headers is not None]:
        raise PlanError(f"Requests of {signed[0]} are signed as they are sent, so they cannot be written down before.")
    count = 0
    with LineWriter(file) as lines:
        for line in _requests(plan):
            lines.add_json(line)
            count += 1
    return count


def _requests(plan: Plan) -> Iterator[dict[str, Any]]:
    for attempt in plan.attempts():
        body = attempt.payload(plan.seed)
        yield {
            "n": attempt.n,
            "at_us": attempt.at_us,
            "d": plan.delivery_id(attempt),
            "path": f"/hooks/{plan.place(attempt.scenario)}",
            "type": scenarios.load(attempt.scenario).content_type,
            **_written(body),
        }


def _written(body: bytes) -> dict[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body64": b64encode(body).decode()}
    return {"body": text}
