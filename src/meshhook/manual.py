"""Runs started by hand: over the API or on the command line, for any workflow that is published, with an endpoint or without.

What such a run sees: ``trigger`` is ``{"key": …, "body": …}``, and so ``input`` is what it was started with.
"""

from __future__ import annotations

import hashlib
import time
from datetime import timedelta
from typing import Final

import msgspec

from meshhook.accept import Accepted
from meshhook.catalog import unknown_workflow
from meshhook.delivery import BODY_DEPTH_MAX
from meshhook.errors import Refusal
from meshhook.ids import any_shard, make_run_id, shard_for_key
from meshhook.jsontext import deeper_than
from meshhook.naming import is_name
from meshhook.store import NotNew, RunStart, Store

NO_ENDPOINT: Final = 0
"""Where the keys of runs live that no endpoint has begun."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


async def start(
    store: Store, project_id: int, workflow: str, body: bytes, key: str | None, *, keep: timedelta
) -> Accepted:
    """Start one run of the published version of a workflow; returns after its commit.

    Args:
        body: the input, as JSON; nothing is ``null``. key: starts it once, however often this is called within ``keep``.

    Raises:
        Refusal: nothing was stored. Unavailable: nothing was stored. OutcomeUnknown: it may have been stored.
    """
    if not is_name(workflow):
        raise unknown_workflow(workflow)
    body = _checked(body)
    scope = f"manual/{project_id}/{workflow}"
    shards = await store.shards()
    shard = any_shard(shards) if key is None else shard_for_key(NO_ENDPOINT, f"{scope}/{key}", shards)
    made = RunStart(
        run_id=make_run_id(shard, time.time_ns() // 1_000_000),
        project_id=project_id,
        workflow=workflow,
        version_id=None,
        scope=scope,
        key=key,
        body_hash=hashlib.sha256(body).digest(),
        trigger=f'{{"key":{_encode(key).decode()},"body":{body.decode()}}}',
        members='{"source":"manual"}',
    )
    (answer,) = await store.start_runs(shard, [made], keep)
    return _accepted(made, answer)


def _checked(body: bytes) -> bytes:
    """The input as it came, so that no digit of it is lost.

    Raises:
        Refusal: 400 ``invalid-json``.
    """
    body = body.strip() or b"null"
    try:
        _decode(body)
        if deeper_than(body, BODY_DEPTH_MAX):
            raise RecursionError
        return body
    except RecursionError:
        reason = f"it is nested deeper than {BODY_DEPTH_MAX} levels"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = str(error)
    raise Refusal(
        400, "invalid-json", "The input is no JSON", f"The input is no valid JSON: {reason}. No run was started."
    )


def _accepted(made: RunStart, answer: NotNew | None) -> Accepted:
    match answer:
        case None:
            return Accepted(made.run_id, duplicate=False)
        case NotNew("duplicate", str(first)):
            return Accepted(first, duplicate=True)
        case NotNew("key-reused", first):
            raise Refusal(
                422,
                "key-reused",
                "The key was used with another input",
                f"The run {first} was started with the same key and another input. Use a new key for new input.",
                extra={"run_id": first},
            )
        case NotNew("unpublished"):
            raise Refusal(
                409,
                "not-published",
                "The workflow is not published",
                f"{made.workflow!r} has no published version: it was never published, or it was deleted. Publish or restore "
                "it, then start it again.",
            )
        case _:
            raise unknown_workflow(made.workflow)
