"""JWKS documents are fetched rarely, by one fetch for all who wait, and outlive a server that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from meshhook.egress import Egress
from meshhook.errors import Refusal
from meshhook.key_sets import FRESH_S, PAUSE_S, STALE_S, KeySets
from meshhook.model import CallError, Request, Response
from meshhook.reach import AllowList

URL = "https://keys.example/jwks"


class Sender:
    """Answers each request with the next answer, the last one again and again."""

    def __init__(self, *answers: Response | CallError) -> None:
        self.answers, self.sent = list(answers), 0

    async def __call__(self, request: Request, headers: Mapping[str, str]) -> Response | CallError:
        self.sent += 1
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def keys(name: str) -> Response:
    return Response(200, {}, {"keys": [{"kid": name}]})


DOWN = CallError("connect", "no connection", "no")


async def test_a_fresh_set_is_not_fetched_again_and_a_stale_one_outlives_an_outage(
    fake_clock: Callable[..., Any],
) -> None:
    clock, sender = fake_clock(), Sender(keys("one"), DOWN)
    sets = KeySets(sender, clock)
    assert b"one" in await sets.get(URL)
    clock.now += FRESH_S
    assert b"one" in await sets.get(URL)
    assert sender.sent == 1
    clock.now += 1
    assert b"one" in await sets.get(URL)
    assert sender.sent == 2
    clock.now += STALE_S
    with pytest.raises(Refusal, match="no connection") as caught:
        await sets.get(URL)
    assert (caught.value.status, caught.value.problem) == (503, "keys-unavailable")


async def test_a_flood_makes_one_fetch(fake_clock: Callable[..., Any]) -> None:
    clock, sender = fake_clock(), Sender(keys("one"), keys("two"))
    sets = KeySets(sender, clock)
    await asyncio.gather(*(sets.get(URL) for _ in range(100)))
    assert sender.sent == 1
    for _ in range(100):  # tokens with made-up keys
        await sets.renew(URL)
    assert sender.sent == 1, "not so soon after the last"
    clock.now += PAUSE_S
    await asyncio.gather(*(sets.renew(URL) for _ in range(100)))
    assert sender.sent == 2
    assert b"two" in await sets.get(URL)


async def test_an_outage_from_the_start_is_tried_again_after_a_pause(fake_clock: Callable[..., Any]) -> None:
    clock, sender = fake_clock(), Sender(DOWN, Response(500, {}, None), Response(200, {}, "no JWKS"), keys("one"))
    sets = KeySets(sender, clock)
    with pytest.raises(Refusal, match="no connection"):
        await sets.get(URL)
    clock.now += PAUSE_S / 2
    with pytest.raises(Refusal, match="no connection"):
        await sets.get(URL)
    assert sender.sent == 1
    for reason in ("500", "no JWK Set"):
        clock.now += PAUSE_S
        with pytest.raises(Refusal, match=reason):
            await sets.get(URL)
    clock.now += PAUSE_S
    assert b"one" in await sets.get(URL)


async def test_private_addresses_are_refused_by_the_guard() -> None:
    egress = Egress(AllowList.parse(""))
    try:
        with pytest.raises(Refusal, match="no public address"):
            await KeySets(egress.send).get("http://127.0.0.1:9/jwks")
    finally:
        await egress.close()
