"""Who may call a host now, and what becomes of the others. By a clock of numbers, the calls answered by hand."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from meshhook.circuit import TRIES
from meshhook.hosts import Answer, Hosts, host_of
from meshhook.model import CallError, Request, Response

OK = Response(200, {}, None)
DOWN = CallError("connect", "no connection", "no")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """The hosts, a clock, and calls that end when they are told to."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.hosts = Hosts(clock=self.clock, **limits)
        self.send = self.hosts.around(self._answer)
        self.waiting: list[asyncio.Future[Answer]] = []
        self.tasks: list[asyncio.Task[Answer]] = []

    async def _answer(self, request: Request, headers: dict[str, str]) -> Answer:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]

    async def ask(self, url: str = "http://a.example/", times: int = 1, runs: list[UUID] | None = None) -> list[float]:
        """As a worker does: plan, and begin what may be begun, each call of another run unless the runs are given."""
        request = Request("GET", url, {}, None, 1, 1, 1, 0)
        self.hosts.plan()
        waits = [self.hosts.wait_s(request, run_id) for run_id in runs or [uuid4() for _ in range(times)]]
        self.tasks += [asyncio.create_task(self.send(request, {})) for wait in waits if wait == 0.0]
        while sum(not task.done() for task in self.tasks) > sum(not future.done() for future in self.waiting):
            await asyncio.sleep(0)
        return waits

    async def end(self, answer: Answer, times: int = 1) -> None:
        for future in [future for future in self.waiting if not future.done()][:times]:
            future.set_result(answer)
        while sum(not task.done() for task in self.tasks) > sum(not future.done() for future in self.waiting):
            await asyncio.sleep(0)


async def test_a_host_has_so_many_calls_at_once_and_holds_up_nobody_else() -> None:
    world = World(per_host_max=3)
    waits = await world.ask(times=10)
    assert [wait == 0.0 for wait in waits] == [True] * 3 + [False] * 7
    assert await world.ask("http://b.example/", times=3) == [0.0] * 3
    assert await world.ask("http://a.example:8080/") == [0.0]
    assert (await world.ask())[0] > 0
    await world.end(OK, 2)
    assert [wait == 0.0 for wait in await world.ask(runs=world.hosts.call())] == [True, True]
    assert (await world.ask())[0] > 0
    assert world.hosts.counts.held_back["busy"] == 9


async def test_those_who_wait_are_called_when_there_is_room_and_nobody_goes_before_them() -> None:
    world = World(per_host_max=2)
    runs = [uuid4() for _ in range(10)]
    await world.ask(runs=runs)
    assert world.hosts.call() == []
    await world.end(OK)
    assert world.hosts.call() == runs[2:3]
    assert world.hosts.call() == []  # the one who was called is on the way
    assert (await world.ask())[0] > 0
    assert await world.ask(runs=runs[2:3]) == [0.0]
    await world.end(OK, 2)
    assert world.hosts.call() == runs[3:5]


async def test_who_does_not_come_when_called_keeps_nobody_waiting() -> None:
    world = World(per_host_max=1)
    runs = [uuid4() for _ in range(3)]
    await world.ask(runs=runs)
    await world.end(OK)
    assert world.hosts.call() == runs[1:2]
    world.clock.now += 1
    assert world.hosts.call() == runs[2:3]
    assert await world.ask(runs=runs[2:3]) == [0.0]
    await world.end(OK)
    assert await world.ask() == [0.0]


async def test_who_is_not_called_comes_by_itself_and_not_with_all_others() -> None:
    world = World(per_host_max=1)
    waits = (await world.ask(times=1_001))[1:]
    assert waits == sorted(waits)
    assert waits[0] < 3 < 10 < waits[-1] < 15


async def test_what_a_run_wants_more_goes_with_the_call_it_was_called_for() -> None:
    world = World(per_host_max=4)
    many, other = uuid4(), uuid4()
    assert [wait == 0.0 for wait in await world.ask(runs=[*[many] * 6, other])] == [True] * 4 + [False] * 3
    await world.end(OK, 4)
    assert world.hosts.call() == [many, other]
    assert await world.ask(runs=[many, many, other]) == [0.0] * 3


async def test_a_second_begins_so_many_calls_and_no_more() -> None:
    world = World(per_host_per_s=10)
    begun = 0
    for _ in range(50):  # five seconds, looked at ten times in each
        begun += sum(wait == 0.0 for wait in await world.ask(runs=[*world.hosts.call(), *(uuid4() for _ in range(5))]))
        await world.end(OK, 100)
        world.clock.now += 0.1
    assert 10 + 48 <= begun <= 10 + 50
    assert world.hosts.counts.held_back["rate"] > 0


