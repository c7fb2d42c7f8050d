"""Load goes to this machine, or to one that somebody says is theirs; and clocks that differ are allowed for."""

from __future__ import annotations

import pytest

from meshproof.clocks import bound_us
from meshproof.ownership import FLAG, NotOwnedError, addresses, check
from meshproof.target import Remote, TargetError

ELSEWHERE = "192.0.2.7"
"""Of TEST-NET-1 (RFC 5737): nobody's."""


@pytest.mark.parametrize("found", [["127.0.0.1"], ["127.8.9.10"], ["::1"], ["127.0.0.1", "::1"], ["::ffff:127.0.0.1"]])
def test_this_machine_needs_no_word(found: list[str]) -> None:
    assert check("engine", None, lambda _: found) == found[0]


@pytest.mark.parametrize(
    "found",
    [[ELSEWHERE], ["127.0.0.1", ELSEWHERE], ["::1", "2001:db8::1"], ["0.0.0.0"], ["10.0.0.1"], ["fe80::1%eth0"]],
)
def test_a_name_that_leads_beyond_this_machine_is_another_machine_whatever_it_looks_like(found: list[str]) -> None:
    with pytest.raises(NotOwnedError, match=f"another machine.*{FLAG} localhost"):
        check("localhost", None, lambda _: found)


def test_the_word_has_to_name_exactly_that_host() -> None:
    assert check("Engine.test", "engine.test", lambda _: [ELSEWHERE]) is None
    for owned in ("test", "engine", "engine.tes", "other.test", ELSEWHERE, ""):
        with pytest.raises(NotOwnedError, match=r"not engine\.test"):
            check("engine.test", owned, lambda _: [ELSEWHERE])


def test_names_are_resolved() -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]
    # What looks like a number is an address too, to whoever connects to it.
    assert check("2130706433", None) == "127.0.0.1"
    with pytest.raises(NotOwnedError, match="leads nowhere"):
        addresses("nowhere.invalid")


def test_a_target_on_this_machine_is_connected_to_by_the_address_that_was_looked_at() -> None:
    assert Remote("http://2130706433:81", "").host == "127.0.0.1"
    assert Remote("https://127.0.0.1", "").port == 443
    there = Remote(f"https://{ELSEWHERE}:8443", "", owned=ELSEWHERE)
    assert (there.host, there.port, there.tls, there.is_here) == (ELSEWHERE, 8443, True, False)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1/engine", f"http://{ELSEWHERE}"])
def test_what_is_no_target_of_ours_is_refused(url: str) -> None:
    with pytest.raises(TargetError):
        Remote(url, "")


async def test_work_in_a_second_project_takes_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Remote("http://127.0.0.1:1", "", "first")
    assert (await target.api_of("default")).key == "first"
    with pytest.raises(TargetError, match="MESHPROOF_API_KEY_NEIGHBOUR"):
        await target.api_of("neighbour")
    monkeypatch.setenv("MESHPROOF_API_KEY_NEIGHBOUR", "second")
    assert (await target.api_of("neighbour")).key == "second"


def test_clocks_are_bounded_by_every_answer_together() -> None:
    # Asked at 0, told 1,010, answered at 20: the other clock is 990 to 1,010 ahead.
    assert bound_us([(0, 1_010, 20)]) == 1_010
    # A quicker answer says more, also of the slower ones.
    assert bound_us([(0, 1_010, 20), (100, 1_102, 104)]) == 1_002
    assert bound_us([(1_000, 490, 1_020)]) == 530
    # A clock that was set between two answers: neither bound holds for both.
    assert bound_us([(0, 10, 20), (100, 5_110, 120)]) == 5_010
