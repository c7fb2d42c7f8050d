"""Room for calls of the API: bounded, given back, and never taken from webhooks."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from tests.api.conftest import Api, Server, transform

from meshhook.api.room import Room
from meshhook.errors import Refusal


async def test_no_more_than_fit_are_in_and_no_more_than_may_wait_wait() -> None:
    room, go = Room(3), asyncio.Event()
    inside = most = 0

    async def enter() -> None:
        nonlocal inside, most
        async with room.taken():
            inside += 1
            most = max(most, inside)
            await go.wait()
            inside -= 1

    tasks = [asyncio.create_task(enter()) for _ in range(300)]
    while not any(task.done() for task in tasks):
        await asyncio.sleep(0)
    go.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [error for error in ended if isinstance(error, Refusal)]
    assert (most, len(refused)) == (3, 300 - 3 - 200)
    assert {(error.status, error.problem) for error in refused} == {(503, "overloaded")}


async def test_a_place_is_given_back_whatever_happens() -> None:
    room = Room(1)
    with pytest.raises(ValueError, match="broken"):
        async with room.taken():
            raise ValueError("broken")
    waiting = asyncio.create_task(enter_and_leave(room))
    await waiting
    holding = asyncio.create_task(stay(room))
    await asyncio.sleep(0)
    cancelled = asyncio.create_task(enter_and_leave(room))
    await asyncio.sleep(0)
    cancelled.cancel()
    holding.cancel()
    await asyncio.gather(cancelled, holding, return_exceptions=True)
    await enter_and_leave(room)


async def enter_and_leave(room: Room) -> None:
    async with room.taken():
        pass


async def stay(room: Room) -> None:
    async with room.taken():
        await asyncio.Event().wait()


def test_webhooks_come_in_while_the_api_is_flooded(server: Server, api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    answers = asyncio.run(flood(server, name))
    assert answers["hook"] == Counter({202: 300})
    assert set(answers["list"]) <= {200, 503}
    assert set(answers["key"]) <= {401, 503}
    assert answers["list"][200]


async def flood(server: Server, name: str) -> dict[str, Counter[int]]:
    answers: dict[str, Counter[int]] = {"hook": Counter(), "list": Counter(), "key": Counter()}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=connector) as session:

        async def ask(kind: str, method: str, path: str, **headers: str) -> None:
            async with session.request(method, path, headers=headers) as answer:
                await answer.read()
                answers[kind][answer.status] += 1

        wrong = "Bearer mh_" + "x" * 43
        await asyncio.gather(
            *(ask("list", "GET", "/api/v1/runs?limit=500") for _ in range(300)),
            *(ask("key", "GET", "/api/v1/runs", authorization=wrong[:-3] + f"{i:03}") for i in range(300)),
            *(ask("hook", "POST", f"/hooks/{name}") for _ in range(300)),
        )
    return answers