async def test_a_rate_below_one_a_second_is_kept_too() -> None:
    world = World(per_host_per_s=0.1)
    begun = 0
    for _ in range(61):
        begun += sum(wait == 0.0 for wait in await world.ask(runs=[*world.hosts.call(), uuid4()]))
        world.clock.now += 1
    assert begun == 7


async def test_a_call_that_was_planned_and_never_made_takes_no_place() -> None:
    world = World(per_host_max=1)
    request = Request("GET", "http://a.example/", {}, None, 1, 1, 1, 0)
    for _ in range(3):
        world.hosts.plan()
        one, other = uuid4(), uuid4()
        assert world.hosts.wait_s(request, one) == 0.0
        assert world.hosts.wait_s(request, other) > 0.0
        world.hosts.plan()
        assert world.hosts.call() == [other]
        assert world.hosts.wait_s(request, other) == 0.0


async def test_a_host_that_is_down_is_tried_by_a_few_until_it_is_back() -> None:
    world = World(circuit_failures=5, circuit_pause_s=10)
    assert await world.ask(times=5) == [0.0] * 5
    await world.end(DOWN, 5)
    assert world.hosts.counts.circuits_opened == 1
    assert [state != "closed" for state in world.hosts.circuits()].count(True) == 1
    runs = [uuid4() for _ in range(1_000)]
    waits = await world.ask(runs=runs)
    assert min(waits) > 10
    assert len(set(waits)) == len(waits)  # not all at once, to be sent away again
    assert await world.ask("http://b.example/") == [0.0]
    assert world.hosts.call() == []
    world.clock.now += 10
    called = world.hosts.call()
    assert called == runs[:TRIES]
    assert await world.ask(runs=called) == [0.0] * TRIES
    assert world.hosts.call() == []
    await world.end(OK, 2)
    assert set(world.hosts.circuits()) == {"closed"}
    assert world.hosts.call() == runs[TRIES:]  # all at once, since it has no limit


@pytest.mark.parametrize("answer", [Response(404, {}, None), Response(429, {}, None), CallError("refused", "", "no")])
async def test_what_is_not_the_hosts_failure_opens_nothing(answer: Answer) -> None:
    world = World(circuit_failures=2)
    for _ in range(10):
        await world.ask()
        await world.end(answer)
    assert world.hosts.counts.circuits_opened == 0


async def test_a_host_that_refuses_nearly_everything_gets_the_time_it_asks_for() -> None:
    world = World()
    for _ in range(8):
        assert await world.ask() == [0.0]
        await world.end(Response(429, {"retry-after": "7"}, None))
        world.clock.now += 8
    world.clock.now -= 8
    assert 7 <= (await world.ask())[0] < 10
    world.clock.now += 7
    assert await world.ask(runs=world.hosts.call()) == [0.0]
    await world.end(Response(429, {"retry-after": "86400"}, None))
    assert (await world.ask())[0] <= 63


async def test_one_refusal_among_many_answers_is_not_the_hosts() -> None:
    world = World(per_host_max=4)
    for number in range(100):
        assert await world.ask() == [0.0]
        await world.end(Response(429, {"retry-after": "7"}, None) if number % 3 == 0 else OK)
    assert sum(world.hosts.counts.held_back.values()) == 0


async def test_a_host_that_refuses_every_fourth_call_is_not_left_alone() -> None:
    world, draw = World(), Random(4)
    for _ in range(2_000):
        assert await world.ask() == [0.0]
        await world.end(Response(429, {"retry-after": "2"}, None) if draw.random() < 0.25 else OK)


@pytest.mark.parametrize("status", [429, 502, 504])
async def test_a_host_that_has_too_much_gets_less_and_then_more_again(status: int) -> None:
    world = World(per_host_max=8)
    await world.ask(times=8)
    await world.end(Response(status, {}, None), 8)  # the last one halves
    world.clock.now += 1
    begun = sum(wait == 0.0 for wait in await world.ask(times=8))
    assert begun < 8
    for _ in range(20):
        await world.end(OK, 100)
        world.clock.now += 1
        await world.ask(runs=[*world.hosts.call(), *(uuid4() for _ in range(20))])
    await world.end(OK, 100)
    assert len(world.hosts.call()) == 8


async def test_a_call_whose_host_is_a_secret_is_not_held_back() -> None:
    world = World(per_host_max=1, per_host_per_s=1)
    assert await world.ask("https://secret.invalid/x", times=5) == [0.0] * 5


def test_a_host_is_scheme_name_and_port() -> None:
    assert host_of("http://A.example./x") == host_of("http://a.example:80/y") == "http://a.example:80"
    assert host_of("https://a.example") == "https://a.example:443"
    assert host_of("http://[::1]:8080/") == "http://::1:8080"
