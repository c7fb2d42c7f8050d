"""meshhook endpoint: settings from a file, the delivery log, and test deliveries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Engine, Meshhook
from tests.engine.processes import free_port

RULES = {"signature": {"scheme": "github", "secrets": ["GITHUB"]}, "replay_window_s": 60}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "github.json"
    file.write_text(json.dumps(RULES, indent=2))
    return file


def test_settings_come_from_a_file_and_stay_until_they_are_changed(
    meshhook: Meshhook, engine: Engine, rules: Path
) -> None:
    assert meshhook("endpoint", "update", "/hooks/orders", "--rules", str(rules)).code == 0
    assert meshhook("endpoint", "show", "orders", "--json").json["config"] == RULES
    assert "github" in meshhook("endpoint", "list").out
    assert meshhook("endpoint", "update", "orders", "--method", "PUT", "--json").json == {
        **meshhook("endpoint", "show", "orders", "--json").json,
        "methods": ["PUT"],
    }
    shown = meshhook("endpoint", "show", "orders").out
    assert '"GITHUB"' in shown
    assert "PUT" in shown


def test_faults_of_a_file_are_told_with_their_place(meshhook: Meshhook, engine: Engine, rules: Path) -> None:
    rules.write_text('{"signature": {"scheme": "hmac", "secrets": ["X"], "header": "X-Sign", "template": "{time}"}}')
    said = meshhook("endpoint", "update", "orders", "--rules", str(rules))
    assert said.code == 1
    assert "$.signature.template: it must hold {body} once" in said.err
    assert meshhook("endpoint", "show", "orders", "--json").json["config"] == {}


def test_an_endpoint_is_deleted_once(meshhook: Meshhook, engine: Engine) -> None:
    assert meshhook("endpoint", "delete", "orders").code == 0
    for command in ("delete", "show", "deliveries", "test"):
        said = meshhook("endpoint", command, "orders")
        assert (said.code, "no endpoint 'orders'" in said.err) == (1, True), said.err


def test_deliveries_are_listed_with_their_run_or_their_reason(meshhook: Meshhook, engine: Engine) -> None:
    assert "Nothing came in here yet." in meshhook("endpoint", "deliveries", "orders").out
    (run_id,) = engine.deliver({"prices": [1]})
    engine.sql(
        "SELECT meshhook.note_refusals(ARRAY[now()], ARRAY[e.id], ARRAY[401::smallint], ARRAY['signature-wrong'], "
        "ARRAY['It fits no secret.'], ARRAY['192.0.2.1:9'], ARRAY[NULL], ARRAY[3], ARRAY[e.id], "
        "ARRAY['signature-wrong'], ARRAY[now()], ARRAY[4::bigint]) FROM meshhook.endpoints e WHERE e.path = 'orders'"
    )
    out = meshhook("endpoint", "deliveries", "orders").out
    for part in (run_id, "queued", "401 signature-wrong", "It fits no secret. (and 3 alike before it)", "192.0.2.1:9"):
        assert part in out
    assert "Refused in the last day: 4 signature-wrong." in out
    refused = meshhook("endpoint", "deliveries", "orders", "--outcome", "refused", "--json").json["items"]
    assert [it["problem"] for it in refused] == ["signature-wrong"]
    assert meshhook("endpoint", "deliveries", "orders", "--outcome", "lost").code == 2


def test_a_test_delivery_without_a_server_says_what_to_do(meshhook: Meshhook, engine: Engine) -> None:
    said = meshhook("endpoint", "test", "orders", "--port", str(free_port()))
    assert said.code == 1
    assert "does not answer" in said.err
