"""What is stored of a password, and how often one may be guessed."""

from __future__ import annotations

import ipaddress

import pytest

from meshhook.errors import Refusal
from meshhook.guesses import Guesses
from meshhook.passwords import COST, Cost, check_password, hash_password, is_password
from meshhook.quota import Quota

QUICK = Cost(4, 1, 1)


def test_a_password_is_known_again_and_no_other() -> None:
    stored = hash_password("correct horse battery", QUICK)
    assert is_password("correct horse battery", stored)
    for wrong in ("correct horse batterz", "Correct horse battery", "", "correct horse battery "):
        assert not is_password(wrong, stored)


def test_the_same_password_is_stored_differently_each_time_with_its_parameters() -> None:
    one, other = hash_password("correct horse battery", QUICK), hash_password("correct horse battery", QUICK)
    assert one != other
    assert one.startswith("$scrypt$ln=4,r=1,p=1$")
    assert "horse" not in one


def test_a_password_stored_at_another_cost_still_counts() -> None:
    stored = hash_password("correct horse battery", Cost(5, 2, 2))
    assert is_password("correct horse battery", stored)
    assert not is_password("correct horse battery", stored.replace("p=2", "p=1"))


def test_what_is_asked_of_a_guess_is_what_owasp_asks() -> None:
    assert (COST, 128 * COST.r << COST.log_n) == (Cost(15, 8, 3), 32 * 2**20)
    assert is_password("correct horse battery", hash_password("correct horse battery"))  # within the memory allowed


def test_one_letter_typed_in_two_ways_is_one_password() -> None:
    stored = hash_password("caf\u00e9 caf\u00e9 caf\u00e9", QUICK)
    assert is_password("cafe\u0301 cafe\u0301 cafe\u0301", stored)


def test_a_long_wrong_guess_is_no_prefix_of_the_right_one() -> None:
    password = "x" * 256
    assert not is_password(password + "y", hash_password(password, QUICK))


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 257])
def test_what_is_too_short_or_too_long_is_no_password(password: str) -> None:
    with pytest.raises(Refusal, match="bad-password"):
        check_password(password)


@pytest.mark.parametrize("stored", ["", "plain", "$scrypt$ln=4$x$y", "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA"])
def test_what_was_not_stored_here_is_an_error_and_never_a_password(stored: str) -> None:
    with pytest.raises(ValueError, match="no stored password"):
        is_password("plain", stored)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


A, B = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2")


def test_one_address_gets_its_burst_and_then_one_at_a_time() -> None:
    clock = Clock()
    guesses = Guesses(Quota(3, 30.0), Quota(100, 100.0), clock=clock)
    assert [guesses.take(A) for _ in range(4)] == [0, 0, 0, 10.0]
    assert guesses.take(B) == 0
    clock.now += 9
    assert guesses.take(A) == pytest.approx(1)
    clock.now += 1
    assert (guesses.take(A), guesses.take(A)) == (0, pytest.approx(10))


def test_all_addresses_together_have_a_limit() -> None:
    guesses = Guesses(Quota(3, 30.0), Quota(5, 50.0), clock=Clock())
    waits = [guesses.take(ipaddress.ip_address(f"192.0.2.{last}")) for last in range(6)]
    assert waits == [0, 0, 0, 0, 0, 10.0]


def test_a_guess_that_was_right_costs_nothing() -> None:
    guesses = Guesses(Quota(2, 20.0), Quota(2, 20.0), clock=Clock())
    for _ in range(10):
        assert guesses.take(A) == 0
        guesses.give_back(A)


def test_one_customer_of_ipv6_is_one_address() -> None:
    guesses = Guesses(Quota(2, 20.0), Quota(100, 100.0), clock=Clock())
    for last in range(2):
        assert guesses.take(ipaddress.ip_address(f"2001:db8:0:1::{last}")) == 0
    assert guesses.take(ipaddress.ip_address("2001:db8:0:1:ffff::1")) > 0
    assert guesses.take(ipaddress.ip_address("2001:db8:0:2::1")) == 0


def test_however_many_addresses_guess_few_are_remembered() -> None:
    clock = Clock()
    guesses = Guesses(Quota(2, 20.0), Quota(10**6, 1.0), clock=clock)
    for number in range(12_000):
        guesses.take(ipaddress.ip_address(number))
    assert guesses.known == 10_000
    clock.now += 21
    guesses.take(A)
    assert guesses.known == 1
