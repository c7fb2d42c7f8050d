"""The Lab by its API, with a real suite: begun, watched, resumed, cancelled; and nothing is left when the server is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.api.conftest import Api, Server, transform, until

from meshproof.sse import Parser

SLOW = {
    "nodes": [{"id": "wait", "type": "delay", "config": {"seconds": 86_400}}],
    "edges": [{"from": "trigger", "to": "wait"}],
}
Told = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab_server(api_dsn: str, folder: Path) -> Iterator[Server]:
    made = Server(api_dsn, lab="true", lab_keep=2, data_dir=folder)
    yield made
    made.end()


@pytest.fixture(scope="module")
def lab(lab_server: Server) -> Iterator[Api]:
    made = Api(lab_server)
    yield made
    made.http.close()


def told(api: Api, id: str, after: int = 0, enough: Callable[[Told], bool] = lambda _: False) -> list[Told]:
    """What the stream of a test says behind a number, until it is enough or there is no more (``{"event": "end"}``)."""
    parser, found = Parser(), []
    headers = {"last-event-id": str(after)} if after else {}
    with api.http.stream("GET", f"/api/v1/lab/tests/{id}/stream", headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        for chunk in answer.iter_bytes():
            for event in parser.feed(chunk):
                found.append({"event": "end"} if event.name == "end" else json.loads(event.data))
                assert event.name == "end" or event.id == str(found[-1]["n"])
                if enough(found[-1]):
                    return found
    return found


def processes(folder: Path) -> list[psutil.Process]:
    """The suite, by the folder it was given, and what it has started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder / "lab") in word for word in process.cmdline()):
                found += [process, *process.children(recursive=True)]
    return found


def the_one(alive: list[psutil.Process], word: str) -> psutil.Process:
    """The process with this word in its command line; backends of Postgres come and go meanwhile."""
    for process in alive:
        with suppress(psutil.Error):
            if word in process.cmdline():
                return process
    raise AssertionError(f"no process has {word} in its command line")


def are_gone(known: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in known)


