"""The rules for Prometheus: sound, documented, about metrics that exist, and every alert fires when it should and only then."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshhook.metrics.families import FAMILIES
from meshproof.live.families import FAMILIES as OF_RUNS

from .alert_cases import Case, cases
from .tools import ROOT, RULES, needs_prometheus, promtool

RUNBOOKS = ROOT / "docs" / "runbooks.md"
SEVERITIES = ("critical", "warning", "info")
LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


def rules(*files: str) -> list[dict[str, Any]]:
    return [
        rule
        for file in files
        for group in yaml.safe_load((RULES / file).read_text())["groups"]
        for rule in group["rules"]
    ]


RECORDED = rules("recording.yml")
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml", "test-runs-alerts.yml")}


@needs_prometheus
def test_promtool_finds_no_fault() -> None:
    promtool("check", "config", RULES / "prometheus.yml")
    promtool("check", "config", RULES / "test-runs.yml")
    promtool("check", "rules", RULES / "alerts.yml", RULES / "recording.yml", RULES / "test-runs-alerts.yml")


@needs_prometheus
def test_every_alert_fires_when_it_should_and_is_quiet_when_not(tmp_path: Path) -> None:
    files = [str(RULES / name) for name in ("recording.yml", "alerts.yml", "test-runs-alerts.yml")]
    paths = []
    for every in {case.evaluated_every for case in cases().values()}:
        chosen = {name: case for name, case in cases().items() if case.evaluated_every == every}
        tests = [one for name, case in chosen.items() for one in as_tests(name, case)]
        paths.append(tmp_path / f"{every}.yml")  # JSON is YAML
        paths[-1].write_text(json.dumps({"rule_files": files, "evaluation_interval": every, "tests": tests}))
    assert promtool("test", "rules", *paths).count("SUCCESS") == len(paths)


def as_tests(name: str, case: Case) -> list[dict[str, Any]]:
    """One test in which it fires, one in which it does not."""
    rule = ALERTS[name]
    labels = {**case.labels, **rule["labels"]}
    annotations = {
        key: LABEL.sub(lambda found: labels[found.group(1)], text) for key, text in rule["annotations"].items()
    }
    fired = [{"exp_labels": labels, "exp_annotations": annotations}]
    return [
        {
            "interval": case.interval,
            "input_series": [{"series": series, "values": values} for series, values in given.items()],
            "alert_rule_test": [{"eval_time": case.at, "alertname": name, "exp_alerts": expected}],
        }
        for given, expected in ((case.fires, fired), (case.quiet, []))
    ]


def test_every_alert_has_a_case() -> None:
    assert cases().keys() == ALERTS.keys()
    assert all(case.fires != case.quiet for case in cases().values())


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert {*rule["annotations"]} == {"summary", "action", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    assert f"\n## {name}\n" in RUNBOOKS.read_text()


def test_the_runbooks_are_about_alerts_that_exist() -> None:
    assert re.findall(r"^## (Mesh\w+)$", RUNBOOKS.read_text(), re.MULTILINE) == list(ALERTS)


def test_rules_are_about_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in RECORDED}
    asked = " ".join(rule["expr"] for rule in [*RECORDED, *ALERTS.values()])
    assert set(re.findall(r"meshhook:\w+:\w+", asked)) <= recorded
    for name in re.findall(r"\b(mesh(?:hook|proof)_\w+)", asked):
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        assert family in FAMILIES or family in OF_RUNS, name
