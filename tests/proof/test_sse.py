"""The parser of event streams: any cut of the bytes gives the same events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshproof.sse import Event, Parser

STREAM = (
    'retry: 700\n\n:\nid: 1.1.0\n\nid: 1.1.1\ndata: {"a":"é"}\n\n:\n\n'
    "event: lagged\nid: 1.1.1\ndata: {}\n\nid: 9\ndata: one\ndata: two\n\nid: 10\ndata: not ended\n"
).encode()
EVENTS = [Event("message", '{"a":"é"}', "1.1.1"), Event("lagged", "{}", "1.1.1"), Event("message", "one\ntwo", "9")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    parser, found, before = Parser(), [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        found += parser.feed(STREAM[before:cut])
        before = cut

    assert found == EVENTS
    assert (parser.retry_ms, parser.comments, parser.last_id) == (700, 2, "9")
