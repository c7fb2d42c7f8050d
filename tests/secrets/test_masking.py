"""Masking: every form a value may come back in, and nothing else."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import masking
from meshhook.masking import Mask, mark
from meshhook.model import CallError, Response

VALUE = 'sk_live: "Ünïcode" & 50% +/\\\'<x>?='
MARK = mark("TOKEN")

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "lower": lambda text: text.encode().lower().decode(),
    "upper": lambda text: text.encode().upper().decode(),
    "quote": quote,
    "quote all": lambda text: quote(text, safe=""),
    "quote lower": lambda text: quote(text, safe="").lower(),
    "quote plus": quote_plus,
    "quote twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every octet": lambda text: "".join(f"%{octet:02X}" for octet in text.encode()),
    "json": lambda text: json.dumps(text)[1:-1],
    "json utf-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "repr": lambda text: repr(text)[1:-1],
    "bytes repr": lambda text: repr(text.encode())[2:-1],
}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40).filter(
    lambda t: len(t.encode()) >= 8
)
around = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def masked(text: str, value: str = VALUE) -> str:
    return Mask({"TOKEN": value.encode()}).text(text)


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_found_in_every_form(form: str) -> None:
    shown = FORMS[form](VALUE)
    assert masked(f"before {shown} after {shown}") == f"before {MARK} after {MARK}"


@given(texts, around, around, st.sampled_from(["quote", "quote all", "quote plus", "every octet", "json", "plain"]))
def test_any_value_is_found_in_text(value: str, before: str, after: str, form: str) -> None:
    shown = FORMS[form](value)
    assert shown not in masked(f"{before}\n{shown}\n{after}", value).replace(MARK, "")


@given(
    st.binary(max_size=7), texts, st.binary(max_size=7), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode])
)
def test_any_value_is_found_in_base64_at_every_alignment(
    before: bytes, value: str, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    left = masked(encode(before + value.encode() + after).decode(), value)
    assert MARK in left
    # Nothing of the value is left: less than what the neighbours take, and the letters they share with it are gone too.
    kept = left.replace(MARK, "").rstrip("=")
    assert len(kept) * 6 <= 8 * (len(before) + len(after)) + 6


@pytest.mark.parametrize("inner", FORMS)
def test_a_value_that_is_escaped_within_base64_is_found(inner: str) -> None:
    text = f'{{"key": "{FORMS[inner](VALUE)}"}} and so on, and so on, and so on, until it is long'
    assert MARK in masked(base64.encodebytes(text.encode()).decode())
    assert MARK in masked(json.dumps({"x": base64.encodebytes(b"-" + text.encode()).decode()}))


@pytest.mark.parametrize("inner", FORMS)
@pytest.mark.parametrize("outer", sorted(FORMS.keys() - {"lower", "upper", "quote twice"}))
def test_a_value_that_is_escaped_twice_is_found(inner: str, outer: str) -> None:
    assert MARK in masked(FORMS[outer](FORMS[inner](VALUE)))


def test_a_large_value_and_a_large_text_take_no_time_worth_mentioning() -> None:
    value = base64.b64encode(bytes(range(256)) * 190).decode()
    text = "x%20y\\n&amp;" * 20_000
    before = time.process_time()
    assert masked(text + value, value) == text + MARK
    assert time.process_time() - before < 10.0


def test_base64_within_a_url_is_found() -> None:
    value = "\x7f?>?>?>~~~~"
    assert "+" in base64.b64encode(value.encode()).decode()
    assert masked(quote(base64.b64encode(value.encode()).decode(), safe=""), value).startswith(MARK)


@given(st.text(max_size=200))
def test_what_holds_no_value_stays_as_it_is(text: str) -> None:
    assert Mask({"TOKEN": b"\x00never-in-there\x00"}).text(text) == text


def test_data_is_masked_in_names_values_and_numbers() -> None:
    mask = Mask({"A": b"12345678", "B": b"value of b"})
    data: dict[str, Any] = {"value of b": [1, 12345678, {"x": ["a 12345678"]}], "n": [None, True, 1.5], "f": 12345678.5}
    assert mask.data(data) == {
        mark("B"): [1, mark("A"), {"x": [f"a {mark('A')}"]}],
        "n": [None, True, 1.5],
        "f": f"{mark('A')}.5",
    }


def test_of_two_values_the_longer_is_masked_first() -> None:
    assert Mask({"SHORT": b"password", "LONG": b"password-extended"}).text("password-extended") == mark("LONG")


def test_responses_and_errors_are_masked() -> None:
    mask = Mask({"TOKEN": b"the-canary"})
    response = mask.response(Response(200, {"x-the-canary": "a", "b": "the-canary"}, {"base64": "dGhlLWNhbmFyeQ=="}))
    assert response == Response(200, {f"x-{MARK}": "a", "b": MARK}, {"base64": f"{MARK}=="})
    assert mask.error(CallError("broken", "with the-canary", "unknown")).reason == f"with {MARK}"


def test_lines_of_the_log_are_masked_by_what_the_process_has_held() -> None:
    masking.remember("TOKEN", [b"remembered-canary"])
    assert masking.mask_line(None, "info", '{"a": "remembered-canary"}') == f'{{"a": "{MARK}"}}'


def test_masks_do_not_show_what_they_mask() -> None:
    mask = Mask({"TOKEN": b"the-canary"})
    assert "canary" not in f"{mask!r}"
