"""Runs started by hand over the API."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from tests.api.conftest import Api, Server, transform


def test_a_run_of_a_workflow_without_an_endpoint_has_its_input(api: Api, name: str) -> None:
    api.publish(name, transform())
    answer = api("POST", f"/api/v1/workflows/{name}/runs", {"n": 12345678901234567890123})
    assert answer.status_code == 202
    made = answer.json()
    assert made == {"run_id": made["run_id"], "status_url": f"/api/v1/runs/{made['run_id']}", "duplicate": False}
    run = api("GET", made["status_url"]).json()
    assert (run["workflow"], run["endpoint"], run["delivery_key"]) == (name, None, None)
    assert run["trigger"] == {"key": None, "body": {"n": 12345678901234567890123}}
    (event,) = api("GET", made["status_url"] + "/events").json()["items"]
    assert (event["type"], event["source"]) == ("run.accepted", "manual")


@pytest.mark.parametrize("body", [None, b"", b"null", b"  \n"])
def test_nothing_is_null(api: Api, name: str, body: bytes | None) -> None:
    api.publish(name, transform())
    answer = api("POST", f"/api/v1/workflows/{name}/runs", content=body)
    assert api("GET", answer.json()["status_url"]).json()["trigger"]["body"] is None


def test_a_key_starts_one_run_alone(api: Api, name: str) -> None:
    api.publish(name, transform())
    path, headers = f"/api/v1/workflows/{name}/runs", {"idempotency-key": '"once"'}
    first = api("POST", path, {"n": 1}, headers=headers).json()
    assert api("POST", path, {"n": 1}, headers=headers).json() == {**first, "duplicate": True}
    other = api("POST", path, {"n": 2}, headers=headers)
    assert (other.status_code, other.json()["type"], other.json()["run_id"]) == (
        422,
        "/problems/key-reused",
        first["run_id"],
    )
    assert api("GET", first["status_url"]).json()["delivery_key"] == "once"


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        (b"{", {}, 400, "invalid-json"),
        (b'"\xff"', {}, 400, "invalid-json"),
        (b"[" * 101 + b"]" * 101, {}, 400, "invalid-json"),
        (b"1", {"idempotency-key": ""}, 400, "invalid-key"),
        (b"1" * (2 * 1024**2 + 1), {}, 413, "body-too-large"),
    ],
)
def test_what_can_not_be_an_input_is_refused(
    api: Api, name: str, body: bytes, headers: dict[str, str], status: int, problem: str
) -> None:
    api.publish(name, transform())
    answer = api("POST", f"/api/v1/workflows/{name}/runs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")


def test_what_is_unknown_or_unpublished_does_not_run(api: Api, name: str) -> None:
    assert api("POST", f"/api/v1/workflows/{name}/runs", 1).json()["type"] == "/problems/unknown-workflow"
    assert api("POST", "/api/v1/workflows/%00/runs", 1).json()["type"] == "/problems/unknown-workflow"
    api("PUT", f"/api/v1/workflows/{name}", transform())
    assert api("POST", f"/api/v1/workflows/{name}/runs", 1).json()["type"] == "/problems/not-published"


def test_chunks_without_a_length_are_refused(server: Server, api: Api, name: str) -> None:
    api.publish(name, transform())
    request = f"POST /api/v1/workflows/{name}/runs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(request.encode() + b"1\r\n1\r\n0\r\n\r\n")
        assert connection.recv(65536).split(b" ")[1] == b"411"


def test_the_door_holds_for_runs_by_hand_too(api_dsn: str, api_of: Callable[..., Api], name: str) -> None:
    """One live run is the most this server lets in."""
    server = Server(api_dsn, backlog_max=1)
    try:
        api = api_of(server)
        api.publish(name, transform())
        path = f"/api/v1/workflows/{name}/runs"
        refused = api("POST", path, 1)
        while refused.status_code == 202:
            refused = api("POST", path, 1)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
        assert int(refused.headers["retry-after"]) > 0
    finally:
        server.end()
