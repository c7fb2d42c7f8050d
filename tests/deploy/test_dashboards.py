"""The dashboards for Grafana: what is kept is what the code makes, it is whole, and it is about metrics that exist.

Grafana itself is not here. That the JSON is what Grafana understands is what the types of its foundation SDK say.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from meshhook.metrics.families import FAMILIES
from meshproof.live.families import FAMILIES as OF_RUNS

from .tools import ROOT

GRAFANA = ROOT / "deploy" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PROVIDED = {
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}


def panels(board: Path) -> Iterator[dict[str, Any]]:
    """Every panel that shows something."""
    for panel in json.loads(board.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def test_what_is_kept_is_what_the_code_makes(tmp_path: Path) -> None:
    code = "import build, pathlib, sys; build.FOLDER = pathlib.Path(sys.argv[1]); build.main()"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=GRAFANA, check=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    assert made == {path.name: path.read_text() for path in BOARDS}, "run: python deploy/grafana/build.py"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_the_types_of_the_sdk_read_it_and_write_the_same(board: Path) -> None:
    register_default_plugins()
    kept = json.loads(board.read_text())
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(kept)))
    for panel in written["panels"]:  # the reader writes down that there is nothing of it
        if panel.get("fieldConfig", {}).get("defaults", {}).get("custom") == {}:
            del panel["fieldConfig"]["defaults"]["custom"]
    assert written == kept


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_every_panel_asks_says_what_it_means_and_has_its_own_place(board: Path) -> None:
    places = set()
    for panel in panels(board):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]
        places.add((panel["gridPos"]["x"], panel["gridPos"]["y"]))
    assert len(places) == len(list(panels(board))), "panels lie on each other"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_queries_are_about_metrics_that_exist(board: Path) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            for name in re.findall(r"\b((?:meshhook|meshproof|process)_\w+)", target["expr"]):
                family = re.sub(r"_(bucket|count|sum)$", "", name)
                assert family in FAMILIES or family in OF_RUNS or family in PROVIDED, (panel["title"], name)


def test_every_metric_is_shown_somewhere() -> None:
    shown = " ".join(target["expr"] for board in BOARDS for panel in panels(board) for target in panel["targets"])
    unseen = {"meshhook_build_info", "meshhook_backlog_runs_max", "meshproof_run_info"}
    unseen |= {"meshproof_faults_total", "meshproof_run_start_timestamp_seconds"}  # in annotations
    missing = [
        name for name in (*FAMILIES, *OF_RUNS) if name not in unseen and not re.search(rf"\b{name}(_|\b)", shown)
    ]
    assert not missing


def test_provisioning_points_at_what_is_there() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    boards = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "meshhook.yml").read_text())
    (source,), (provider,) = sources["datasources"], boards["providers"]
    assert source["type"] == "prometheus"
    assert provider["type"] == "file"
    assert provider["options"]["path"].endswith("/dashboards")
