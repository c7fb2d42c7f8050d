"""An engine that was deployed by somebody: driven from elsewhere, by several drivers, proved, and left as it was."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import execute, in_database
from tests.proof.deployed import Deployed, deployed

from meshproof import namespace, scenarios
from meshproof.cli import app
from meshproof.ledger import read_document, read_lines

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("engine")]

PAGE = Path(__file__).parents[2] / "docs" / "concurrency" / "your-own-scenario.md"
STRANGER = "somebody-elses"
WAIT_S_MAX = 120.0
# What an engine writes about itself, whatever it works on; and the audit log, which is append-only.
OF_ITS_OWN = {"audit_log", "feed", "migrations", "openings", "operations", "settings", "trimming", "workers"}


@pytest.fixture(scope="module")
def engine(postgres_dsn: str, template: str) -> Iterator[Deployed]:
    """With work of somebody else on it."""
    with a_database(postgres_dsn, template) as dsn, deployed(dsn) as found:
        found.call("PUT", f"/api/v1/workflows/{STRANGER}", scenarios.load("simple").definition)
        found.call("POST", f"/api/v1/workflows/{STRANGER}/versions")
        found.call("PUT", f"/api/v1/endpoints/{STRANGER}", {"workflow": STRANGER, "methods": ["POST"]})
        body = {"id": 1, "name": "Ada", "note": "", "tags": [], "value": None}
        run = found.call("POST", f"/hooks/{STRANGER}", body)["status_url"]
        deadline = time.monotonic() + WAIT_S_MAX
        while found.call("GET", run)["status"] != "completed":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield found


@contextmanager
def a_database(server: str, template: str) -> Iterator[str]:
    name = f"deployed_{uuid.uuid4().hex[:8]}"
    asyncio.run(execute(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield in_database(server, name)
    asyncio.run(execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def own_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example of the page about scenarios of one's own, to the letter."""
    monkeypatch.setenv(scenarios.OWN, "")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "invoices.py"
    file.write_text(example)
    yield file
    scenarios.load.cache_clear()


def meshproof(*words: object) -> tuple[int, str]:
    """A command of the suite: its exit code, and what it printed."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as ended:
        app([str(word) for word in words])
    return int(ended.value.code or 0), said.getvalue()


def assert_proved(out: Path) -> dict[str, Any]:
    """Every invariant holds; on a machine busy with other tests the generator may be late, which is no fault of anybody."""
    for result in read_document(out / "verdicts.json")["results"]:
        if result["name"] != "validity.generator":
            assert result["verdict"] == "pass", result
    return dict(read_document(out / "summary.json"))


def test_slices_of_a_plan_are_proved_together_and_leave_it_as_it_was(
    engine: Deployed, own_scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slice as it is; the other as if k6 had sent it: its ledger in the lines that k6 writes."""
    monkeypatch.setenv("MESHPROOF_API_KEY", engine.key)
    before, out = engine.census(), tmp_path / "evidence"
    here, there = tmp_path / "here", tmp_path / "there"
    space = namespace.new()
    reading = ("--target", engine.url, "--database", engine.reading_dsn)
    load = ("--scenario", own_scenario, "--rate", 60, "--duration", 1.5, "--warmup", 0.3, "--namespace", space)
    words = [sys.executable, "-m", "meshproof.cli", "run", "load", *reading, *load, "--slice", "1/2", "--out", there]
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as other:
        # It waits until the first slice has set the scenario up.
        code, said = meshproof("run", "load", *reading, *load, "--slice", "0/2", "--out", here)
        assert code == 0, said
        assert other.wait(WAIT_S_MAX) == 0, other.stdout
    as_k6(there / "sent", tmp_path / "k6.json")
    sent = ("--sent", here, "--sent", tmp_path / "k6.json")
    code, said = meshproof("judge", out, *sent, "--database", engine.reading_dsn)
    summary = assert_proved(out)
    assert code == (0 if summary["valid"] else 3), said
    plan = read_document(out / "plan.json")
    assert (summary["attempted"], summary["runs"]) == (plan["attempts"], plan["deliveries"])
    assert [process["process"] for process in read_document(out / "generator.json")["processes"]] == ["0.0", "1.k6"]
    assert plan["namespace"] == space
    assert plan["bounds"]["clock_skew_us"] < 1_000_000
    assert (out / "scenarios" / "invoices.py").read_text() == own_scenario.read_text()
    assert STRANGER not in (out / "stored" / "runs.csv").read_text()
    assert summary["floor_runs_per_s"] is None, "the floor is written, and this database is not ours"
    assert summary["commit"] is None
    assert summary["versions"]["engine"] == {"meshhook": "0.1.0"}

    found = json.loads(meshproof_said("clean", "--target", engine.url, "--database", engine.reading_dsn, "--json"))
    (trace,) = found["found"]
    assert (trace["namespace"], trace["runs"], found["removed"]) == (plan["namespace"], summary["runs"], None)

    code, said = meshproof("clean", "--target", engine.url, "--database", engine.reading_dsn, "--yes")
    assert code == 3
    assert "may not delete" in said
    said = meshproof_said("clean", "--target", engine.url, "--yes", "--json")
    assert json.loads(said)["removed"][0]["left"] == list(engine_workflows(plan))
    said = meshproof_said("clean", "--target", engine.url, "--database", engine.dsn, "--yes", "--json")
    (removed,) = json.loads(said)["removed"]
    assert (removed["runs"], removed["left"]) == (summary["runs"], [])
    assert json.loads(meshproof_said("clean", "--target", engine.url, "--json")) == {"found": [], "removed": None}

    left = {table: (count, before[table]) for table, count in engine.census().items() if count != before[table]}
    assert not left.keys() - OF_ITS_OWN, left
    assert engine.call("GET", f"/api/v1/endpoints/{STRANGER}")["workflow"] == STRANGER


def as_k6(sent: Path, file: Path) -> None:
    """The ledger of a slice in the lines k6 would have written of it (deploy/k6/plan.ts)."""
    points: list[tuple[str, dict[str, Any]]] = [
        ("meshproof_attempt", {name: line[name] for name in ("n", "d", "intended_us")})
        for line in read_lines(sent / "0.attempts.ndjson")
    ]
    for line in read_lines(sent / "0.outcomes.ndjson"):
        known = {name: line[name] for name in ("n", "d", "sent_us", "reply_us", "run_id")}
        known |= {"http": line["status"], "duplicate": str(line["duplicate"]).lower()}
        points.append(("meshproof_outcome", known))
    points.append(("meshproof_ended", {}))
    with file.open("w") as lines:
        for metric, known in points:
            noted = {name: str(value) for name, value in known.items()}
            data = {"time": "2026-11-23T18:07:48.2Z", "value": 1, "tags": {"group": ""}, "metadata": noted}
            lines.write(json.dumps({"metric": metric, "type": "Point", "data": data}) + "\n")


def meshproof_said(*words: object) -> str:
    """What a command printed that ended well."""
    said = StringIO()
    with redirect_stdout(said):
        app([str(word) for word in words], standalone_mode=False)
    return said.getvalue()


def engine_workflows(plan: dict[str, Any]) -> list[str]:
    """The names of the workflows of a plan."""
    return [place["workflow"] for place in plan["scenarios"].values()]
