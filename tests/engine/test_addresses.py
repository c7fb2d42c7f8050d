"""Whose request it is, and who may send."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.addresses import AddressList, sender

NOBODY = AddressList([])
PROXIES = AddressList(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.7:5000", "192.0.2.7"),
        ("[2001:db8::1]:5000", "2001:db8::1"),
        ("[::ffff:192.0.2.7]:5000", "192.0.2.7"),
        ("::ffff:192.0.2.7:5000", "192.0.2.7"),
        ("[fe80::1%eth0]:5000", "fe80::1"),
        ("unix:", None),
        ("", None),
    ],
)
def test_the_other_end_of_the_connection(peer: str, expected: str | None) -> None:
    found = sender(peer, [], NOBODY)
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7:1", ["198.51.100.1"], "192.0.2.7"),  # a stranger's word
        ("10.0.0.1:1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1:1", ["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1:1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("[fd00::1]:1", ["[2001:db8::5]:443"], "2001:db8::5"),
        ("10.0.0.1:1", ["198.51.100.1:8080"], "198.51.100.1"),
        ("10.0.0.1:1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1:1", ["unknown"], None),
        ("10.0.0.1:1", ["198.51.100.1, "], None),
        ("10.0.0.1:1", [], "10.0.0.1"),
        ("10.0.0.1:1", ["10.0.0.2"], "10.0.0.2"),
    ],
)
def test_behind_proxies(peer: str, forwarded: list[str], expected: str | None) -> None:
    found = sender(peer, forwarded, PROXIES)
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("10.1.2.3/8", "10.255.0.1", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ("::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.1"),
        ("0.0.0.0/0", "8.8.8.8", "::1"),
    ],
)
def test_ranges(entry: str, inside: str, outside: str) -> None:
    subject = AddressList([entry])
    assert ipaddress.ip_address(inside) in subject
    assert ipaddress.ip_address(outside) not in subject


@pytest.mark.parametrize("entry", ["", "localhost", "10.0.0.0/33", "1.2.3", "fe80::1%eth0/64x"])
def test_an_entry_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no address or range"):
        AddressList([entry])


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_address_comes_back(address: ipaddress.IPv4Address, port: int) -> None:
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    found = sender(text, [], NOBODY)
    assert found in (address, getattr(address, "ipv4_mapped", None))
    assert found in AddressList([str(address)])


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3))
def test_whatever_stands_there_is_an_address_or_none(peer: str, forwarded: list[str]) -> None:
    everything = AddressList(["0.0.0.0/0", "::/0"])
    for trusted in (NOBODY, everything):
        found = sender(peer, forwarded, trusted)
        assert found is None or found in everything