def test_where_it_is_off_it_says_what_to_do(api: Api) -> None:
    found = api("GET", "/api/v1/lab").json()
    assert (found["available"], found["offers"]) == (False, None)
    assert "Set lab to true" in found["why_not"]
    refused = api("POST", "/api/v1/lab/tests", {"scenario": "simple"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/lab-unavailable")


def test_it_tells_what_there_is_to_choose_from(lab: Api) -> None:
    found = lab("GET", "/api/v1/lab").json()
    assert found["available"], found
    assert {"mixed", "simple"} <= {one["name"] for one in found["offers"]["scenarios"]}
    assert {"kill-worker", "cut-api"} <= {one["name"] for one in found["offers"]["faults"]}
    assert all(one["summary"].endswith(".") for one in found["offers"]["faults"])
    assert found["offers"]["families"][0]["name"] == "intake"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"scenario": "simple", "rate": 5_000}, 422, "invalid-test"),
        ({"scenario": "simple", "database": "postgresql://live"}, 400, "invalid-body"),
        ({"workflow": "nobody-knows-it"}, 404, "unknown-workflow"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(lab: Api, body: Told, status: int, problem: str) -> None:
    before = lab("GET", "/api/v1/lab/tests").json()
    refused = lab("POST", "/api/v1/lab/tests", body)
    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{problem}")
    assert lab("GET", "/api/v1/lab/tests").json() == before


def test_a_workflow_that_is_not_published_is_tested_as_its_draft_alone(lab: Api, name: str) -> None:
    lab("PUT", f"/api/v1/workflows/{name}", transform())
    refused = lab("POST", "/api/v1/lab/tests", {"workflow": name})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-published")


def test_a_test_is_watched_resumed_and_cancelled_and_nothing_is_left(lab: Api, folder: Path, name: str) -> None:
    lab("PUT", f"/api/v1/workflows/{name}", SLOW)
    body = {"workflow": name, "version": "draft", "payload": {"id": 1}, "rate": 20, "duration_s": 300, "warmup_s": 0}
    begun = lab("POST", "/api/v1/lab/tests", body)
    assert begun.status_code == 202
    id = begun.json()["id"]
    busy = lab("POST", "/api/v1/lab/tests", {"scenario": "simple"})
    assert (busy.status_code, busy.json()["type"]) == (409, "/problems/lab-busy")
    assert lab("DELETE", f"/api/v1/lab/tests/{id}").status_code == 409
    assert lab("GET", f"/api/v1/lab/tests/{id}/report").status_code == 409
    assert lab("GET", f"/api/v1/lab/comparison?a={id}&b={id}").json()["type"] == "/problems/test-without-figures"

    seen = told(lab, id, enough=lambda one: one["event"] == "figures" and one["acknowledged"] > 0)
    started = next(one for one in seen if one["event"] == "started")
    assert started["adapted"] == ["wait: it waits for 2 s, not for 86400 s."]
    found = lab("GET", f"/api/v1/lab/tests/{id}").json()
    assert (found["state"], found["part"], found["adapted"]) == ("running", "load", started["adapted"])
    assert lab("GET", "/api/v1/lab").json()["running"] == id
    alive = processes(folder)
    serve, work, suite = (the_one(alive, word) for word in ("serve", "work", "meshproof.cli"))
    assert serve.nice() >= 10
    assert work.nice() >= 10
    environment = suite.environ()
    assert not any(variable.startswith(("MESHHOOK_", "PG")) for variable in environment)

    assert lab("POST", f"/api/v1/lab/tests/{id}/cancel").status_code == 202
    rest = told(lab, id, after=seen[-1]["n"])
    numbers = [one["n"] for one in [*seen, *rest] if "n" in one]
    assert numbers == list(range(1, len(numbers) + 1)), "resumed without gap or repetition"
    assert [one["event"] for one in rest][-2:] == ["ended", "end"]
    over = lab("GET", f"/api/v1/lab/tests/{id}").json()
    assert (over["state"], over["verdict"]) == ("cancelled", None)
    assert "nothing is proved" in over["reason"]
    until(lambda: are_gone(alive))
    assert lab("POST", f"/api/v1/lab/tests/{id}/cancel").json()["type"] == "/problems/test-is-over"
    assert lab("DELETE", f"/api/v1/lab/tests/{id}").status_code == 204
    assert lab("GET", f"/api/v1/lab/tests/{id}").status_code == 404


def test_what_the_suite_refuses_is_told_in_its_words(lab: Api, name: str) -> None:
    family = {
        "nodes": [{"id": "child", "type": "sub_workflow", "config": {"workflow": name}}],
        "edges": [{"from": "trigger", "to": "child"}],
    }
    lab.publish(name, family)
    id = lab("POST", "/api/v1/lab/tests", {"workflow": name}).json()["id"]
    assert told(lab, id)[-1] == {"event": "end"}
    found = lab("GET", f"/api/v1/lab/tests/{id}").json()
    assert found["state"] == "refused"
    assert "starts another workflow" in " ".join(found["reason"].split())

    stream = f"/api/v1/lab/tests/{id}/stream"
    assert lab("GET", f"{stream}?after=x").status_code == 400
    assert lab("POST", stream).status_code == 405
    assert lab("GET", "/api/v1/lab/tests/nobody/stream").status_code == 404


def test_when_the_server_is_killed_its_test_ends(api_dsn: str, tmp_path: Path) -> None:
    server = Server(api_dsn, lab="true", data_dir=tmp_path)
    try:
        lab = Api(server)
        id = lab("POST", "/api/v1/lab/tests", {"scenario": "simple", "duration_s": 300}).json()["id"]
        told(lab, id, enough=lambda one: one.get("what", "").startswith("Starting"))
        alive = until(lambda: processes(tmp_path))
        server.process.kill()
        until(lambda: are_gone(alive) and not processes(tmp_path))
        lab.http.close()
    finally:
        server.end()
    *_, last = (tmp_path / "lab" / id / "events.ndjson").read_text().splitlines()
    assert json.loads(last)["interrupted"]
