"""Hand-made histories: `story` is an empty one, `judged` judges it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # story.py and synthetic.py are shared by the tests of this folder

from story import Story

from meshproof.judge import Verdicts, judge


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[Story], Verdicts]:
    """Write a story as an evidence folder and judge it."""
    return lambda story: judge(story.write(tmp_path))
