"""Prometheus and its promtool, from Debian's package `prometheus`: skipped where they are not, unless they must be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "prometheus"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and "MUST_TEST_PROMETHEUS" not in os.environ,
    reason="there is no Prometheus here: apt-get install --no-install-recommends prometheus",
)


def promtool(*words: str | Path) -> str:
    """What promtool prints; an assertion fails when it finds fault."""
    done = subprocess.run(["promtool", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
