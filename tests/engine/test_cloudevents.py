"""CloudEvents: the same event whatever the mode, every fault told, nothing that comes breaks it."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.cloudevents import CloudEvent, from_batch, from_body, from_headers, mode_of
from meshhook.errors import Refusal

REQUIRED = {"specversion": "1.0", "id": "A-1", "source": "/shop", "type": "order.made"}


def structured(**members: Any) -> CloudEvent:
    return from_body(json.dumps({**REQUIRED, **members}).encode())


def binary(body: bytes = b"", content_type: str = "", **attributes: str) -> CloudEvent:
    headers = [(f"ce-{name}", value) for name, value in {**REQUIRED, **attributes}.items()]
    event = from_headers([("host", "x"), *headers], content_type, body)
    assert event is not None
    return event


def fault(refusal: Refusal) -> tuple[Any, Any]:
    (found,) = refusal.extra["errors"]  # type: ignore[misc]
    return found["path"], found["code"]


@pytest.mark.parametrize(
    ("content_type", "mode"),
    [
        ("application/cloudevents+json", "structured"),
        ("Application/CloudEvents+JSON; charset=utf-8", "structured"),
        ("application/cloudevents-batch+json", "batch"),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON;charset=UTF-8", "batch"),
        ("application/json", "binary"),
        ("", "binary"),
    ],
)
def test_the_content_type_tells_the_mode(content_type: str, mode: str) -> None:
    assert mode_of(content_type) == mode


@pytest.mark.parametrize("content_type", ["application/cloudevents+avro", "application/cloudevents-batch+xml"])
def test_other_formats_are_refused(content_type: str) -> None:
    with pytest.raises(Refusal) as caught:
        mode_of(content_type)
    assert (caught.value.status, caught.value.problem) == (415, "unsupported-event-format")


def test_one_event_in_three_modes() -> None:
    data = {"n": 12345678901234567890123, "text": "é"}
    text = json.dumps(data, ensure_ascii=False)
    in_headers = binary(text.encode(), "application/json", subject="caf%C3%A9 100%25", time="2026-01-31T12:00:00.5Z")
    event = (
        f'{{"specversion":"1.0","id":"A-1","source":"/shop","type":"order.made","datacontenttype":"application/json",\
"subject":"café 100%","time":"2026-01-31T12:00:00.5Z","data":{text}}}'
    )
    in_body = from_body(event.encode())
    (in_batch,) = from_batch(f"[{event}]".encode(), 10)
    assert in_headers == in_body == in_batch
    assert in_body.data == text  # to the last digit
    assert in_body.key == "/shop A-1"


@pytest.mark.parametrize(
    ("header", "attribute"),
    [
        ("plain", "plain"),
        ("a%20b", "a b"),
        ("%2525", "%25"),
        ('"quoted \\"x\\" %41"', 'quoted "x" A'),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("50%", "50%"),
    ],
)
def test_headers_are_decoded_once(header: str, attribute: str) -> None:
    assert binary(subject=header).attributes["subject"] == attribute


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"]), min_size=1))
def test_whatever_is_percent_encoded_comes_back(text: str) -> None:
    assert binary(subject=quote(text, safe="")).attributes["subject"] == text


@pytest.mark.parametrize(
    ("members", "content_type", "data"),
    [
        ({"data": "plain"}, "text/plain", "plain"),
        ({"data_base64": base64.b64encode(b'{"a":1}').decode()}, "application/json", {"a": 1}),
        ({"data_base64": base64.b64encode(b"\xff\x00").decode()}, "application/octet-stream", {"base64": "/wA="}),
        ({"data_base64": base64.b64encode("é".encode("latin-1")).decode()}, "text/plain; charset=latin-1", "é"),
        ({"data": "a=1&a=2"}, "application/x-www-form-urlencoded", {"a": ["1", "2"]}),
        ({"data": None}, "application/json", None),
        ({}, "application/json", None),
        ({"data": "a string"}, "application/json", "a string"),
    ],
)
def test_data_of_every_kind(members: dict[str, Any], content_type: str, data: Any) -> None:
    assert json.loads(structured(datacontenttype=content_type, **members).data) == data


@pytest.mark.parametrize(
    ("members", "path", "code"),
    [
        ({"id": None}, "$.id", "missing"),
        ({"id": ""}, "$.id", "wrong-value"),
        ({"id": 1}, "$.id", "wrong-value"),
        ({"id": "a\0b"}, "$.id", "wrong-value"),
        ({"specversion": "0.3"}, "$.specversion", "wrong-value"),
        ({"source": "two words"}, "$.source", "wrong-value"),
        ({"dataschema": "relative"}, "$.dataschema", "wrong-value"),
        ({"time": "yesterday"}, "$.time", "wrong-value"),
        ({"time": "2026-02-30T00:00:00Z"}, "$.time", "wrong-value"),
        ({"Upper": "x"}, "$.Upper", "wrong-value"),
        ({"ext": {"a": 1}}, "$.ext", "wrong-value"),
        ({"ext": 1.5}, "$.ext", "wrong-value"),
        ({"ext": 2**31}, "$.ext", "wrong-value"),
        ({"data": 1, "data_base64": ""}, "$.data_base64", "duplicate"),
        ({"data_base64": "no base64!"}, "$.data_base64", "wrong-value"),
        ({f"x{number}": 1 for number in range(100)}, "$", "too-large"),
    ],
)
def test_a_fault_says_where_and_what(members: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        structured(**members)
    assert caught.value.status == 400
    assert fault(caught.value) == (path, code)


def test_a_fault_in_a_header_names_the_header() -> None:
    with pytest.raises(Refusal) as caught:
        binary(id="%FF")
    assert fault(caught.value) == ("ce-id", "wrong-value")
    with pytest.raises(Refusal) as caught:
        from_headers([("ce-specversion", "1.0"), ("ce-id", "a"), ("ce-id", "b")], "", b"")
    assert fault(caught.value) == ("ce-id", "duplicate")


def test_without_its_headers_a_request_is_no_event() -> None:
    assert from_headers([("content-type", "application/json"), ("ce-id", "x")], "application/json", b"{}") is None


def test_each_event_of_a_batch_is_judged_on_its_own() -> None:
    good = json.dumps(REQUIRED)
    first, second, third = from_batch(f'[{good},{{"id":"x"}},7]'.encode(), 3)
    assert isinstance(first, CloudEvent)
    assert isinstance(second, Refusal)
    assert isinstance(third, Refusal)
    assert fault(second) == ("$[1].specversion", "missing")
    assert fault(third) == ("$[2]", "wrong-value")


@pytest.mark.parametrize(("body", "problem"), [(b"{}", "invalid-event"), (b"[", "invalid-json"), (b"", "invalid-json")])
def test_a_batch_that_is_no_array_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(Refusal) as caught:
        from_batch(body, 10)
    assert caught.value.problem == problem


def test_a_batch_is_bounded() -> None:
    with pytest.raises(Refusal) as caught:
        from_batch(b"[1,2,3]", 2)
    assert (caught.value.status, caught.value.problem) == (413, "batch-too-large")


references = st.text(
    st.characters(codec="utf-8", exclude_characters=' <>"{}|\\^`', exclude_categories=["C", "Z"]), min_size=1
)
ids = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)


@given(references, ids, references, ids)
def test_a_key_stands_for_source_and_id(source: str, id: str, other_source: str, other_id: str) -> None:
    one, other = structured(source=source, id=id), structured(source=other_source, id=other_id)
    assert (one.key == other.key) == ((source, id) == (other_source, other_id))
    assert len(one.key) <= 255


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
members = st.dictionaries(
    st.sampled_from([*REQUIRED, "data", "data_base64", "time", "ext", "datacontenttype"]), json_values
)


@given(
    st.one_of(
        st.binary(max_size=60),
        json_values.map(lambda value: json.dumps(value).encode()),
        members.map(lambda given: json.dumps(REQUIRED | given).encode()),
        members.map(lambda given: json.dumps([REQUIRED | given, given]).encode()),
    )
)
def test_whatever_comes_is_events_or_refused(body: bytes) -> None:
    for read in (lambda: [from_body(body)], lambda: from_batch(body, 10)):
        try:
            events = read()
        except Refusal as refusal:
            assert refusal.status == 400  # noqa: PT017 - either way out is right
        else:
            for event in events:
                if isinstance(event, CloudEvent):
                    json.loads(event.data)
                    assert event.key.isascii()
                    assert event.content


@given(
    st.dictionaries(st.sampled_from([*REQUIRED, "time", "ext", "data"]), st.text(max_size=12)), st.binary(max_size=20)
)
def test_whatever_headers_come_are_an_event_or_refused(given: dict[str, str], body: bytes) -> None:
    headers = [(f"ce-{name}", value) for name, value in ({"specversion": "1.0"} | given).items()]
    try:
        from_headers(headers, "text/plain", body)
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017 - either way out is right
