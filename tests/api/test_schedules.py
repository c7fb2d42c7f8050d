"""Schedules over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api, transform


def test_a_schedule_is_made_read_paused_resumed_and_deleted(api: Api, name: str) -> None:
    api.publish(name, transform())
    path = f"/api/v1/schedules/{name}"
    told = {"workflow": name, "cron": "0 3 * * *", "timezone": "Asia/Tokyo", "input": {"n": 1}, "overlap": "skip"}
    made = api("PUT", path, told)
    assert made.status_code == 200
    assert {key: made.json()[key] for key in told} == told
    assert (made.json()["missed"], made.json()["ticks_fired"], made.json()["paused_at"]) == ("once", 0, None)
    assert made.json()["next_at"].endswith("T18:00:00Z")
    assert api("GET", path).json() == made.json()
    assert name in [schedule["name"] for schedule in api("GET", "/api/v1/schedules").json()["items"]]
    paused = api("POST", f"{path}/pause").json()
    assert (paused["next_at"], api("POST", f"{path}/pause").json()) == (None, paused)
    assert api("POST", f"{path}/resume").json()["next_at"] == made.json()["next_at"]
    assert api("PUT", path, {"workflow": name, "every_s": 5}).json()["cron"] is None
    assert api("DELETE", path).status_code == 204
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/next")):
        gone = api(method, path + below)
        assert (gone.status_code, gone.json()["type"]) == (404, "/problems/unknown-schedule")


def test_the_next_ticks(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/schedules/{name}", {"workflow": name, "cron": "30 2 * * *", "timezone": "America/New_York"})
    answer = api("GET", f"/api/v1/schedules/{name}/next", params={"count": 2, "after": "2026-03-08T00:00:00Z"})
    assert answer.json()["items"] == [
        {
            "at": "2026-03-08T07:00:00Z",
            "local": "2026-03-08T03:00:00-04:00",
            "note": "DST, clocks went forward by 1:00:00",
        },
        {"at": "2026-03-09T06:30:00Z", "local": "2026-03-09T02:30:00-04:00", "note": "DST"},
    ]
    assert api("GET", f"/api/v1/schedules/{name}/next", params={"count": 1001}).status_code == 400
    far = {"count": 2, "after": "9999-12-31T12:00:00Z"}
    assert api("GET", f"/api/v1/schedules/{name}/next", params=far).json() == {"items": []}
    long_ago = api("GET", f"/api/v1/schedules/{name}/next", params={"count": 1, "after": "0001-01-01T00:00:00Z"})
    assert long_ago.json()["items"][0]["at"] == "1970-01-01T07:30:00Z"


@pytest.mark.parametrize(
    ("told", "status", "problem"),
    [
        ({}, 422, "invalid-schedule"),
        ({"cron": "x"}, 422, "invalid-schedule"),
        ({"every_s": 1, "input": "{{ nonsense( }}"}, 422, "invalid-schedule"),
        ({"every_s": 0}, 400, "invalid-body"),
        ({"every_s": 1, "sometimes": True}, 400, "invalid-body"),
        ({"every_s": 1, "starts_at": "2026-01-01T00:00:00"}, 400, "invalid-body"),
        ({"every_s": 1, "workflow": "nowhere"}, 404, "unknown-workflow"),
        ({"cron": "\0 * * * *"}, 422, "invalid-schedule"),
        ({"cron": "* * * * *", "timezone": "\0"}, 422, "invalid-schedule"),
        ({"every_s": 1, "starts_at": "0001-01-01T00:00:00Z", "timezone": "America/New_York"}, 422, "invalid-schedule"),
        ({"every_s": 1, "input": {"nul": "\0"}}, 200, None),
        ({"every_s": 1, "ends_at": "8999-12-31T23:59:59Z", "jitter_s": 86400}, 200, None),
    ],
)
def test_what_a_schedule_may_be(api: Api, name: str, told: dict[str, Any], status: int, problem: str | None) -> None:
    api.publish(name, transform())
    answer = api("PUT", f"/api/v1/schedules/{name}", {"workflow": name} | told)
    assert answer.status_code == status, answer.text
    if problem is not None:
        assert answer.json()["type"] == f"/problems/{problem}"
        assert api("GET", f"/api/v1/schedules/{name}").status_code == 404
    api.raw("DELETE", f"/api/v1/schedules/{name}")
