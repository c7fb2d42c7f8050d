"""What a client does when answers are late, missing or wrong: without a network, one act at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_origin

import httpx
import msgspec
import pytest

from meshhook.client import Client, ProblemAnswered, ServerUnreachable, UnexpectedAnswer
from meshhook.client.answers import RunDetail
from meshhook.client.operation import Answer, Event, Request
from meshhook.client.talk import Act, Item, Open, Patience, Pause, Read, Send, Talk, each, exchange, follow, wait

PATIENCE = Patience(retries=3, pause_s_max=30.0)


def sample(answer: Any) -> dict[str, Any]:
    """An answer of this class with something in every member that it must have."""
    plain = {"str": "text", "int": 1, "float": 1.0, "bool": True, "datetime": "2025-01-01T00:00:00Z"}
    return {
        field.name: plain.get(getattr(field.type, "__name__", ""), [] if get_origin(field.type) is list else None)
        for field in msgspec.structs.fields(answer)
        if field.required
    }


RUN = sample(RunDetail) | {"status": "completed", "output": 7}
GET = Client.get_run.request("r")
POST = Client.publish.request("w")
KEYED = Client.start_run.request("w", {"a": 1})
LOST = httpx.ReadError("broken")
REFUSED = httpx.ConnectError("refused")


def good(body: Any = RUN, status: int = 200) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, content=msgspec.json.encode(body))


def problem(status: int, name: str = "some-problem", **headers: str) -> Answer:
    content = msgspec.json.encode({"type": f"/problems/{name}", "title": "T", "status": status, "detail": "D."})
    told = {"content-type": "application/problem+json", **{key.replace("_", "-"): v for key, v in headers.items()}}
    return Answer(status=status, headers=told, content=content)


def page_of_proxy(status: int) -> Answer:
    return Answer(status=status, headers={"content-type": "text/html"}, content=b"<h1>Bad gateway</h1>")


def told(talk: Talk[Any], replies: Iterable[Any]) -> list[Act]:
    """Every act of a talk, answered in turn; pauses and items need no reply."""
    answers, acts = iter(replies), []
    while not talk.over:
        acts.append(talk.act)
        reply = next(answers) if isinstance(talk.act, Send | Open | Read) else None
        if isinstance(reply, httpx.TransportError):
            talk.fail(reply)
        else:
            talk.reply(reply)
    return acts


def sent(request: Request, *replies: Any) -> tuple[int, Any]:
    """How often a request was sent, and what came of it."""
    count = 0

    def counted() -> Any:
        nonlocal count
        for reply in replies:
            count += 1
            yield reply

    try:
        talk = Talk(exchange(request, PATIENCE))
        told(talk, counted())
    except Exception as error:  # noqa: BLE001 looked at by who calls
        return count, error
    return count, talk.result


def test_an_answer_is_what_the_call_says_it_is() -> None:
    count, run = sent(GET, good({**RUN, "new_member": 1, "status": "a status to come"}))
    assert (count, run.output, run.status) == (1, 7, "a status to come")


@pytest.mark.parametrize(
    ("request_", "failure", "again"),
    [
        (GET, LOST, True),
        (GET, REFUSED, True),
        (GET, problem(503), True),
        (GET, problem(429), True),
        (GET, problem(504), True),
        (GET, problem(500), False),
        (GET, problem(404), False),
        (GET, page_of_proxy(502), True),
        (GET, page_of_proxy(404), False),
        (POST, LOST, False),
        (POST, REFUSED, True),
        (POST, problem(503), True),
        (POST, problem(429), True),
        (POST, problem(504), False),
        (POST, page_of_proxy(503), False),
        (KEYED, LOST, True),
        (KEYED, problem(504), True),
        (KEYED, problem(409), False),
        (KEYED, problem(422), False),
    ],
)
def test_what_is_sent_again(request_: Request, failure: Any, again: bool) -> None:
    fine = sample(request_.answer)
    count, result = sent(request_, failure, good(fine))
    assert (count, isinstance(result, Exception)) == ((2, False) if again else (1, True)), result


def test_it_is_sent_again_so_often_and_no_more() -> None:
    count, error = sent(GET, *[LOST] * 10)
    assert (count, type(error)) == (4, ServerUnreachable)
    assert error.maybe_done
    count, error = sent(POST, *[REFUSED] * 10)
    assert (count, error.maybe_done) == (4, False)


def test_a_call_that_may_be_sent_again_has_one_key_all_the_time() -> None:
    talk = Talk(exchange(KEYED, PATIENCE))
    acts = told(talk, [LOST, LOST, good({"run_id": "r", "status_url": "u", "duplicate": True})])
    keys = {act.request.headers["idempotency-key"] for act in acts if isinstance(act, Send)}
    assert len(keys) == 1
    assert keys != {Client.start_run.request("w").headers["idempotency-key"]}


def test_pauses_are_those_the_server_asks_for() -> None:
    acts = told(Talk(exchange(GET, PATIENCE)), [problem(503, retry_after="7"), good()])
    [pause] = [act.seconds for act in acts if isinstance(act, Pause)]
    assert 7 <= pause < 8
    count, error = sent(GET, problem(429, retry_after="3600"), good())
    assert (count, error.retry_after) == (1, 3600.0)


def test_a_problem_tells_all_it_says() -> None:
    content = msgspec.json.encode(
        {
            "type": "/problems/invalid-definition",
            "title": "The definition has faults",
            "status": 422,
            "detail": "There is 1 fault.",
            "errors": [{"path": "$.nodes", "code": "x", "message": "why"}],
        }
    )
    answer = Answer(status=422, headers={"content-type": "application/problem+json"}, content=content)
    _, error = sent(GET, answer)
    assert isinstance(error, ProblemAnswered)
    assert (error.status, error.type, error.name) == (422, "/problems/invalid-definition", "invalid-definition")
    assert str(error) == "422 invalid-definition: There is 1 fault.\n  $.nodes: why"


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}', b"\xff"])
def test_what_is_no_answer_of_the_api_is_an_error(content: bytes) -> None:
    _, error = sent(GET, Answer(status=200, headers={}, content=content))
    assert isinstance(error, UnexpectedAnswer)


def test_all_pages_are_one_list() -> None:
    pages = [
        {"items": [], "next": 3},
        {"items": [{"seq": 1}, {"seq": 2}], "next": 5},
        {"items": [{"seq": 6}], "next": None},
    ]
    acts = told(Talk(each(Client.get_events, {"id": "r", "limit": 2}, PATIENCE)), map(good, pages))
    assert [act.value["seq"] for act in acts if isinstance(act, Item)] == [1, 2, 6]
    assert [act.request.query for act in acts if isinstance(act, Send)] == [
        [("limit", "2")],
        [("after", "3"), ("limit", "2")],
        [("after", "5"), ("limit", "2")],
    ]


def test_waiting_looks_less_often_and_ends_in_time() -> None:
    now, pauses = 0.0, []
    talk = Talk(wait(Client.get_run, "r", 10.0, PATIENCE, clock=lambda: now))
    while now < 10:
        talk.reply(good({**RUN, "status": "running"}))
        assert isinstance(talk.act, Pause)
        pauses.append(talk.act.seconds)
        now += talk.act.seconds
        talk.reply(None)
    with pytest.raises(TimeoutError, match="still running after 10 s"):
        talk.reply(good({**RUN, "status": "running"}))
    assert now == pytest.approx(10)
    assert pauses[0] == 0.05
    assert max(pauses) <= 1.0
    assert len(pauses) < 60
    done = Talk(wait(Client.get_run, "r", None, PATIENCE))
    assert len(told(done, [good({**RUN, "status": "failed"})])) == 1


OPENED = Answer(status=200, headers={}, content=b"")


def event(number: int) -> bytes:
    return f'id: {number}\ndata: {{"seq": {number}}}\n\n'.encode()


def test_a_stream_goes_on_where_it_broke() -> None:
    replies = [
        *(OPENED, b"retry: 100\n\n" + event(1) + event(2)[:9], LOST),
        *(REFUSED,),
        *(OPENED, event(2), event(3), None),
        *(problem(503, retry_after="1"),),
        *(OPENED, b"id: 3\nevent: end\ndata: {}\n\n"),
    ]
    acts = told(Talk(follow(Client.stream_run.request("r"), PATIENCE)), replies)
    items = [act.value for act in acts if isinstance(act, Item)]
    assert [item.data for item in items] == [{"seq": 1}, {"seq": 2}, {"seq": 3}, {}]
    assert items[-1] == Event(id="3", name="end", data={})
    opened = [act.request.headers.get("last-event-id") for act in acts if isinstance(act, Open)]
    assert opened == [None, "1", "1", "3", "3"]


def test_a_stream_that_was_all_told_is_over() -> None:
    acts = told(
        Talk(follow(Client.stream_run.request("r", after=9), PATIENCE)), [Answer(status=204, headers={}, content=b"")]
    )
    assert [type(act) for act in acts] == [Open]


@pytest.mark.parametrize("refusal", [problem(401), problem(404), problem(400), page_of_proxy(404)])
def test_a_stream_that_is_refused_is_not_asked_for_again(refusal: Answer) -> None:
    with pytest.raises((ProblemAnswered, UnexpectedAnswer)):
        told(Talk(follow(Client.stream.request(), PATIENCE)), [refusal])


def test_a_stream_gives_up_only_after_failures_in_a_row() -> None:
    replies = [part for number in range(9) for part in (OPENED, event(number), LOST)]
    with pytest.raises(ServerUnreachable):
        told(Talk(follow(Client.stream.request(), PATIENCE)), [*replies, *[REFUSED] * 10])
    talk = Talk(follow(Client.stream.request(), PATIENCE))
    for _ in range(3):
        talk.fail(REFUSED)
        talk.reply(None)  # the pause
    with pytest.raises(ServerUnreachable):
        talk.fail(REFUSED)


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (Client.get_endpoint.request("a/b c"), "/api/v1/endpoints/a/b%20c"),
        (Client.get_run.request("../x?y"), "/api/v1/runs/..%2Fx%3Fy"),
        (Client.get_version.request("w", 3), "/api/v1/workflows/w/versions/3"),
    ],
)
def test_what_stands_in_a_path_stays_there(request_: Request, url: str) -> None:
    assert request_.path == url


def test_only_what_was_given_is_sent() -> None:
    assert Client.set_secret.request("s", value="v" * 8).body == b'{"value":"vvvvvvvv"}'
    assert Client.save_schedule.request("s", workflow="w", input=None, every_s=60).body in (
        b'{"workflow":"w","every_s":60,"input":null}',
        b'{"workflow":"w","input":null,"every_s":60}',
    )
    assert Client.list_runs.request(status=["failed", "cancelled"], limit=5).query == [
        ("status", "failed"),
        ("status", "cancelled"),
        ("limit", "5"),
    ]
    assert Client.signal_run.request("run", name="paid", id_="once").body == b'{"name":"paid","id":"once"}'
    assert Client.start_run.request("w").body is None
    assert "if-match" not in Client.save_draft.request("w", {}).headers
    assert Client.save_draft.request("w", {}, if_match='"x"', faulty=True).query == [("faulty", "true")]


def test_a_key_of_the_caller_is_left_alone() -> None:
    assert Client.start_run.request("w", idempotency_key="mine").headers["idempotency-key"] == "mine"
    signed = Client.deliver_webhook.request("p", b"x", webhook_id="id-of-sender", headers={"X-Sign": "s"})
    assert signed.headers == {"webhook-id": "id-of-sender", "x-sign": "s", "content-type": "application/json"}
    assert Client.deliver_webhook.request("p", b"x", headers={"Idempotency-Key": "k"}).headers["idempotency-key"] == "k"
    assert Client.deliver_webhook.request("p", {"a": 1}).body == b'{"a":1}'


def test_a_call_with_a_wrong_argument_is_never_sent() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        Client.list_runs.request(nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="name"):
        Client.publish.request()  # type: ignore[call-arg]
