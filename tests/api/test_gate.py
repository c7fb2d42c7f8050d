"""The gate of endpoints with settings, through a real server: who may send, how fast, and what."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.conftest import Api, Server, transform

Endpoint = Callable[..., str]
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.made", "data": {"n": 1}}
IN_HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "order.made"}
STRUCTURED = {"content-type": "Application/CloudEvents+JSON"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture
def endpoint(api: Api, name: str) -> Endpoint:
    """Makes an endpoint with settings; returns its path."""
    api.publish(name, transform("{data: input, event: trigger.event}"))

    def make(**config: Any) -> str:
        answer = api(
            "PUT", f"/api/v1/endpoints/{name}", {"workflow": name, "methods": ["POST", "PUT"], "config": config}
        )
        assert answer.status_code == 200, answer.text
        return f"/hooks/{name}"

    return make


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def triggers(api: Api, name: str) -> list[dict[str, Any]]:
    runs = api("GET", f"/api/v1/runs?workflow={name}").json()["items"]
    return [api("GET", f"/api/v1/runs/{run['id']}").json()["trigger"] for run in runs]


# CloudEvents


def test_an_event_is_one_run_whatever_its_mode(api: Api, endpoint: Endpoint, name: str) -> None:
    path = endpoint(cloudevents={"batch": True})
    first = api("POST", path, {"n": 1}, headers=IN_HEADERS)
    again = api("POST", path, headers=STRUCTURED, content=json.dumps(EVENT))
    batch = api("POST", path, headers=BATCH, content=json.dumps([EVENT]))
    assert (first.status_code, again.status_code, batch.status_code) == (202, 202, 202)
    assert first.json()["duplicate"] is False
    assert again.json() == first.json() | {"duplicate": True}
    assert batch.json()["items"] == [first.json() | {"duplicate": True, "status": 202}]
    (trigger,) = triggers(api, name)
    assert trigger["body"] == {"n": 1}
    assert trigger["event"] == {name: value for name, value in EVENT.items() if name != "data"} | {
        "datacontenttype": "application/json"
    }


def test_the_same_source_and_id_with_other_data_is_refused(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(cloudevents={})
    assert api("POST", path, headers=STRUCTURED, content=json.dumps(EVENT)).status_code == 202
    other = api("POST", path, headers=STRUCTURED, content=json.dumps(EVENT | {"data": 2}))
    assert problem(other) == (422, "key-reused")


def test_each_event_of_a_batch_is_answered_on_its_own(api: Api, endpoint: Endpoint, name: str) -> None:
    path = endpoint(cloudevents={"batch": True}, schema={"required": ["n"]})
    events = [EVENT | {"id": "a"}, EVENT | {"id": ""}, EVENT | {"id": "c", "data": {}}, EVENT | {"id": "a"}, 7]
    answer = api("POST", path, headers=BATCH, content=json.dumps(events))
    assert answer.status_code == 207
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [202, 400, 422, 202, 400]
    assert items[3] == items[0] | {"duplicate": True}
    assert items[1]["errors"][0]["path"] == "$[1].id"
    assert items[2]["type"] == "/problems/invalid-payload"
    assert len(triggers(api, name)) == 1


def test_a_large_batch_is_stored_whole(api: Api, endpoint: Endpoint, name: str) -> None:
    path = endpoint(cloudevents={"batch": True})
    events = [EVENT | {"id": str(number), "data": number} for number in range(300)]
    answer = api("POST", path, headers=BATCH, content=json.dumps(events))
    assert answer.status_code == 202
    runs = [item["run_id"] for item in answer.json()["items"]]
    assert len(set(runs)) == 300
    assert api("GET", f"/api/v1/runs/{runs[7]}").json()["trigger"]["body"] == 7


def test_nothing_of_a_batch_that_is_refused_is_stored(api: Api, endpoint: Endpoint, name: str) -> None:
    body = json.dumps([EVENT, EVENT | {"id": "2"}])
    path = endpoint(cloudevents={"batch": True, "batch_max": 1})
    assert problem(api("POST", path, headers=BATCH, content=body)) == (413, "batch-too-large")
    endpoint(cloudevents={"batch": False})
    assert problem(api("POST", path, headers=BATCH, content=body)) == (415, "unsupported-event-format")
    endpoint(cloudevents={"batch": True}, schema=False)
    refused = api("POST", path, headers=BATCH, content=body)
    assert problem(refused) == (422, "invalid-payload")
    assert [item["status"] for item in refused.json()["items"]] == [422, 422]
    assert triggers(api, name) == []


def test_a_batch_of_none_is_stored_already(api: Api, endpoint: Endpoint) -> None:
    answer = api("POST", endpoint(cloudevents={"batch": True}), headers=BATCH, content="[]")
    assert (answer.status_code, answer.json()) == (202, {"items": []})


def test_only_where_events_are_required_nothing_else_is_taken(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(cloudevents={})
    assert api("POST", path, {"plain": 1}).status_code == 202
    endpoint(cloudevents={"required": True})
    assert problem(api("POST", path, {"plain": 1})) == (415, "event-required")
    avro = {"content-type": "application/cloudevents+avro"}
    assert problem(api("POST", path, headers=avro, content="x")) == (415, "unsupported-event-format")


def test_an_endpoint_without_settings_takes_them_as_any_json(api: Api, endpoint: Endpoint, name: str) -> None:
    path = endpoint()
    assert api("POST", path, headers=STRUCTURED, content=json.dumps(EVENT)).status_code == 202
    (trigger,) = triggers(api, name)
    assert trigger["body"] == EVENT
    assert "event" not in trigger


header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10).map(str.strip)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from([*IN_HEADERS, "ce-time", "ce-x", "ce-data", "webhook-id"]), header_values),
    st.sampled_from(
        ["", "application/json", "text/plain;charset=idna", STRUCTURED["content-type"], BATCH["content-type"]]
    ),
    st.binary(max_size=40) | st.sampled_from([json.dumps(EVENT).encode(), json.dumps([EVENT, {}, None]).encode()]),
)
def test_nothing_that_is_sent_breaks_the_gate(
    api: Api, endpoint: Endpoint, headers: dict[str, str], content_type: str, body: bytes
) -> None:
    path = endpoint(cloudevents={"batch": True}, schema={"properties": {"n": {"type": "integer"}}}, key_required=True)
    answer = api("POST", path, headers={**headers, "content-type": content_type}, content=body)
    assert answer.status_code in (202, 207, 400, 415, 422), answer.text
    if answer.status_code == 400 and "invalid-event" in answer.text:
        assert answer.json()["errors"][0]["path"]


# Handshake


def test_the_handshake_says_who_may_send_and_how_fast(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(handshake={"origins": ["events.example"]}, rate_limit={"quota": 120, "window_s": 30})
    asked = {"webhook-request-origin": "Events.example", "webhook-request-rate": "1000"}
    answer = api.raw("OPTIONS", path, headers=asked)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["webhook-allowed-origin"] == "Events.example"
    assert answer.headers["webhook-allowed-rate"] == "240"
    assert answer.headers["allow"] == "POST, PUT, OPTIONS"
    asked["webhook-request-origin"] = "other.example"
    refused = api.raw("OPTIONS", path, headers=asked)
    assert problem(refused) == (403, "origin-refused")
    assert "webhook-allowed-origin" not in refused.headers
    assert problem(api.raw("OPTIONS", path)) == (400, "invalid-handshake")
    asked |= {"webhook-request-origin": "events.example", "webhook-request-rate": "fast"}
    assert problem(api.raw("OPTIONS", path, headers=asked)) == (400, "invalid-handshake")


def test_without_the_setting_there_is_no_handshake(api: Api, endpoint: Endpoint) -> None:
    asked = {"webhook-request-origin": "events.example"}
    assert problem(api.raw("OPTIONS", endpoint(), headers=asked)) == (405, "method-not-allowed")
    assert problem(api.raw("OPTIONS", endpoint(key_required=True), headers=asked)) == (405, "method-not-allowed")
    assert api.raw("OPTIONS", endpoint(handshake={}), headers=asked).headers["webhook-allowed-rate"] == "*"


# Schema, key


def test_a_payload_that_does_not_fit_is_refused_with_its_faults(api: Api, endpoint: Endpoint, name: str) -> None:
    path = endpoint(schema={"type": "object", "properties": {"lines": {"items": {"required": ["sku"]}}}})
    refused = api("POST", path, {"lines": [{"sku": 1}, {}]})
    assert problem(refused) == (422, "invalid-payload")
    assert refused.json()["errors"] == [
        {"path": "$.lines[1]", "code": "required", "message": "'sku' is a required property"}
    ]
    assert triggers(api, name) == []
    assert api("POST", path, {"lines": [{"sku": 1}]}).status_code == 202
    assert problem(api("POST", path, content=b"text", headers={"content-type": "text/plain"})) == (
        422,
        "invalid-payload",
    )


def test_a_hostile_pattern_keeps_nobody_waiting(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(schema={"pattern": "^(a+)+$"})
    assert problem(api("POST", path, "a" * 100 + "!")) == (422, "payload-too-complex")
    assert api("POST", path, "a" * 100).status_code == 202


def test_where_a_key_is_required_none_is_a_fault(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(key_required=True, cloudevents={})
    assert problem(api("POST", path, 1)) == (400, "key-required")
    assert api("POST", path, 1, headers={"idempotency-key": "a"}).status_code == 202
    assert api("POST", path, 1, headers={"webhook-id": "b"}).status_code == 202
    assert api("POST", path, 1, headers=IN_HEADERS).status_code == 202


# Rate


def test_more_than_the_quota_is_told_when_to_come_back(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(rate_limit={"quota": 5, "window_s": 3_600})
    answers = [api("POST", path, number) for number in range(7)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"burst";q=5;w=3600'
    assert answers[0].headers["ratelimit"].startswith('"burst";r=4;t=')
    assert problem(answers[5]) == (429, "rate-limited")
    assert 1 <= int(answers[5].headers["retry-after"]) <= 720
    assert answers[5].headers["ratelimit"] == f'"burst";r=0;t={answers[5].headers["retry-after"]}'


def test_a_batch_counts_by_its_events(api: Api, endpoint: Endpoint) -> None:
    path = endpoint(rate_limit={"quota": 5, "window_s": 3_600}, cloudevents={"batch": True})
    events = [EVENT | {"id": str(number)} for number in range(6)]
    assert api("POST", path, headers=BATCH, content=json.dumps(events)).status_code == 202
    assert problem(api("POST", path, 1)) == (429, "rate-limited")


def test_the_limit_holds_over_all_servers(server: Server, api: Api, endpoint: Endpoint) -> None:
    path = endpoint(rate_limit={"quota": 40, "window_s": 3_600})
    other = Server(server.dsn)
    try:
        with closing(Api(other).http) as second:
            statuses = [sent.post(path, json=1).status_code for _ in range(30) for sent in (api.http, second)]
    finally:
        other.end()
    assert set(statuses) == {202, 429}
    assert 35 <= statuses.count(202) <= 40  # one may hold up to an eighth that the other would have used


# Addresses


@pytest.mark.parametrize(("allowed", "status"), [(["127.0.0.0/8", "::1"], 202), (["10.0.0.0/8"], 403), ([], 403)])
def test_only_listed_addresses_may_send(api: Api, endpoint: Endpoint, allowed: list[str], status: int) -> None:
    path = endpoint(allow_ips=allowed)
    claimed = {"x-forwarded-for": "10.1.1.1"}  # no proxy is trusted, so nobody is believed
    assert api("POST", path, 1, headers=claimed).status_code == status


def test_a_trusted_proxy_is_believed(server: Server, api: Api, endpoint: Endpoint) -> None:
    path = endpoint(allow_ips=["203.0.113.0/24"])
    behind = Server(server.dsn, trusted_proxies="127.0.0.1, 10.0.0.0/8")
    try:
        with closing(Api(behind).http) as http:

            def status(*forwarded: str) -> int:
                return http.post(path, json=1, headers=[("x-forwarded-for", hop) for hop in forwarded]).status_code

            assert status("203.0.113.9") == 202
            assert status("203.0.113.9, 10.2.2.2") == 202
            assert status("1.2.3.4", "203.0.113.9") == 202
            assert status("203.0.113.9", "1.2.3.4") == 403
            assert status("nonsense") == 403
            assert status() == 403
    finally:
        behind.end()
