"""What the door answers: to one delivery, and to a batch item by item."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import structlog

from meshhook.accept import Accepted
from meshhook.answers import Outcome
from meshhook.api import problems
from meshhook.api.gate import Batch, Parcel
from meshhook.errors import Refusal

JSON: Final = [("content-type", "application/json")]
_TEXT: Final = [("content-type", "text/plain; charset=utf-8")]
_RUN_ID: Final = "meshhook-run-id"
_BODILESS: Final = (204, 205, 304)
_UNTOLD: Final = 500
_log = structlog.get_logger("meshhook.hooks")


class Answer(NamedTuple):
    """One response. ``stored``: something was accepted, or had been before. ``waited_s``: how long for the run after that."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    stored: bool = True
    waited_s: float = 0.0

    def having(self, headers: Sequence[tuple[str, str]]) -> Answer:
        """The same with further header fields."""
        return self._replace(headers=[*self.headers, *headers])


class Taker(Protocol):
    """Stores deliveries: each in a run of its own (``Acceptor``), or gathered."""

    async def accept(
        self, endpoint_id: int, key: str | None, body: bytes, trigger: str, *, sync: bool = False
    ) -> Accepted:
        """Store one delivery; returns after its commit."""


Stamp = Callable[[Accepted, str | None], str]
"""Makes the receipt of a delivery that was accepted, or of one event of a batch, by its key."""


def told(accepted: Accepted, receipt: str | None = None) -> bytes:
    """What is told of a delivery that was accepted."""
    run_id, duplicate, gathered = accepted
    signed = "" if receipt is None else f',"receipt":"{receipt}"'
    if gathered:
        signed = ',"gathered":true' + signed
    return (
        f'{{"run_id":"{run_id}","status_url":"/api/v1/runs/{run_id}",'
        f'"duplicate":{"true" if duplicate else "false"}{signed}}}'
    ).encode()


def replied(run_id: str, outcome: Outcome, path: str) -> Answer:
    """What a run answers to the caller who waited for it."""
    match outcome.type:
        case "run.responded":
            headers, body = _written(outcome)
            return Answer(outcome.status, [*headers, (_RUN_ID, run_id)], body)
        case "run.completed":
            return Answer(HTTPStatus.OK, [*JSON, (_RUN_ID, run_id)], bytes(outcome.output))
        case _:
            failed = Refusal(
                502,
                "run-failed",
                "The run has failed",
                "The delivery was stored, and its run ended without an answer. Its owner sees why. Sending it again with the "
                "same key answers the same.",
                extra={"run_id": run_id, "status_url": f"/api/v1/runs/{run_id}"},
            )
            headers = [("content-type", problems.CONTENT_TYPE), (_RUN_ID, run_id)]
            return Answer(HTTPStatus.BAD_GATEWAY, headers, problems.document(failed, path))


def _written(outcome: Outcome) -> tuple[list[tuple[str, str]], bytes]:
    """Text is sent as text, anything else as JSON, unless the run said what it is."""
    headers = list(outcome.headers.items())
    if outcome.status in _BODILESS:
        return headers, b""
    is_text = isinstance(outcome.body, str)
    if "content-type" not in outcome.headers:
        headers += _TEXT if is_text else JSON
    return headers, outcome.body.encode() if is_text else msgspec.json.encode(outcome.body)


async def accept_batch(taker: Taker, endpoint_id: int, batch: Batch, path: str, stamp: Stamp | None = None) -> Answer:
    """Accept each event of a batch on its own; one commit takes them all when they come to one shard.

    Answers 202 when all are stored. 207 when some are refused for good: each item says what became of it. When every item is
    refused for the same reason, that is the answer. When some may be stored later, 504: sending all of it again is right then,
    for what is stored is known by its source and id.

    Raises:
        Refusal: as said.
    """
    outcomes = await asyncio.gather(*(_accept(taker, endpoint_id, item) for item in batch.items))
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    items = [_item(outcome, item, path, stamp) for outcome, item in zip(outcomes, batch.items, strict=True)]
    if not refused:
        return Answer(HTTPStatus.ACCEPTED, JSON, msgspec.json.encode({"items": items}))
    if len(refused) == len(outcomes) and len({refusal.problem for refusal in refused}) == 1:
        first = refused[0]
        raise replace(first, extra={**first.extra, "items": items})
    if any(refusal.status >= _UNTOLD for refusal in refused):
        raise Refusal(
            504,
            "batch-incomplete",
            "Not all of the batch could be stored",
            "Some events were stored, others not; `items` says which. Send the whole batch again: nothing can run twice.",
            headers={"retry-after": "1"},
            extra={"items": items},
        )
    return Answer(HTTPStatus.MULTI_STATUS, JSON, msgspec.json.encode({"items": items}))


async def _accept(taker: Taker, endpoint_id: int, item: Parcel | Refusal) -> Accepted | Refusal:
    if isinstance(item, Refusal):
        return item
    try:
        return await taker.accept(endpoint_id, item.key, item.content, item.trigger)
    except Exception as error:  # noqa: BLE001 whatever befalls one event is told of it, and its neighbours go on
        refusal = problems.as_refusal(error)
        if refusal.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("an event of a batch failed", endpoint=endpoint_id, exc_info=error)
        return refusal


def _item(
    outcome: Accepted | Refusal, item: Parcel | Refusal, path: str, stamp: Stamp | None
) -> dict[str, Any] | msgspec.Raw:
    if isinstance(outcome, Refusal):
        return msgspec.Raw(problems.document(outcome, path))
    receipt = stamp(outcome, item.key) if stamp is not None and isinstance(item, Parcel) else None
    return {"status": HTTPStatus.ACCEPTED, **msgspec.json.decode(told(outcome, receipt))}
