"""Endpoints over HTTP: made, changed, read, taken away; what they ask of a delivery is checked when it is saved."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api, transform

GITHUB = {"signature": {"scheme": "github", "secrets": ["GITHUB"]}}


@pytest.fixture
def workflow(api: Api, name: str) -> str:
    api.publish(name, transform())
    return name


def test_an_endpoint_is_made_once_and_read_back(api: Api, workflow: str) -> None:
    made = api("POST", "/api/v1/endpoints", {"path": f"a/{workflow}", "workflow": workflow, "config": GITHUB})
    assert made.status_code == 201
    assert made.json()["config"] == GITHUB
    assert api("GET", f"/api/v1/endpoints/a/{workflow}").json() == made.json()
    again = api("POST", "/api/v1/endpoints", {"path": f"a/{workflow}", "workflow": workflow})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/path-taken")


def test_changing_where_it_leads_keeps_what_it_asks_for(api: Api, workflow: str) -> None:
    path = f"/api/v1/endpoints/{workflow}"
    api("PUT", path, {"workflow": workflow, "config": GITHUB})
    assert api("PUT", path, {"workflow": workflow, "methods": ["PUT"]}).json()["config"] == GITHUB
    assert api("PUT", path, {"workflow": workflow, "config": {}}).json()["config"] == {}


def test_an_endpoint_taken_away_takes_nothing(api: Api, workflow: str) -> None:
    path = f"/api/v1/endpoints/{workflow}"
    api("PUT", path, {"workflow": workflow})
    assert api.raw("POST", f"/hooks/{workflow}", json=1).status_code == 202
    assert api("DELETE", path).status_code == 204
    assert api.raw("POST", f"/hooks/{workflow}", json=1).status_code == 404
    assert api("GET", path).status_code == api("DELETE", path).status_code == 404


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({"signatur": {}}, "$.config", "unknown-field"),
        ({"signature": {"scheme": "magic"}}, "$.config.signature.scheme", "wrong-value"),
        ({"signature": {"scheme": "github"}}, "$.config.signature", "missing"),
        ({"signature": {"scheme": "github", "secrets": []}}, "$.config.signature.secrets", "wrong-value"),
        ({"signature": {"scheme": "github", "secrets": ["A B"]}}, "$.config.signature.secrets[0]", "wrong-value"),
        ({"replay_window_s": 0}, "$.config.replay_window_s", "wrong-value"),
        (None, "$.config", "wrong-value"),
        ({"signature": GITHUB, "x": "y" * 70_000}, "$.config", "too-large"),
    ],
)
def test_a_fault_in_what_it_asks_for_is_told_with_its_place(
    api: Api, workflow: str, config: Any, path: str, code: str
) -> None:
    answer = api("PUT", f"/api/v1/endpoints/{workflow}", {"workflow": workflow, "config": config})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-endpoint")
    assert [(fault["path"], fault["code"]) for fault in answer.json()["errors"]] == [(path, code)]
    assert api("GET", f"/api/v1/endpoints/{workflow}").status_code == 404, "nothing was saved"
