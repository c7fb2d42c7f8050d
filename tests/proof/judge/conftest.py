"""Hand-made histories: `story` is an empty one, `judged` judges it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # story.py and synthetic.py are shared by the tests of this folder

from held import Held
from story import Story

from meshproof.facts import load
from meshproof.judge import Verdicts, judge


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[Story], Verdicts]:
    """Write a story as an evidence folder and judge it."""
    return lambda story: judge(story.write(tmp_path))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[[Story], Held]]:
    """Write a story as an evidence folder, and hold single invariants against it: quicker than to judge all of it."""
    with ExitStack() as stack:
        yield lambda story: Held(stack.enter_context(load(story.write(tmp_path))))
