"""How a call proves who it is, from the definition to what arrives at a real server."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.engine.test_calls_machine import call_of, workflow
from tests.engine.test_egress import Sink, open_way, sink

from meshhook.egress import Egress
from meshhook.errors import DefinitionError, ExpressionError
from meshhook.model import CallError, Response
from meshhook.reach import AllowList
from meshhook.signatures import standard_webhooks
from meshhook.signatures.standard_webhooks import StandardWebhooks

__all__ = ["open_way", "sink"]

URL = "http://x.example/"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"type": "bearer", "token": "t-{{ input }}"}, {"authorization": "Bearer t-7"}),
        (
            {"type": "basic", "user": "Aladdin", "password": "open sesame"},
            {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        ),
        ({"type": "header", "name": "X-Api-Key", "value": "{{ input }}"}, {"x-api-key": "7"}),
    ],
)
def test_a_proof_is_a_header(auth: dict[str, Any], expected: dict[str, str]) -> None:
    assert call_of({"url": URL, "auth": auth}, 7).request.headers == expected


def test_values_of_secrets_come_when_the_call_is_sent() -> None:
    call = call_of(
        {"url": URL, "auth": {"type": "basic", "user": "{{ secrets.USER }}", "password": "{{ secrets.PASS }}"}}
    )
    assert call.secrets == {"USER", "PASS"}
    assert call.fill is not None
    filled = call.fill({"USER": "u", "PASS": "p:w"})
    assert filled.headers == {"authorization": "Basic " + base64.b64encode(b"u:p:w").decode()}
    with pytest.raises(ExpressionError, match="colon"):
        call.fill({"USER": "u:x", "PASS": "p"})
    signed = call_of({"url": URL, "auth": {"type": "standard_webhooks", "secret": "{{ secrets.KEY }}"}})
    assert signed.fill is not None
    assert signed.fill({"KEY": SECRET}).signing_secret == SECRET
    assert SECRET not in repr(signed.fill({"KEY": SECRET}))


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"auth": {"type": "bearer"}}, "$.nodes[0].config.auth"),
        ({"auth": {"type": "bearer", "token": "x", "user": "y"}}, "$.nodes[0].config.auth"),
        ({"auth": {"type": "magic"}}, "$.nodes[0].config.auth.type"),
        ({"auth": {"type": "header", "name": "a b", "value": "x"}}, "$.nodes[0].config.auth.name"),
        ({"auth": {"type": "header", "name": "Host", "value": "x"}}, "$.nodes[0].config.auth.name"),
        ({"auth": {"type": "bearer", "token": "{{ a( }}"}}, "$.nodes[0].config.auth.token"),
        (
            {"auth": {"type": "bearer", "token": "x"}, "headers": {"Authorization": "y"}},
            "$.nodes[0].config.headers.Authorization",
        ),
        (
            {"auth": {"type": "standard_webhooks", "secret": "x"}, "retry": {"statuses": [410]}},
            "$.nodes[0].config.retry.statuses",
        ),
        ({"output": "{{ secrets.KEY }}"}, "$.nodes[0].config.output"),
    ],
)
def test_a_wrong_proof_is_a_fault_with_its_path(config: dict[str, Any], path: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        workflow({"url": URL} | config)
    assert path in [fault.path for fault in caught.value.faults]


async def test_each_attempt_is_signed_anew_under_one_id(sink: Sink) -> None:
    now = 1_614_265_330.0
    egress = Egress(AllowList.parse("127.0.0.0/8"), clock=lambda: now)
    call = call_of({
        "url": f"http://127.0.0.1:{sink.port}/", "method": "POST", "text": "{{ input }}",
        "auth": {"type": "standard_webhooks", "secret": SECRET},
    }, "hello")  # fmt: skip
    for key in ('"run/call"', '"run/call"', '"run/other"'):
        assert isinstance(await egress.send(call.request, {"idempotency-key": key}), Response)
        now += 60
    await egress.close()
    verify = standard_webhooks.verifier(StandardWebhooks(secrets=("KEY",)), [SECRET.encode()], 300)
    headers = [{name.lower(): value for name, value in seen.headers.items()} for seen in sink.seen]
    ids = [
        verify(seen.get, body, int(seen["webhook-timestamp"])).key
        for seen, body in zip(headers, sink.bodies, strict=True)
    ]
    assert ids[0] == ids[1] != ids[2]
    assert [seen["webhook-timestamp"] for seen in headers] == ["1614265330", "1614265390", "1614265450"]


async def test_a_secret_that_cannot_sign_fails_the_call_and_is_not_told(sink: Sink, open_way: Egress) -> None:
    call = call_of(
        {"url": f"http://127.0.0.1:{sink.port}/", "auth": {"type": "standard_webhooks", "secret": "whsec_%%%"}}
    )
    result = await open_way.send(call.request, {})
    assert isinstance(result, CallError)
    assert (result.type, result.sent) == ("secret", "no")
    assert "%%%" not in result.reason
    assert not sink.seen


def test_the_output_is_what_the_workflow_makes_of_the_response() -> None:
    template = {"code": "{{ status }}", "who": "{{ body.name }}", "in": "{{ input }}", "run": "{{ run.id }}"}
    call = call_of({"url": URL, "output": template, "success": "body.name == input"}, "Ada")
    assert call.succeeded(Response(500, {}, {"name": "Ada"}))
    assert not call.succeeded(Response(200, {}, {"name": "Bob"}))
    assert call.output(Response(200, {}, {"name": "Ada"})) == {"code": 200, "who": "Ada", "in": "Ada", "run": "r"}
    plain = call_of({"url": URL})
    assert plain.output(Response(200, {"a": "b"}, "x")) == {"status": 200, "headers": {"a": "b"}, "body": "x"}


def test_an_output_that_fails_says_why() -> None:
    with pytest.raises(ExpressionError, match="abs"):
        call_of({"url": URL, "output": "{{ abs(body) }}"}).output(Response(200, {}, "text"))
