"""What stands in a definition by a name until a run begins: the sink, other workflows, moments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from meshproof.scenarios import SINK

HERE: Final = "@here"
"""Stands in an act for the workflow and the endpoint of its scenario."""
WORKFLOW: Final = re.compile(r"@workflow:(\w+)")
MOMENT: Final = re.compile(r"@in:(\d+)s")


def placed(
    definition: dict[str, Any], sink: str | None, now: datetime, place: Callable[[str], str] = str
) -> dict[str, Any]:
    """The definition as it is published: `sink` is the address of the sink, if there is one; `place` says what the workflow of
    a scenario is called."""
    text = WORKFLOW.sub(lambda found: place(found[1]), json.dumps(definition))
    if sink is not None:
        text = text.replace(SINK, sink)
    text = MOMENT.sub(lambda found: (now + timedelta(seconds=int(found[1]))).isoformat(timespec="milliseconds"), text)
    document: dict[str, Any] = json.loads(text)
    return document
