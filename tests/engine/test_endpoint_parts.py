"""Settings of endpoints beside signatures: what is refused, and where it says the fault is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import endpoint_config
from meshhook.errors import EndpointConfigError


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({"schema": {"properties": {"a": {"type": "text"}}}}, "$.schema.properties.a.type", "wrong-value"),
        ({"schema": {"$ref": "https://example.com/x"}}, "$.schema.$ref", "remote-reference"),
        ({"rate_limit": {}}, "$.rate_limit", "missing"),
        ({"rate_limit": {"quota": 0}}, "$.rate_limit.quota", "wrong-value"),
        ({"allow_ips": ["10.0.0.0/8", "10.0.0.0/99"]}, "$.allow_ips[1]", "wrong-value"),
        ({"allow_ips": ["10.0.0.1"] * 1_001}, "$", "too-large"),
        ({"handshake": {"origins": []}}, "$.handshake.origins", "wrong-value"),
        ({"cloudevents": {"batches": True}}, "$.cloudevents", "unknown-field"),
        ({"mode": "later"}, "$.mode", "wrong-value"),
        ({"mode": "sync", "wait_s": 31}, "$.wait_s", "wrong-value"),
        ({"receipts": {"key": "two words"}}, "$.receipts.key", "wrong-value"),
    ],
)
def test_a_fault_says_where_it_is(config: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(EndpointConfigError) as caught:
        endpoint_config.parse(json.dumps(config))
    assert (caught.value.faults[0].path, caught.value.faults[0].code) == (path, code)


def test_nothing_asked_for_is_nothing_to_do() -> None:
    assert endpoint_config.stored("{}") is None
    assert endpoint_config.stored('{"mode":"async"}') is None
    assert endpoint_config.stored('{"key_required":true}') is not None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("10.0.0.0/8"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["quota", "key", "origins", "type"]), inner)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    ["schema", "cloudevents", "rate_limit", "allow_ips", "handshake", "mode", "wait_s", "receipts", "x"]
)


@given(st.dictionaries(names, values, max_size=3))
def test_whatever_comes_is_settings_or_refused(config: dict[str, Any]) -> None:
    try:
        endpoint_config.parse(json.dumps(config))
    except EndpointConfigError as error:
        assert error.faults  # noqa: PT017 - either way out is right
        assert all(fault.path.startswith("$") and fault.message for fault in error.faults)  # noqa: PT017
