"""``meshhook run``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Engine, Meshhook


def test_a_run_is_started_with_its_input(meshhook: Meshhook, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"prices": [4, 5, 6]}')
    started = meshhook("run", "orders", "--input", str(file), "--key", "one", "--json").json
    assert not started["duplicate"]
    assert "was started earlier" in meshhook("run", "orders", "--input", str(file), "--key", "one").out
    engine.work()
    ended = meshhook("run", "orders", "--input", str(file), "--key", "one", "--wait")
    assert (ended.code, json.loads(ended.out)) == (0, {"big": 15})
    shown = meshhook("runs", "show", started["run_id"], "--json").json
    assert shown["trigger"] == {"key": "one", "body": {"prices": [4, 5, 6]}}


def test_waiting_for_a_run_that_fails_is_a_failure(meshhook: Meshhook, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"prices": [4]}')
    meshhook("run", "orders", "--input", str(file), "--key", "one")
    engine.work()
    ended = meshhook("run", "orders", "--input", str(file), "--key", "one", "--wait", "--json")
    assert (ended.code, ended.json["status"], ended.json["error"]["reason"]) == (1, "failed", "only 4")


def test_what_can_not_be_started_says_why(meshhook: Meshhook, engine: Engine, tmp_path: Path) -> None:
    assert "There is no workflow 'none'" in meshhook("run", "none").err
    file = tmp_path / "order.json"
    file.write_text("{")
    assert "no valid JSON" in meshhook("run", "orders", "--input", str(file)).err
    assert "1 to 255 printable" in meshhook("run", "orders", "--key", "é").err
