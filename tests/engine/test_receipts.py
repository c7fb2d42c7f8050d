"""Receipts: signed once, checked anywhere, and never right after a change."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from meshhook.receipts import BadKey, BadReceipt, Receipt, SigningKey, key_id, new_key, public_keys, verify

SAID = Receipt(
    run_id="01a20849-0000-7000-8000-000000000000", endpoint="shop/orders", body_sha256="ab" * 32, iat=1_700_000_000
)
KEY = SigningKey(b"whsk_" + base64.b64encode(bytes(range(32))))
KEYS = {KEY.public.id: KEY.public}


def test_what_was_signed_is_what_is_read() -> None:
    text = KEY.sign(SAID)
    assert verify(text, KEYS) == SAID
    assert key_id(text) == KEY.public.id
    assert len(text) < 450


def test_another_library_reads_it_too() -> None:
    found = jws.deserialize_compact(KEY.sign(SAID), OKPKey.import_key(KEY.public.jwk), algorithms=["Ed25519"])
    assert msgspec.json.decode(found.payload)["run_id"] == SAID.run_id


@pytest.mark.parametrize("form", [KEY.public.text, msgspec.json.encode(KEY.public.jwk).decode(),
                                  msgspec.json.encode({"keys": [KEY.public.jwk]}).decode(), f" {KEY.public.text}\n"])  # fmt: skip
def test_public_keys_come_in_three_forms(form: str) -> None:
    assert verify(KEY.sign(SAID), public_keys(form)) == SAID


@pytest.mark.parametrize(
    "form", ["", "whpk_", "whpk_AAAA", "{", "{}", '{"keys":[]}', '{"keys":7}', '{"crv":"Ed25519","x":"é"}', "x"]
)
def test_what_is_no_public_key_is_told(form: str) -> None:
    with pytest.raises(BadKey):
        public_keys(form)


@pytest.mark.parametrize("secret", [b"", b"whsk_", b"whsk_AAAA", b"\xff", b"whsec_" + base64.b64encode(bytes(32))])
def test_what_is_no_private_key_is_told_without_it(secret: bytes) -> None:
    with pytest.raises(BadKey) as caught:
        SigningKey(secret)
    assert "AAAA" not in str(caught.value)


def test_a_new_key_signs() -> None:
    key = SigningKey(new_key().encode())
    assert verify(key.sign(SAID), {key.public.id: key.public}) == SAID
    with pytest.raises(BadReceipt, match="not known"):
        verify(key.sign(SAID), KEYS)


def test_a_key_with_its_public_half_is_the_same_key() -> None:
    both = SigningKey(b"whsk_" + base64.b64encode(bytes(range(32)) + KEY.public.raw))
    assert both.sign(SAID) == KEY.sign(SAID)


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_."))
def test_whatever_is_changed_shows(place: int, letter: str) -> None:
    text = KEY.sign(SAID)
    place %= len(text) - 1  # of the last letter some bits mean nothing
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        with pytest.raises(BadReceipt):
            verify(changed, KEYS)


@given(st.text(max_size=200))
def test_whatever_comes_is_no_receipt(text: str) -> None:
    with pytest.raises(BadReceipt):
        verify(text, KEYS)
