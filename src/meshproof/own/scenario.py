"""A workflow of the user's own as a scenario: everything the suite does with one, but without a reference model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from meshproof.draw import Draw
from meshproof.own.adapt import SHORT_S, adapt
from meshproof.own.document import DEFAULT_PAYLOAD, OwnWorkflow, read
from meshproof.own.template import fill
from meshproof.scenarios import DRAIN_S, Expected, Scenario

TWICE: Final = 2
"""Each payload is sent in so many deliveries, so that their ends can be compared."""
REDELIVERED: Final = 0.05
ITEMS: Final = 10
"""So many items of a loop wait one after the other, as far as the bound on a run goes."""
DRAIN_S_MAX: Final = 300.0


class NoModelError(RuntimeError):
    """Nobody has said what must come of a body."""


def scenario_of(name: str, data: bytes) -> Scenario:
    """The scenario of a document. Raises DocumentError, or CannotTestError."""
    document = read(data)
    adapted = adapt(document.definition, document.calls)

    def model(body: bytes) -> Expected:
        raise NoModelError(f"{document.workflow} has no reference model.")

    return Scenario(
        name=name,
        summary=f"The workflow {document.workflow}, as it is.",
        definition=adapted.definition,
        payload=payloads(name, document),
        model=model,
        content_type="application/json",
        redelivered=REDELIVERED,
        conflicted=0.0,
        blend={name: 1},
        drain_s=min(DRAIN_S_MAX, DRAIN_S + ITEMS * SHORT_S * adapted.waits),
        lane=None,
        slots=0,
        signals=None,
        project="default",
        backlog=None,
        modelled=False,
        adapted=adapted.changes,
        varies=adapted.varies,
    )


def payloads(name: str, document: OwnWorkflow) -> Any:
    """The function from seed and index to a body."""
    if document.is_sample:
        body = msgspec.json.encode(document.payload)
        return lambda seed, index: body
    template = DEFAULT_PAYLOAD if document.template is msgspec.UNSET else document.template

    @lru_cache(maxsize=1_000)
    def payload(seed: int, index: int) -> bytes:
        number = index // TWICE
        return msgspec.json.encode(fill(template, Draw(seed, "own", name, number), number))

    return payload
