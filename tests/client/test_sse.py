"""Server-sent events out of bytes that come in any pieces."""

from __future__ import annotations

import pytest

from meshhook.client.operation import Event
from meshhook.client.sse import Parser

STREAM = (
    ": hello\nretry: 1500\nid: 1.0.0\n\n"
    'id: 1.0.1\ndata: {"text": "line\u2028separator \x85"}\n\n'
    'event: lagged\r\nid: 1.0.2\r\ndata: {"detail":\r\ndata: "slow"}\r\n\r\n'
    ":\nid: 1.0.9\n\n"
    "data: [1]\rid: 1.1.0\r\r"
    "data: {}\n"
).encode()

EVENTS = [
    Event(id="1.0.1", name="", data={"text": "line\u2028separator \x85"}),
    Event(id="1.0.2", name="lagged", data={"detail": "slow"}),
    Event(id="1.1.0", name="", data={"value": [1]}),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_whole_however_the_bytes_come(size: int) -> None:
    parser = Parser()
    found = [event for at in range(0, len(STREAM), size) for event in parser.feed(STREAM[at : at + size])]
    assert found == EVENTS
    assert (parser.last_id, parser.retry_s) == ("1.1.0", 1.5)


def test_an_id_without_an_event_is_one_to_resume_behind() -> None:
    parser = Parser("5")
    assert parser.feed(b":\nid: 7\n") == []
    assert parser.last_id == "5"  # the block is not over: what came before it may still be lost
    assert parser.feed(b"\n") == []
    assert parser.last_id == "7"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    parser = Parser()
    parser.feed(b"data: " + b"x" * (16 * 1024 * 1024 - 6))
    with pytest.raises(ValueError, match="longer than any event"):
        parser.feed(b"x")


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        Parser().feed(b"data: {\n\n")
