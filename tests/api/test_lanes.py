"""``GET /api/v1/lanes``: what stands in line, over the API."""

from __future__ import annotations

from tests.api.conftest import Api, transform


def test_runs_in_line_are_told_by_lane(api: Api, name: str) -> None:
    definition = transform() | {"settings": {"concurrency": {"limit": 2, "key": "input.user"}}}
    assert api.publish(name, definition).status_code in (200, 201)
    for number in range(3):  # no worker runs here, so nobody has computed their keys: they stand at the entry
        assert api("POST", f"/api/v1/workflows/{name}/runs", {"user": number}).status_code == 202
    answer = api("GET", "/api/v1/lanes")
    assert answer.status_code == 200
    (lane,) = [lane for lane in answer.json()["items"] if lane["workflow"] == name]
    assert lane == {
        "workflow": name,
        "key": None,
        "limit": None,
        "strategy": "queue",
        "live": 0,
        "waiting": 3,
        "token_at": None,
    }
