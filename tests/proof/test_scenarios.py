"""The reference models, against examples worked out by hand."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from meshproof import scenarios
from meshproof.placing import placed
from meshproof.sink import is_wanted
from meshproof.sink.script import parse


def model(scenario: str, sent: Any) -> tuple[str, Any]:
    return tuple(scenarios.load(scenario).model(json.dumps(sent).encode()))  # type: ignore[return-value]


def test_every_scenario_of_the_suite_is_there() -> None:
    assert {"simple", "pipeline", "chain", "diamond", "wide", "large", "duplicates", "mixed"} | {
        "http_call",
        "retry_storm",
        "timer_herd",
        "sleepers",
    } <= set(scenarios.names())


def test_an_unknown_scenario_is_refused_by_name() -> None:
    with pytest.raises(scenarios.UnknownScenarioError, match=r"no scenario 'simpel'.*simple"):
        scenarios.load("simpel")


@pytest.mark.parametrize("name", scenarios.names())
def test_payloads_depend_on_seed_and_index_alone(name: str) -> None:
    scenario = scenarios.load(name)
    assert scenario.payload(1, 2) == scenario.payload(1, 2)
    assert len({scenario.payload(seed, index) for seed in (1, 2) for index in range(20)}) == 40
    assert scenario.summary.endswith(".")


@pytest.mark.parametrize("name", scenarios.names())
def test_payloads_are_json_and_their_outcome_is_too(name: str) -> None:
    scenario = scenarios.load(name)
    for index in range(3 if name == "large" else 200):
        json.loads(scenario.payload(3, index))
        status, output = scenario.expected(3, index)
        assert status in ("completed", "failed", "cancelled")
        assert json.loads(json.dumps(output)) == output


def test_simple() -> None:
    sent = {"id": 7, "name": None, "note": "🦑é", "tags": ["a", "b"], "value": []}
    assert model("simple", sent) == (
        "completed",
        {
            "id": 7,
            "greeting": "Hello , you have 2 tags",
            "letters": 2,
            "note": "🦑é",
            "value": [],
            "absent": None,
            "kept": ["as it is", 1, None],
        },
    )


def test_simple_reads_escapes_as_the_characters_they_stand_for() -> None:
    body = rb'{"id": 1, "name": "\u0141", "note": "\ud83e\udd91\u0000", "tags": [], "value": 18446744073709551615}'
    status, output = scenarios.load("simple").model(body)
    assert (status, output["letters"], output["note"]) == ("completed", 2, "🦑\0")
    assert output["greeting"] == "Hello Ł, you have 0 tags"
    assert output["value"] == 18446744073709551615


def test_simple_sends_what_real_senders_send() -> None:
    bodies = b"".join(scenarios.load("simple").payload(1, index) for index in range(500))
    for kind in (b"\\u0000", b"\\ud83e", "🦑".encode(), b"null", b"[]", b"{}", b"9007199254740993", b"\n  "):
        assert kind in bodies


def order(*prices: int) -> dict[str, Any]:
    return {
        "user": {"name": "Ada", "email": "ada@example.com"},
        "items": [{"sku": f"S{price}", "price": price} for price in prices],
        "ts": 1767225600,
        "type": "order.created",
    }


@pytest.mark.parametrize(
    ("prices", "total", "large"),
    [((), 0, False), ((19_999,), 19_999, False), ((10_000, 10_000), 20_000, True), ((1, 2, 3), 6, False)],
)
def test_pipeline(prices: tuple[int, ...], total: int, large: bool) -> None:
    assert model("pipeline", order(*prices)) == (
        "completed",
        {
            "customer": "Ada",
            "email": "ada@example.com",
            "event": "order.created",
            "at": 1767225600,
            "total": total,
            "count": len(prices),
            "large": large,
        },
    )


def test_chain() -> None:
    assert model("chain", {"value": -5, "trail": "", "label": "ł"}) == (
        "completed",
        {"value": 50, "trail": ">1>2>3>4>5>6>7>8>9>10", "label": "ł"},
    )


@pytest.mark.parametrize(
    ("grams", "express", "by", "days"),
    [
        ([], False, "letter", 3),
        ([2_000], False, "letter", 3),
        ([2_001], False, "courier", 1),
        ([10], True, "courier", 1),
        ([30_000], False, "courier", 1),
        ([15_000, 15_001], True, "freight", 5),
    ],
)
def test_diamond(grams: list[int], express: bool, by: str, days: int) -> None:
    sent = {
        "id": 3,
        "parcels": [{"grams": g} for g in grams],
        "to": {"name": "Zoë", "city": "東京", "express": express},
    }
    assert model("diamond", sent) == (
        "completed",
        {"address": "Zoë, 東京", "code": f"MH-3-{len(grams)}", "by": by, "days": days},
    )


def test_wide() -> None:
    status, output = model("wide", {"base": 100, "rows": ["zero", "one"]})
    assert status == "completed"
    assert len(output) == 50
    assert output["part_00"] == {"part": 0, "value": 100, "row": "zero"}
    assert output["part_02"] == {"part": 2, "value": 102, "row": None}
    assert output["part_49"] == {"part": 49, "value": 149, "row": None}


def test_large_is_exactly_as_large_as_it_says() -> None:
    body = scenarios.load("large").payload(1, 5)
    assert len(body) == 200_000
    sent = json.loads(body)
    _, output = scenarios.load("large").expected(1, 5)
    assert output["first"] == sent["rows"][0]
    assert output["count"] == len(sent["rows"]) > 500


def test_duplicates() -> None:
    assert model("duplicates", {"id": 1, "payer": "李", "cents": 0}) == (
        "completed",
        {"text": "李 paid 0", "paid": False},
    )


def intake(**changed: Any) -> dict[str, Any]:
    base = {
        "id": "ord_1",
        "kind": "order",
        "customer": {"name": "Ada"},
        "note": "n",
        "items": [{"sku": "A", "cents": 1000}, {"sku": "B", "cents": 1001}, {"sku": "C", "cents": None}],
    }
    return {key: value for key, value in {**base, **changed}.items() if value is not ...}


def test_mixed_prices_an_order_and_passes_over_a_price_of_null() -> None:
    assert model("mixed", intake()) == (
        "completed",
        {"price": {"cents": 2001, "lines": 3}, "thanks": "Thank you, Ada!", "skus": ["B"]},
    )


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"kind": "refund", "items": []}, ("completed", {"order": "ord_1", "refunded": True, "note": "n"})),
        ({"items": []}, ("failed", {"order": "ord_1", "refused": "empty"})),
        ({"items": ...}, ("failed", None)),
        ({"items": [{"sku": "A", "cents": "12.50"}]}, ("failed", None)),
    ],
)
def test_mixed_ends_early_or_fails(changed: dict[str, Any], outcome: tuple[str, Any]) -> None:
    assert model("mixed", intake(**changed)) == outcome


def test_mixed_has_runs_of_every_end() -> None:
    outcomes = [scenarios.load("mixed").expected(1, index) for index in range(200)]
    assert {(status, output is None) for status, output in outcomes} == {
        ("completed", False),
        ("failed", False),
        ("failed", True),
    }


def test_a_call_ends_as_the_last_word_of_its_script_says() -> None:
    message = "shipped 7"
    receipt = hashlib.sha256(message.encode()).hexdigest()
    sent = {"id": 7, "message": message, "script": "503 reset;ms=5 201;ms=20"}
    assert model("http_call", sent) == ("completed", {"id": 7, "status": 201, "receipt": receipt})
    assert model("http_call", {**sent, "script": "503 422"}) == ("failed", None)
    assert model("http_call", {**sent, "script": "503"}) == ("failed", None)


def test_a_call_has_attempts_to_spare() -> None:
    """Every worker that is killed costs an attempt, and may not change how the run ends."""
    from meshproof.scenarios import http_call, retry_storm

    for module in (http_call, retry_storm):
        scripts = [json.loads(module.payload(1, index))["script"].split() for index in range(1_000)]
        assert max(map(len, scripts)) <= module.ATTEMPTS - 3
        assert all(parse(" ".join(script)) for script in scripts)


def test_some_calls_fail_for_good_and_some_hang() -> None:
    scenario = scenarios.load("http_call")
    outcomes = [scenario.expected(1, index).status for index in range(1_000)]
    assert 20 < outcomes.count("failed") < 100
    assert any(b"hang" in scenario.payload(1, index) for index in range(1_000))


def test_a_storm_is_weathered() -> None:
    sent = {"id": 3, "name": "Ada", "script": "503;after=2 200"}
    assert model("retry_storm", sent) == ("completed", {"receipt": hashlib.sha256(b"Ada 3").hexdigest()})


def test_sleeping_changes_nothing() -> None:
    assert model("sleepers", {"name": "Ada", "seconds": 41}) == ("completed", {"name": "Ada", "slept": 41})
    assert model("timer_herd", {"name": "Ada", "number": 4}) == ("completed", {"name": "Ada", "number": 4})


def test_names_in_a_definition_give_way_to_the_sink_and_to_a_moment() -> None:
    now = datetime(2027, 1, 31, 8, tzinfo=UTC)
    bell = placed(scenarios.load("timer_herd").definition, None, now)["nodes"][0]["config"]
    assert bell == {"until": "2027-01-31T08:00:20.000+00:00"}
    called = placed(scenarios.load("http_call").definition, "http://127.0.0.1:1234", now)
    assert called["nodes"][0]["config"]["url"] == "http://127.0.0.1:1234/charges/{{ input.id }}"


def test_only_scenarios_with_calls_want_a_sink() -> None:
    assert [name for name in scenarios.names() if is_wanted([scenarios.load(name).definition])] == [
        "bulk_cancel",
        "call",
        "calls",
        "fan_out",
        "http_call",
        "key_limits",
        "retry_storm",
        "slow_call",
    ]


def test_calls_in_a_row_are_a_chain_of_hashes() -> None:
    token = "00ff"
    for number in (1, 2, 3, 4, 5):
        token = hashlib.sha256(f"{token} {number}".encode()).hexdigest()
    assert model("calls", {"token": "00ff", "number": 1}) == ("completed", token)
    receipt = hashlib.sha256(b"00ff").hexdigest()
    assert model("call", {"token": "00ff"}) == model("slow_call", {"token": "00ff"}) == ("completed", receipt)


def test_a_fan_out_gives_what_each_item_gave_in_their_order() -> None:
    items = [
        {"token": "a", "script": "503 200;ms=1"},
        {"token": "b", "script": "422"},
        {"token": "c", "script": "200"},
    ]
    receipts = [hashlib.sha256(b"a").hexdigest(), "refused 1", hashlib.sha256(b"c").hexdigest()]
    assert model("fan_out", {"items": items}) == ("completed", {"count": 3, "receipts": receipts})
    assert model("fan_out", {"items": []}) == ("completed", {"count": 0, "receipts": []})


def test_signals_what_comes_from_outside_is_what_the_model_counts_on() -> None:
    scenario = scenarios.load("signals")
    assert scenario.signals is not None
    brought: dict[str, set[tuple[str, ...]]] = {}
    for index in range(200):
        body = scenario.payload(5, index)
        sent, (status, output) = json.loads(body), scenario.model(body)
        signals = scenario.signals(body)
        brought.setdefault(sent["fate"], set()).add(tuple(signal.what for signal in signals))
        events = [signal for signal in signals if signal.what == "event"]
        assert all((event.key, event.payload) == (sent["key"], sent["parcel"]) for event in events)
        assert (status == "cancelled") == (sent["fate"] == "cancelled")
        if status == "completed":
            assert output == {"key": sent["key"], "parcel": sent["parcel"] if events else None}
    assert brought == {
        "early": {("event",)},
        "late": {("event",)},
        "twice": {("event", "event")},
        "never": {()},
        "cancelled": {("cancel", "event")},
    }


def test_naps() -> None:
    assert model("naps", {"name": "Ada", "seconds": 0.5, "number": 3, "seed": 1}) == (
        "completed",
        {"name": "Ada", "slept": 0.5},
    )


def test_tenants_and_its_neighbour_share_their_keys_and_nothing_else() -> None:
    home, next_door = scenarios.load("tenants"), scenarios.load("neighbour")
    assert (home.project, next_door.project) == ("default", "neighbour")
    ours, theirs = (json.loads(scenario.payload(5, 3)) for scenario in (home, next_door))
    assert ours["number"] == theirs["number"]
    assert scenarios.canary("default") in ours["canary"]
    assert scenarios.canary("neighbour") in theirs["canary"]
    assert home.signals is not None
    (event,) = home.signals(home.payload(5, 3))
    assert (event.key, event.payload) == ("bird 3", ours["canary"])
    assert model("tenants", ours) == ("completed", {"canary": ours["canary"], "heard": ours["canary"]})


def test_families_start_a_workflow_of_their_own_blend() -> None:
    scenario = scenarios.load("families")
    published = placed(scenario.definition, None, datetime.now(UTC), lambda name: f"n-{name}")
    assert [node["config"].get("workflow") for node in published["nodes"]] == ["n-pipeline", None]
    assert "pipeline" in scenario.blend
    order = {"user": {"name": "Ada", "email": "a@x"}, "items": [{"price": 5}], "ts": 1, "type": "order.paid"}
    status, output = model("families", {"order": order, "note": "n", "number": 1})
    assert (status, output["note"], output["order"]["total"]) == ("completed", "n", 5)
