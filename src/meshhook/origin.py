"""Where a run came from: told by the members of its first event. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

OriginKind = Literal["webhook", "schedule", "manual", "workflow", "replay", "resumption", "test"]

_PAYLOAD: Final = ',"trigger":'
_KINDS: Final[Mapping[str, OriginKind]] = {
    "schedule": "schedule",
    "manual": "manual",
    "workflow": "workflow",
    "test": "test",
}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What began a run.

    ``run_id`` is the run that a replay or a resumption begins again, or the one whose ``sub_workflow`` started this one; ``step``
    the step it was resumed from, or that started it. Both are ``null`` where there is none.
    """

    kind: OriginKind
    run_id: UUID | None
    step: str | None


def origin_of(accepted: Mapping[str, Any]) -> Origin:
    """The origin in a ``run.accepted``."""
    match accepted:
        case {"resumes": {"run_id": run_id, "from": step}}:
            return Origin(kind="resumption", run_id=UUID(run_id), step=step)
        case {"replay_of": run_id}:
            return Origin(kind="replay", run_id=UUID(run_id), step=None)
        case {"parent": {"run_id": run_id, "node": step}}:
            return Origin(kind="workflow", run_id=UUID(run_id), step=step)
        case _:
            return Origin(kind=_KINDS.get(accepted.get("source", ""), "webhook"), run_id=None, step=None)


def origin_in(head: str) -> Origin | None:
    """The same from the beginning of a journal as text, cut anywhere; ``None`` when it was cut before the payload begins.

    What others wrote begins with the payload. Before it stand names, in which a quotation mark is escaped, so the mark is in none.
    """
    members, payload, _ = head.partition(_PAYLOAD)
    return origin_of(msgspec.json.decode(members.removeprefix("[") + "}")) if payload else None
