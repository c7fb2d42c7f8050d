"""What a batch is answered with when some of it could not be stored: never more promised than is true."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from meshhook.accept import Accepted, Acceptor
from meshhook.answers import Outcome
from meshhook.api.gate import Batch, Parcel
from meshhook.api.replies import accept_batch, replied
from meshhook.errors import OutcomeUnknown, Refusal, Unavailable

WRONG = Refusal(422, "invalid-payload", "No", "It does not fit.")


class Scripted:
    """Accepts, or fails, as the trigger of each parcel says."""

    async def accept(self, endpoint_id: int, key: str | None, content: bytes, trigger: str) -> Accepted:
        match trigger:
            case "lost":
                raise OutcomeUnknown("the connection broke")
            case "away":
                raise Unavailable("the database is away")
            case "broken":
                raise ZeroDivisionError
            case _:
                return Accepted(f"run-{trigger}", duplicate=False)


async def answer(*triggers: str | Refusal) -> tuple[int, list[Any]]:
    items = [item if isinstance(item, Refusal) else Parcel("k", b"", item) for item in triggers]
    try:
        said = await accept_batch(cast(Acceptor, Scripted()), 1, Batch(items), "/hooks/x")
    except Refusal as refusal:
        return refusal.status, [
            msgspec.json.decode(msgspec.json.encode(item)) for item in cast(list[Any], refusal.extra["items"])
        ]
    return said.status, msgspec.json.decode(said.body)["items"]


@pytest.mark.parametrize(
    ("triggers", "status", "statuses"),
    [
        (["a", "b"], 202, [202, 202]),
        ([], 202, []),
        (["a", WRONG], 207, [202, 422]),
        ([WRONG, WRONG], 422, [422, 422]),
        (["away", "away"], 503, [503, 503]),  # one reason for all, and it promises that nothing was stored
        (["a", "away"], 504, [202, 503]),  # to send all of it again is right, and only a 504 says so
        (["lost", "lost"], 504, [504, 504]),
        (["a", "lost", WRONG], 504, [202, 504, 422]),
        (["away", "lost"], 504, [503, 504]),
        (["a", "broken"], 504, [202, 500]),
        (["broken"], 500, [500]),
    ],
)
async def test_the_whole_says_no_more_than_is_true(triggers: list[Any], status: int, statuses: list[int]) -> None:
    found, items = await answer(*triggers)
    assert found == status
    assert [item["status"] for item in items] == statuses
    assert [item.get("run_id") for item in items if item["status"] == 202] == [
        f"run-{t}" for t in triggers if t in ("a", "b")
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status", "expected", "content_type"),
    [
        ("text", {}, 200, b"text", "text/plain; charset=utf-8"),
        ({"a": 1}, {}, 201, b'{"a":1}', "application/json"),
        (None, {}, 200, b"null", "application/json"),
        ("<a/>", {"content-type": "application/xml"}, 200, b"<a/>", "application/xml"),
        ("ignored", {}, 204, b"", None),
    ],
)
def test_what_a_run_said_is_sent_as_it_is(
    body: Any, headers: dict[str, str], status: int, expected: bytes, content_type: str | None
) -> None:
    said = replied("r", Outcome("run.responded", status, headers, body), "/hooks/x")
    assert (said.status, said.body, dict(said.headers).get("content-type")) == (status, expected, content_type)
    assert dict(said.headers)["meshhook-run-id"] == "r"
