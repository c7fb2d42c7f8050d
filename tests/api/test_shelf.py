"""Tags, notes on versions, and workflows deleted and restored, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Api, transform


def listed(api: Api, query: str = "") -> list[str]:
    return [it["name"] for it in api("GET", f"/api/v1/workflows{query}").json()["items"]]


def test_tags_are_what_was_said_last(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    saved = api("PUT", path, transform())
    assert saved.json()["tags"] == []
    tagged = api("PUT", f"{path}/tags", {"tags": [" shop ", "Prüfung", "shop"]})
    assert (tagged.status_code, tagged.json()["tags"]) == (200, ["shop", "Prüfung"])
    read = api("GET", path)
    assert (read.json()["tags"], read.headers["etag"]) == (["shop", "Prüfung"], saved.headers["etag"])
    assert name in listed(api, "?tag=shop")
    assert name not in listed(api, "?tag=Shop")
    assert api("PUT", path, transform("input.a")).json()["tags"] == ["shop", "Prüfung"], "a draft changes no tag"
    assert api("PUT", f"{path}/tags", {"tags": []}).json()["tags"] == []


@pytest.mark.parametrize("tags", [["x" * 41], [""], ["  "], ["a\nb"], ["\u0000"], [f"t{i}" for i in range(21)]])
def test_tags_that_are_not_allowed(api: Api, name: str, tags: list[str]) -> None:
    api("PUT", f"/api/v1/workflows/{name}", transform())
    answer = api("PUT", f"/api/v1/workflows/{name}/tags", {"tags": tags})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-tag")


def test_what_is_no_tag_list_is_refused(api: Api, name: str) -> None:
    assert api("PUT", f"/api/v1/workflows/{name}/tags", {"tags": []}).status_code == 404
    assert api("PUT", f"/api/v1/workflows/{name}/tags", {"tags": "shop"}).status_code == 400
    assert listed(api, "?tag=%00") == []


def test_a_note_is_kept_with_the_version_it_was_said_of(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    api("PUT", path, transform())
    first = api("POST", f"{path}/versions", {"note": " Paid <b>once</b> "})
    assert (first.status_code, first.json()["note"], first.json()["published_by"]) == (201, "Paid <b>once</b>", "local")
    again = api("POST", f"{path}/versions", {"note": "said later"})
    assert (again.status_code, again.json()["note"]) == (200, "Paid <b>once</b>")
    api("PUT", path, transform("input.a"))
    assert api("POST", f"{path}/versions").json()["note"] is None
    notes = [it["note"] for it in api("GET", f"{path}/versions").json()["items"]]
    assert notes == [None, "Paid <b>once</b>"]
    assert api("GET", f"{path}/versions/1").json()["note"] == "Paid <b>once</b>"
    api("PUT", path, transform("input.b"))
    for body in ({"note": "x" * 1_001}, {"note": "\u0000"}, {"note": 3}, {"comment": "x"}):
        assert api("POST", f"{path}/versions", body).status_code == 400
    assert api("GET", path).json()["published"] == 2


def test_a_deleted_workflow_is_started_by_nothing_and_restored_as_it_was(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    api.publish(name, transform())
    api("PUT", f"{path}/tags", {"tags": ["kept"]})
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    before = api("GET", path).json()
    run_id = api("POST", f"/hooks/{name}", {"a": 1}).json()["run_id"]
    assert api("DELETE", path).status_code == 204
    assert name not in listed(api)
    (gone,) = [it for it in api("GET", "/api/v1/workflows?deleted=true").json()["items"] if it["name"] == name]
    assert (gone["published"], gone["deleted_at"] is not None) == (1, True)

    def refused(answer: Any) -> tuple[int, str]:
        return answer.status_code, answer.json()["type"].removeprefix("/problems/")

    assert refused(api("POST", f"/hooks/{name}", {"a": 1})) == (409, "not-published")
    assert refused(api("POST", f"{path}/runs", 1)) == (409, "not-published")
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/test-runs")):
        assert refused(api(method, f"{path}{below}")) == (404, "workflow-deleted")
    assert refused(api("PUT", f"{path}/tags", {"tags": []})) == (404, "workflow-deleted")
    assert refused(api("PUT", path, transform())) == (409, "workflow-deleted")
    assert refused(api("PUT", path, transform(), headers={"if-none-match": "*"})) == (409, "workflow-deleted")
    assert refused(api("POST", f"{path}/versions")) == (409, "workflow-deleted")
    assert refused(api("PUT", f"/api/v1/endpoints/{name}-2", {"workflow": name})) == (409, "workflow-deleted")
    assert api("GET", f"/api/v1/runs/{run_id}").json()["workflow"] == name, "its runs stay"
    assert api("GET", f"{path}/versions/1").status_code == 200

    restored = api("POST", f"{path}/restore")
    assert (restored.status_code, restored.json()["published"], restored.json()["deleted_at"]) == (200, 1, None)
    assert api("GET", path).json() == before
    assert api("POST", f"/hooks/{name}", {"a": 1}).status_code == 202
    assert api("POST", f"{path}/restore").json() == restored.json(), "once more changes nothing"
    did = [it["action"] for it in api("GET", f"/api/v1/audit?subject={name}&action=workflow").json()["items"]]
    assert did == ["workflow.restored", "workflow.deleted", "workflow.tagged", "workflow.published", "workflow.made"]


def test_what_was_never_published_or_never_there(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    assert api("DELETE", path).json()["type"] == "/problems/unknown-workflow"
    assert api("POST", f"{path}/restore").json()["type"] == "/problems/unknown-workflow"
    api("PUT", path, transform())
    assert api("DELETE", path).status_code == 204
    assert api("POST", f"{path}/restore").json()["published"] is None
    assert api("POST", f"{path}/versions").status_code == 201
