"""The trace of a call: whose it is, and that the same attempt has the same span."""

from __future__ import annotations

import re

import pytest

from meshhook.tracing import trace_headers

RECEIVED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUN = "0192f0c1-0000-7000-8000-000000000001"


def test_the_trace_of_the_delivery_goes_on_with_a_span_for_each_attempt() -> None:
    first = trace_headers({"traceparent": RECEIVED, "tracestate": "a=1"}, RUN, "charge", 1)
    assert first["tracestate"] == "a=1"
    version, trace, span, flags = first["traceparent"].split("-")
    assert (version, trace, flags) == ("00", RECEIVED.split("-")[1], "01")
    spans = {
        trace_headers({"traceparent": RECEIVED}, RUN, step, attempt)["traceparent"]
        for step in ("charge", "each[3].charge")
        for attempt in (1, 2)
    }
    assert len(spans) == 4
    assert span not in RECEIVED
    assert first == trace_headers({"traceparent": RECEIVED, "tracestate": "a=1"}, RUN, "charge", 1)


@pytest.mark.parametrize(
    "received",
    [
        "", "nonsense", RECEIVED.upper(), RECEIVED + "-more", RECEIVED.replace("00-0af", "ff-0af"),
        "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
    ],
)  # fmt: skip
def test_without_a_valid_trace_there_is_one_of_the_run(received: str) -> None:
    headers = trace_headers({"traceparent": received, "tracestate": "a=1"}, RUN, "charge", 1)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert list(headers) == ["traceparent"]
    assert headers["traceparent"][:36] == trace_headers({}, RUN, "other", 7)["traceparent"][:36]


def test_a_version_of_the_future_is_read_as_far_as_it_is_known() -> None:
    headers = trace_headers({"traceparent": "cc" + RECEIVED[2:-2] + "03-what-comes-later"}, RUN, "charge", 1)
    assert headers["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert headers["traceparent"].endswith("-01")
