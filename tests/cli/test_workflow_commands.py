"""meshhook workflow, endpoint and key."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import DEFINITION, Meshhook

from meshhook.definition import SCHEMA


def test_a_valid_file_is_valid(meshhook: Meshhook, definition: Path) -> None:
    assert meshhook("workflow", "validate", str(definition))[:2] == (0, f"{definition} is valid.\n")
    assert meshhook("workflow", "validate", str(definition), "--json").json == {
        "valid": True,
        "errors": [],
        "warnings": [],
    }


BROKEN = """{
  "nodes": [
    {"id": "a", "type": "transform", "config": {"expression": "sum(input"}},
    {"id": "b", "type": "brunch"}
  ],
  "edges": [{"from": "trigger", "to": "a"}, {"from": "a", "to": "nowhere"}]
}"""


def test_every_fault_is_shown_where_it_stands(meshhook: Meshhook, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(BROKEN)
    said = meshhook("workflow", "validate", str(file))
    assert said.code == 1
    for path, code, place in (
        ("$.nodes[0].config.expression", "bad-expression", "line 3, column 63"),
        ("$.nodes[1].type", "unknown-node-type", "line 4, column 25"),
        ("$.edges[1].to", "dangling-edge", "line 6, column 65"),
    ):
        assert f"{path}  {code}\n  {place} │ " in said.out
    lines = said.out.splitlines()
    caret = next(number for number, line in enumerate(lines) if "line 4" in line)
    begin = lines[caret + 1].index("^")
    assert lines[caret][begin : begin + lines[caret + 1].count("^")] == '"brunch"'
    faults = meshhook("workflow", "validate", str(file), "--json").json
    assert {fault["path"] for fault in faults["errors"]} >= {"$.nodes[1].type", "$.edges[1].to"}


def test_what_is_no_json_is_shown_too(meshhook: Meshhook, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, place in (('{"é": [1,\n 2 3]}', "line 2, column 4"), ("", None), ("{", "line 1, column 2")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        said = meshhook("workflow", "validate", "-")
        assert (said.code, "no-json" in said.out) == (1, True)
        assert place is None or place in said.out


def test_a_file_that_cannot_be_read_is_a_wrong_call(meshhook: Meshhook, tmp_path: Path) -> None:
    said = meshhook("workflow", "validate", str(tmp_path / "none.json"))
    assert (said.code, said.out) == (2, "")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe")
    assert meshhook("workflow", "validate", str(binary)).code == 2


def test_from_a_file_to_an_endpoint(meshhook: Meshhook, definition: Path) -> None:
    assert meshhook("workflow", "apply", "orders", str(definition)).code == 0
    assert meshhook("workflow", "show", "orders", "--json").json["changed"]
    assert "Version 1 of orders is published" in meshhook("workflow", "publish", "orders").out
    assert "was already published" in meshhook("workflow", "publish", "orders").out
    assert meshhook("workflow", "publish", "orders", "--json").json["version"] == 1
    made = meshhook("endpoint", "create", "/hooks/shop", "orders", "--method", "put", "--json")
    assert {"path": "shop", "workflow": "orders", "methods": ["PUT"]}.items() <= made.json.items()
    assert [it["path"] for it in meshhook("endpoint", "list", "--json").json["items"]] == ["shop"]
    assert "/hooks/shop" in meshhook("endpoint", "list").out
    listed = meshhook("workflow", "list", "--json").json["items"]
    assert [(it["name"], it["published"]) for it in listed] == [("orders", 1)]
    shown = meshhook("workflow", "show", "orders").out
    assert all(word in shown for word in ("total", "branch", "is what is published"))


def test_apply_saves_nothing_that_has_faults(meshhook: Meshhook, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(BROKEN)
    assert meshhook("workflow", "apply", "orders", str(file), "--publish").code == 1
    assert meshhook("workflow", "list", "--json").json == {"items": []}


def test_export_gives_what_apply_takes(meshhook: Meshhook, definition: Path, tmp_path: Path) -> None:
    meshhook("workflow", "apply", "orders", str(definition), "--publish")
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps({**DEFINITION, "description": "later"}))
    meshhook("workflow", "apply", "orders", str(changed))
    assert meshhook("workflow", "export", "orders").json == DEFINITION
    assert meshhook("workflow", "export", "orders", "--draft").json["description"] == "later"
    meshhook("workflow", "publish", "orders")
    assert meshhook("workflow", "export", "orders", "--version", "1").json == DEFINITION
    assert meshhook("workflow", "export", "orders", "--version", "3").code == 1
    assert meshhook("workflow", "export", "orders", "--version", "1", "--draft").code == 2


def test_the_schema_is_printed(meshhook: Meshhook) -> None:
    assert meshhook("workflow", "schema").json == json.loads(json.dumps(SCHEMA))


def test_keys_are_shown_once_and_belong_to_projects(meshhook: Meshhook) -> None:
    made = meshhook("key", "create", "ci", "--json").json
    assert made["key"].startswith("mh_")
    assert meshhook("key", "create", "ci").code == 1, "the name is taken"
    alone = meshhook("key", "create", "other")
    assert alone.out.startswith("mh_")
    assert alone.out.count("\n") == 1, "so that a shell can take it"
    assert meshhook("key", "create", "deploy", "--project", "shop").code == 1, "a wrong name makes no project"
    assert meshhook("key", "create", "deploy", "--project", "shop", "--new-project").code == 0
    assert [it["name"] for it in meshhook("key", "list", "--json").json["items"]] == ["ci", "other"]
    assert [it["name"] for it in meshhook("key", "list", "--project", "shop", "--json").json["items"]] == ["deploy"]
    assert made["key"] not in meshhook("key", "list").out
    assert meshhook("key", "revoke", "ci").code == 0
    assert [it["revoked_at"] is not None for it in meshhook("key", "list", "--json").json["items"]] == [True, False]
    assert meshhook("key", "revoke", "nobody").code == 1


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("workflow", "show", "nope"), "error: There is no workflow 'nope'."),
        (("workflow", "publish", "nope"), "error: There is no workflow 'nope'."),
        (("workflow", "list", "--project", "nope"), "error: There is no project 'nope'."),
        (("endpoint", "create", "a b", "orders"), "error: 'a b' is no path for an endpoint"),
        (("endpoint", "create", "a", "nope"), "error: There is no workflow 'nope'."),
        (("runs", "show", "nope"), "error: There is no run 'nope'."),
        (("runs", "list", "--cursor", "nope"), "error: Use the `next`"),
    ],
)
def test_a_refusal_is_one_sentence(meshhook: Meshhook, command: tuple[str, ...], says: str) -> None:
    said = meshhook(*command)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_a_database_without_schema_says_what_to_do(
    meshhook: Meshhook, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHHOOK_DATABASE_URL", dsn)
    said = meshhook("workflow", "list")
    assert said.code == 1
    assert "Run `meshhook migrate` first." in said.err


def test_what_may_be_a_mistake_is_told_and_never_refused(meshhook: Meshhook, tmp_path: Path) -> None:
    file = tmp_path / "posting.json"
    call = {"id": "pay", "type": "http_call", "config": {"url": "https://x.example/", "method": "POST"}}
    file.write_text(json.dumps({"nodes": [call], "edges": [{"from": "trigger", "to": "pay"}]}, indent=2))
    checked = meshhook("workflow", "validate", str(file))
    assert (checked.code, checked.out) == (0, f"{file} is valid.\n")
    assert "$.nodes[0].config  unsafe-retry" in checked.err
    assert "line 6" in checked.err
    applied = meshhook("workflow", "apply", "posting", str(file), "--json").json
    assert (applied["name"], [it["code"] for it in applied["warnings"]]) == ("posting", ["unsafe-retry"])
    published = meshhook("workflow", "publish", "posting")
    assert (published.code, "unsafe-retry" in published.err) == (0, True)


def test_a_draft_is_tried(meshhook: Meshhook, definition: Path, tmp_path: Path) -> None:
    meshhook("workflow", "apply", "tried", str(definition))
    output = tmp_path / "output.json"
    output.write_text('{"total": 1}')
    node = DEFINITION["nodes"][0]["id"]
    begun = meshhook("workflow", "try", "tried", "--input", str(output), "--pin", f"{node}={output}", "--json").json
    shown = meshhook("runs", "show", begun["run_id"], "--json").json
    assert (shown["test"], shown["pinned"], shown["trigger"]["body"]) == (True, [node], {"total": 1})
    assert "tried (test)" in meshhook("runs", "list", "--test").out
    assert begun["run_id"] not in meshhook("runs", "list", "--no-test").out
    assert "as in charge=charged.json" in meshhook("workflow", "try", "tried", "--pin", node).err


def test_a_workflow_is_tagged_put_away_and_taken_back(meshhook: Meshhook, definition: Path) -> None:
    meshhook("workflow", "apply", "shelved", str(definition))
    assert meshhook("workflow", "publish", "shelved", "--note", "First of all").code == 0
    assert "First of all" in meshhook("workflow", "show", "shelved").out
    assert meshhook("workflow", "tag", "shelved", "shop", "billing").out == "shelved is tagged shop, billing.\n"
    listed = meshhook("workflow", "list", "--tag", "shop", "--json").json["items"]
    assert [(it["name"], it["tags"]) for it in listed] == [("shelved", ["shop", "billing"])]
    assert "meshhook workflow restore shelved" in meshhook("workflow", "delete", "shelved").out
    assert "shelved" not in meshhook("workflow", "list").out
    assert "shelved" in meshhook("workflow", "list", "--deleted").out
    assert "was deleted" in meshhook("workflow", "apply", "shelved", str(definition)).err
    assert meshhook("workflow", "restore", "shelved").out == "shelved is back. Version 1 of it is published.\n"
