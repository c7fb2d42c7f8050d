"""The courier against a real engine is in every run of `signals`; here, against an API that is away now and then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshproof.ledger import LineWriter, read_lines
from meshproof.load import courier
from meshproof.load.courier import Courier
from meshproof.plan import Plan
from meshproof.rest import ApiError

PLAN = Plan(profile="load", scenario="signals", seed=3, namespace="n", rate=20, duration_s=1, arrivals="constant")


class Door:
    """Takes every second request, and remembers what it took."""

    def __init__(self) -> None:
        self.asked = 0
        self.taken: list[tuple[str, ...]] = []

    async def cancel(self, run_id: str) -> None:
        self._take("cancel", run_id)

    async def send_event(self, name: str, key: str, payload: Any, id: str) -> None:
        self._take("event", key, id)

    def _take(self, *what: str) -> None:
        self.asked += 1
        if self.asked % 2:
            raise ApiError("away")
        self.taken.append(what)


class Rows:
    """A database in which every delivery has become a run, one more at each look."""

    def __init__(self) -> None:
        self.looks = 0

    async def fetch(self, query: str, deliveries: list[str]) -> list[dict[str, str]]:
        self.looks += 1
        return [{"run_id": f"run-{delivery}", "delivery_key": delivery} for delivery in deliveries[: self.looks]]


async def test_everything_is_brought_once_in_order_however_often_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "AGAIN_S", 0.0)
    monkeypatch.setattr(courier, "LOOK_S", 0.0)
    door = Door()
    expected = courier._signals_of(PLAN)
    with LineWriter(tmp_path / "signals.ndjson") as sent:
        await Courier(PLAN, {"default": door}, Rows(), sent).run()  # type: ignore[arg-type]
    lines = list(read_lines(tmp_path / "signals.ndjson"))
    assert len(expected) > 5
    for delivery, (_, signals) in expected.items():
        mine = [line for line in lines if line["d"] == delivery]
        assert [line["what"] for line in mine] == [signal.what for signal in signals]
        assert {line["run_id"] for line in mine} == {f"run-{delivery}"}
    assert len(door.taken) == len(lines)
    assert door.asked == 2 * len(lines)
    ids = {what[2] for what in door.taken if what[0] == "event"}
    assert len(ids) == sum(any(signal.what == "event" for signal in signals) for _, signals in expected.values())


def test_other_plans_have_nothing_to_bring() -> None:
    assert (
        courier._signals_of(Plan(profile="load", scenario="mixed", seed=3, namespace="n", rate=20, duration_s=1)) == {}
    )
