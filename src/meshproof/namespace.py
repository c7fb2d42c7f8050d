"""The prefix of what a run makes on an engine: workflows, endpoints, delivery ids. It keeps runs apart, and finds them again."""

from __future__ import annotations

import re
import time
from typing import Final

PATTERN: Final = r"mp[0-9a-f]{8,16}"
_WHOLE: Final = re.compile(PATTERN)
_BEGIN: Final = re.compile(rf"({PATTERN})-.")


def new() -> str:
    """A namespace nobody has yet: the milliseconds of now."""
    return f"mp{time.time_ns() // 1_000_000:011x}"


def is_valid(text: str) -> bool:
    """Whether a text may be a namespace."""
    return _WHOLE.fullmatch(text) is not None


def of(name: str) -> str | None:
    """The namespace that the name of a workflow, or the path of an endpoint, carries; None for what the suite did not make."""
    found = _BEGIN.match(name)
    return found[1] if found else None
