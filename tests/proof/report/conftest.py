"""Evidence to report on: made up once, copied for whoever wants to bend it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

# page.py here, story.py and synthetic.py there
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))

import synthetic

from meshproof.judge import judge

RUNS = 3_000
PHASES = [("warm-up", 0, 1), ("steady", 1, 3), ("drain", 3, 5)]


@pytest.fixture(scope="session")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = synthetic.write(tmp_path_factory.mktemp("evidence"), RUNS)
    phases = [
        {
            "kind": kind,
            "from_us": synthetic.START_US + begin * 1_000_000,
            "to_us": synthetic.START_US + end * 1_000_000,
            "level": None,
        }
        for kind, begin, end in PHASES
    ]
    (folder / "phases.json").write_text(json.dumps(phases))
    synthetic.summarize(folder, judge(folder), RUNS)
    return folder


@pytest.fixture
def evidence(judged_once: Path, tmp_path: Path) -> Path:
    """A judged run that passed; bend it as you like."""
    return Path(shutil.copytree(judged_once, tmp_path / "evidence"))
