"""What a webhook becomes: its key, its trigger, and what is refused before anything is stored."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.delivery import BODY_DEPTH_MAX, dedupe_key, trigger_json
from meshhook.errors import Refusal
from meshhook.jsontext import deeper_than


def trigger(body: bytes, content_type: str = "application/json", query: str = "", headers: Any = ()) -> dict[str, Any]:
    return json.loads(trigger_json("POST", "/hooks/x", query, headers, content_type, body))


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a":[1,2.50,"\xc3\xa9"]}', {"a": [1, 2.5, "é"]}),
        ("Application/JSON; charset=utf-8", b" 7 ", 7),
        ("application/vnd.github+json", b"null", None),
        ("application/json", b"", None),
        ("application/x-www-form-urlencoded", b"a=1&b=2&a=%C3%A9&c=", {"a": ["1", "é"], "b": "2", "c": ""}),
        ("text/plain", "é".encode(), "é"),
        ("text/plain; charset=latin-1", "é".encode("latin-1"), "é"),
        ("text/plain", b"\xff\xfe", {"base64": "//4="}),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/octet-stream", b"\x00\x01", {"base64": "AAE="}),
        ("", b"hello", "hello"),
        ("", b"\xff", {"base64": "/w=="}),
        ("text/plain", b"nul \x00", "nul \x00"),
    ],
)
def test_any_body_becomes_data(content_type: str, body: bytes, expected: Any) -> None:
    assert trigger(body, content_type)["body"] == expected


def test_a_json_body_is_kept_to_the_letter() -> None:
    body = b'{"big": 12345678901234567890123, "exact": 0.1000000000000000055511151231257827}'
    assert body.decode() in trigger_json("POST", "/hooks/x", "", (), "application/json", body)


@pytest.mark.parametrize(
    "body",
    [b"{", b"{'a':1}", b"NaN", b"1e999", b"\xff", b'"\\ud800"', b"1 2", b"\xef\xbb\xbf1"]
    + [b"[" * depth + b"]" * depth for depth in (BODY_DEPTH_MAX + 1, 5_000)],
)
def test_json_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        trigger(body)
    assert (caught.value.status, caught.value.problem) == (400, "invalid-json")


def test_what_lets_somebody_in_is_never_kept() -> None:
    kept = trigger(b"", headers=[
        ("authorization", "Bearer x"), ("cookie", "c"), ("x-api-key", "k"), ("x-hub-signature-256", "s"), ("x-token", "t"),
        ("webhook-signature", "s"), ("x-shopify-hmac-sha256", "s"), ("proxy-authorization", "p"), ("content-length", "0"),
        ("idempotency-key", "i"), ("webhook-id", "w"), ("user-agent", "u"), ("x-github-event", "push"),
    ])["headers"]  # fmt: skip
    assert kept == {"idempotency-key": "i", "webhook-id": "w", "user-agent": "u", "x-github-event": "push"}


def test_the_query_is_data() -> None:
    assert trigger(b"", query="a=1&a=2&b=&c=%20")["query"] == {"a": ["1", "2"], "b": "", "c": " "}


@pytest.mark.parametrize(
    ("idempotency_key", "webhook_id", "expected"),
    [
        (None, None, None),
        ("plain-key", None, "plain-key"),
        ('"quoted key"', None, "quoted key"),
        ('"a \\"b\\" \\\\"', None, 'a "b" \\'),
        (None, "msg_1", "msg_1"),
        ("first", "second", "first"),
    ],
)
def test_the_key_of_a_delivery(idempotency_key: str | None, webhook_id: str | None, expected: str | None) -> None:
    assert dedupe_key(idempotency_key, webhook_id) == expected


@pytest.mark.parametrize("key", ["", '""', "two words", "x" * 256, "é", "a\x00b", "tab\t"])
def test_a_key_that_can_not_be_kept_is_refused(key: str) -> None:
    with pytest.raises(Refusal) as caught:
        dedupe_key(key, None)
    assert (caught.value.status, caught.value.problem) == (400, "invalid-key")


@given(
    st.binary(max_size=60), st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
)
def test_whatever_comes_is_stored_as_json_or_refused(body: bytes, content_type: str) -> None:
    try:
        text = trigger_json("POST", "/hooks/x", "", (), content_type, body)
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017 - either way out is right
    else:
        assert set(msgspec.json.decode(text)) == {"method", "path", "query", "headers", "content_type", "body"}


nested = st.recursive(
    st.none() | st.text('[]{}"\\', max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("[{", max_size=2), inner, max_size=2),
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(nested, st.integers(0, 6))
def test_depth_is_counted_outside_of_strings(value: Any, levels: int) -> None:
    assert deeper_than(json.dumps(value).encode(), levels) == (depth(value) > levels)


def test_base64_is_standard() -> None:
    assert trigger(b"\xfb\xff", "image/png")["body"] == {"base64": base64.b64encode(b"\xfb\xff").decode()}


@pytest.mark.parametrize("charset", ["undefined", "idna", "zip", "utf-7", "raw_unicode_escape", "utf-16", "nonsense"])
def test_no_charset_breaks_it(charset: str) -> None:
    assert trigger(b"+2AA-\xd8 \\ud800", f"text/plain; charset={charset}")["body"] is not None


def test_a_form_is_bounded() -> None:
    with pytest.raises(Refusal) as caught:
        trigger(b"a=1&" * 10_001, "application/x-www-form-urlencoded")
    assert (caught.value.status, caught.value.problem) == (400, "invalid-form")
