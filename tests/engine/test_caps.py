"""The table of limits in the reference says what the code does."""

from __future__ import annotations

from pathlib import Path

from meshhook import control, cron, definition, delivery, execution, mapping
from meshhook.api import guard
from meshhook.config import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "retention.md"


def test_every_limit_is_written_down_as_it_is() -> None:
    text = PAGE.read_text().partition("## Limits of payloads")[2].partition("\n## ")[0]
    told = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.count(" | ") == 2)
    mib = 1024**2
    for what, limit in {
        "body of a delivery": f"`body_limit_bytes`, {Settings().body_limit_bytes // mib} MiB",
        "body of a call of the API, input of a run by hand": f"{guard.BODY_MAX_BYTES // mib} MiB",
        "depth of a JSON body": f"{delivery.BODY_DEPTH_MAX} levels",
        "dedupe key": f"{delivery.KEY_LENGTH_MAX} characters",
        "payload of an event": f"{control.PAYLOAD_SIZE_MAX_BYTES // mib} MiB",
        "definition": f"{definition.SIZE_MAX_BYTES // mib} MiB",
        "expression": f"{mapping.EXPRESSION_LENGTH_MAX:,} characters",
        "output of a step": f"{execution.EVENT_SIZE_MAX_BYTES // mib} MiB, {execution.OUTPUT_DEPTH_MAX} levels",
        "cron expression": f"{cron.EXPRESSION_LENGTH_MAX} characters",
    }.items():
        assert told[what].startswith(limit + " "), what
