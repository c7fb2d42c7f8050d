"""Whatever is sent, the API answers, with what its OpenAPI document tells of, and never with an error of ours."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.conftest import Api, Server, transform, until

TEMPLATES = [
    "/api/v1/workflows",
    "/api/v1/workflows/{}",
    "/api/v1/workflows/{}/versions",
    "/api/v1/workflows/{}/versions/{}",
    "/api/v1/workflows/{}/runs",
    "/api/v1/schedules",
    "/api/v1/schedules/{}",
    "/api/v1/schedules/{}/{}",
    "/api/v1/secrets",
    "/api/v1/secrets/{}",
    "/api/v1/audit",
    "/api/v1/endpoints",
    "/api/v1/endpoints/{}",
    "/api/v1/endpoints/{}/{}",
    "/api/v1/deliveries",
    "/api/v1/deliveries/test",
    "/api/v1/runs",
    "/api/v1/runs/{}",
    "/api/v1/runs/{}/events",
    "/api/v1/runs/{}/steps",
    "/api/v1/runs/{}/steps/{}",
    "/api/v1/receipts/{}",
    "/api/v1/statistics",
    "/api/v1/statistics/{}",
    "/problems/{}",
    "/hooks/{}",
    "/{}/{}",
]
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12) | st.sampled_from(
    ["work", "1", "-1", "99999999999999999999", "01a20849-0000-7000-8000-000000000000", "..", "%", "\x00", "\u200b"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=15,
)
parts = {
    "nodes": st.lists(json_values, max_size=3) | json_values,
    "edges": st.lists(json_values, max_size=3) | json_values,
}
bodies = st.one_of(
    st.none(),
    st.binary(max_size=60),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"value": words, "overlap_hours": json_values}).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(parts).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"workflow": words, "methods": json_values, "config": json_values, "path": words}).map(
        lambda value: json.dumps(value).encode()
    ),
)
names = [
    "status",
    "workflow",
    "endpoint",
    "outcome",
    "cursor",
    "limit",
    "after",
    "before",
    "action",
    "subject",
    "since",
    "q",
]
queries = st.dictionaries(st.sampled_from(names), words, max_size=3)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"]),
    template=st.sampled_from(TEMPLATES),
    segments=st.lists(words, min_size=2, max_size=2),
    query=queries,
    body=bodies,
)
def test_nothing_that_is_sent_breaks_it(
    api: Api, method: str, template: str, segments: list[str], query: dict[str, str], body: bytes | None
) -> None:
    path = template.format(*(quote(segment, safe="") for segment in segments))
    answer = api.raw(method, path, params=query, content=body)
    assert answer.status_code < 500, answer.text
    api.check(answer)
    if answer.status_code >= 400 and method != "HEAD":
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status_code
        assert problem["detail"]


def test_a_sender_that_goes_away_is_no_error(server: Server, api: Api) -> None:
    unfinished = b"PUT /api/v1/workflows/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{"
    for sent in (unfinished, b"GET /api/v1/runs HTTP/1.1\r\nhost: localhost\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
    until(lambda: api.raw("GET", "/healthz").status_code == 200)
    assert "request failed" not in server.said


@pytest.mark.parametrize("host", ["[::1", "[x]", "a b", "localhost@evil.example", "::1"])
def test_a_host_that_is_none_is_refused(server: Server, host: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET /api/v1/runs HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.split(b" ")[1] in (b"400", b"403"), answer


def test_all_of_a_large_run_can_be_read(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    body: Any = {"text": "é" * 2_000_000, "number": 12345678901234567890123, "float": 0.1}
    run_id = api("POST", f"/hooks/{name}", body).json()["run_id"]
    assert api("GET", f"/api/v1/runs/{run_id}").json()["trigger"]["body"] == body
    assert api("GET", f"/api/v1/runs/{run_id}/events").json()["items"][0]["trigger"]["body"] == body
