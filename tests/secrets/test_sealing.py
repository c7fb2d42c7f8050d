"""Seals: what opens them, what does not, and that they show nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.errors import VaultError
from meshhook.sealing import SealingKey, data_key_place, secret_place

KEY = SealingKey.make()


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_was_sealed_opens(value: bytes, place: bytes) -> None:
    assert KEY.open(KEY.seal(value, place), place) == value


@given(st.binary(max_size=60), st.data())
def test_a_seal_with_any_bit_changed_does_not_open(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(KEY.seal(value, b"here"))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(VaultError):
        KEY.open(bytes(sealed), b"here")


@given(st.binary(max_size=30), st.integers(0, 40))
def test_a_seal_cut_short_does_not_open(value: bytes, length: int) -> None:
    sealed = KEY.seal(value, b"here")
    with pytest.raises(VaultError):
        KEY.open(sealed[: min(length, len(sealed) - 1)], b"here")


def test_a_seal_opens_nowhere_else_and_by_no_other_key() -> None:
    place = secret_place(1, "token", 2)
    sealed = KEY.seal(b"value", place)
    others = [
        secret_place(2, "token", 2),
        secret_place(1, "tokens", 2),
        secret_place(1, "token", 3),
        data_key_place(1, 2),
    ]
    for other in others:
        with pytest.raises(VaultError):
            KEY.open(sealed, other)
    with pytest.raises(VaultError):
        SealingKey.make().open(sealed, place)


def test_the_same_value_gives_another_seal_each_time() -> None:
    assert len({KEY.seal(b"value", b"here") for _ in range(100)}) == 100


def test_neither_errors_nor_representations_show_a_key_or_a_value() -> None:
    with pytest.raises(VaultError) as caught:
        KEY.open(b"\0" * 40, b"here")
    for shown in (repr(KEY), str(KEY), str(caught.value), repr(caught.value)):
        assert KEY.raw.hex() not in shown
        assert repr(KEY.raw) not in shown
    assert KEY.id in repr(KEY)
    assert KEY.id not in KEY.raw.hex()
