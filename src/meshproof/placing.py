"""What stands in a definition by a name until a run begins: the address of the sink, and moments counted from the publishing."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any, Final

from meshproof.scenarios import SINK

MOMENT: Final = re.compile(r"@in:(\d+)s")


def placed(definition: dict[str, Any], sink: str | None, now: datetime) -> dict[str, Any]:
    """The definition as it is published: `sink` is the address of the sink, if there is one."""
    text = json.dumps(definition)
    if sink is not None:
        text = text.replace(SINK, sink)
    text = MOMENT.sub(lambda found: (now + timedelta(seconds=int(found[1]))).isoformat(timespec="milliseconds"), text)
    document: dict[str, Any] = json.loads(text)
    return document
