"""A workflow as it is becomes a scenario: what is changed for it, what is sent, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshproof import scenario_file, scenarios
from meshproof.draw import Draw
from meshproof.own import option
from meshproof.own.adapt import CannotTestError, adapt
from meshproof.own.document import scenario_name
from meshproof.own.template import WORDS, TemplateError, check, fill
from meshproof.plan import Plan
from meshproof.scenario_file import ScenarioFileError
from meshproof.scenarios import SINK


@pytest.fixture(autouse=True)
def _nothing_is_adopted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(scenarios.OWN, "")
        yield
    scenarios.GIVEN.clear()
    scenarios.load.cache_clear()


def workflow(*nodes: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """These nodes in a row."""
    names = ["trigger", *(node["id"] for node in nodes)]
    edges = [{"from": one, "to": other} for one, other in pairwise(names)]
    return {"nodes": list(nodes), "edges": edges, **({"settings": settings} if settings else {})}


def node(type: str, id: str = "it", **config: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "config": config}


PURE = workflow(node("transform", expression="{id: input.id}"))


def test_calls_go_to_the_sink_wherever_they_led_to() -> None:
    addresses = {
        "https://api.example.com/orders/{{ input.id }}?x=1": f"{SINK}/api.example.com/orders/{{{{ input.id }}}}?x=1",
        "http://user.example": f"{SINK}/user.example",
        "{{ input.url }}": f"{SINK}/it",
        "https://{{ input.host }}/x": f"{SINK}/it",
        "https://real.example#@x": f"{SINK}/it",
        "HTTPS://REAL.EXAMPLE/x": f"{SINK}/it",
    }
    for url, sent in addresses.items():
        inner = node("http_call", url=url, auth={"type": "bearer", "token": "{{ secrets.token }}"})
        loop = node("loop", "each", items="input.lines", body=workflow(inner))
        for made in (adapt(workflow(inner), "503 200"), adapt(workflow(loop), "503 200")):
            found = made.definition["nodes"][0]["config"]
            found = found["body"]["nodes"][0]["config"] if "body" in found else found
            assert found["url"] == sent
            assert found["headers"] == {"sink-script": "503 200"}
            assert "auth" not in found
            assert made.varies == "it makes a call"
            assert "sink" in made.changes[0]


def test_secrets_are_made_up_and_what_computes_with_them_is_refused() -> None:
    config = {"url": "https://x.example", "headers": {"x-key": "k {{ secrets.key }}"}, "json": [{"a": "{{secrets.b}}"}]}
    made = adapt(workflow(node("http_call", **config)), "200").definition["nodes"][0]["config"]
    assert made["headers"]["x-key"] == "k made-up-secret"
    assert made["json"] == [{"a": "made-up-secret"}]
    assert config["headers"]["x-key"] == "k {{ secrets.key }}", "the workflow itself stays as it was"
    with pytest.raises(CannotTestError, match="computes with a secret"):
        adapt(workflow(node("http_call", url="https://x.example", text="{{ join('', [secrets.a, 'x']) }}")), "200")


def test_long_waits_are_made_short_and_told() -> None:
    made = adapt(
        workflow(
            node("delay", "a", seconds=3600), node("delay", "b", until="{{ input.at }}"), node("delay", "c", seconds=1)
        ),
        "200",
    )
    assert [one["config"] for one in made.definition["nodes"]] == [{"seconds": 2.0}, {"seconds": 2.0}, {"seconds": 1}]
    assert made.changes == ("a: it waits for 2 s, not for 3600 s.", "b: it waits for 2 s, not as long as it computes.")
    assert (made.waits, made.varies) == (3, "")
    waiting = adapt(workflow(node("wait_event", event="paid")), "200")
    assert waiting.definition["nodes"][0]["config"]["timeout_s"] == 2.0


def test_limits_that_would_hold_a_test_up_are_left_out() -> None:
    limits = {"rate": {"limit": 1, "per_s": 1}, "concurrency": {"limit": 3}}
    assert adapt(workflow(node("transform", expression="input"), **limits), "200").definition["settings"] == {
        "concurrency": {"limit": 3}
    }
    assert adapt(workflow(node("delay", seconds=1), **limits), "200").definition["settings"] == {}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (node("transform", expression="{id: input.id}"), ""),
        (node("transform", template="{{ trigger.body.id }}"), ""),
        (node("transform", expression="run.id"), "its run or its headers"),
        (node("transform", expression='trigger.headers."webhook-id"'), "its run or its headers"),
        (node("transform", expression="trigger"), "its run or its headers"),
        (node("join", mode="any"), "whichever comes first"),
        ({**node("transform", expression="input"), "timeout_s": 5}, "may only take so long"),
        (node("wait_event", event="x"), "waits for an event"),
    ],
)
def test_whether_runs_of_one_body_must_end_alike(made: dict[str, Any], reason: str) -> None:
    found = adapt(workflow(made), "200").varies
    assert reason in found
    assert bool(found) is bool(reason)


@pytest.mark.parametrize("bad", [None, [], {}, {"nodes": "x"}, {"nodes": [1]}, {"nodes": [{"id": "x", "config": 1}]}])
def test_what_is_no_definition_is_refused(bad: Any) -> None:
    with pytest.raises(CannotTestError):
        adapt(bad, "200")


def test_another_workflow_is_not_there() -> None:
    with pytest.raises(CannotTestError, match="starts another workflow"):
        adapt(workflow(node("sub_workflow", workflow="other")), "200")


def test_a_template_gives_values_of_every_type() -> None:
    template = {
        "number": "{{ index }}",
        "text": "order {{index}} of {{ pick Ada }}",
        "list": ["{{ int -3 -3 }}", "{{ bool }}", {"deep": "{{ hex }}"}],
        "as it is": ["{ single }", 1.5, None],
    }
    made = fill(template, Draw(1, "x"), 7)
    assert made == fill(template, Draw(1, "x"), 7)
    assert (made["number"], made["text"]) == (7, "order 7 of Ada")
    assert made["list"][0] == -3
    assert isinstance(made["list"][1], bool)
    assert len(made["list"][2]["deep"]) == 16
    assert made["as it is"] == template["as it is"]
    for word in WORDS:
        check(f"{{{{ {word.replace('LOW', '1').replace('HIGH', '2')} }}}}")


@pytest.mark.parametrize("word", ["nonsense", "int 2 1", "int a b", "pick", "", "index 1"])
def test_a_placeholder_that_means_nothing_is_told_with_those_there_are(word: str) -> None:
    with pytest.raises(TemplateError, match="There are: index"):
        check([{"deep": f"x {{{{ {word} }}}}"}])


def test_a_workflow_alone_is_a_scenario_and_each_payload_is_sent_twice(tmp_path: Path) -> None:
    document = msgspec.json.encode(option.OwnWorkflow("Order Intake", PURE))
    name = scenario_file.adopt_workflow(document, "Order Intake", tmp_path)
    scenario = scenarios.load(name)
    assert (name, scenario.modelled, scenario.definition) == ("order_intake", False, PURE)
    bodies = [scenario.payload(1, index) for index in range(6)]
    assert bodies[0] == bodies[1] != bodies[2] == bodies[3] != bodies[4]
    assert json.loads(bodies[4])["id"] == 2
    # Processes of the run find it where the evidence is, once it is kept.
    scenario_file.keep(tmp_path, [name])
    scenarios.GIVEN.clear()
    scenarios.load.cache_clear()
    assert scenarios.load(name).payload(1, 5) == bodies[5]
    plan = Plan("load", name, 1, "n", rate=10.0, duration_s=1.0).document()
    assert (plan["without_model"], plan["adapted"]) == ([name], [])


def test_names_are_those_of_scenarios() -> None:
    assert scenario_name("Order Intake (v2)", []) == "order_intake_v2"
    assert scenario_name("simple", scenarios.built_in()) == "own_simple"
    assert scenario_name("42", []) == "own_42"
    assert scenario_name("注文", []) == "own"
    assert scenario_file.NAME.fullmatch(scenario_name("x" * 200, []))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"workflow": "w"}, "definition"),
        ({"workflow": "w", "definition": PURE, "calls": "sometimes"}, "sometimes"),
        ({"workflow": "w", "definition": PURE, "template": "{{ now }}"}, "no placeholder"),
        ({"workflow": "w", "definition": PURE, "model": "x"}, "model"),
        ({"workflow": "w", "definition": workflow(node("sub_workflow"))}, "another workflow"),
    ],
)
def test_what_cannot_be_tested_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, document: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ScenarioFileError, match=complaint):
        scenario_file.adopt_workflow(msgspec.json.encode(document), "w", tmp_path)
    assert (os.environ[scenarios.OWN], scenarios.GIVEN) == ("", {})
