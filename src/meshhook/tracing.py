"""W3C Trace Context: every attempt of a call is a span of the trace that its delivery came with.

The trace is that of the delivery's ``traceparent`` when it is valid, else one made from the run id; the span is made from run,
step and attempt. So nothing has to be stored: the journal holds the delivery's headers, and the same attempt has the same span
whoever computes it.

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACESTATE_MAX: Final = 512
_SAMPLED: Final = "01"


def trace_headers(received: Mapping[str, str], run_id: str, step: str, attempt: int) -> dict[str, str]:
    """The headers for one attempt of a call.

    Args:
        received: the headers of the delivery, names in lower case. step: the path of the step in its run.
    """
    found = _valid(received.get("traceparent", ""))
    trace, flags = found or (_digest(run_id, 32), _SAMPLED)
    headers = {"traceparent": f"00-{trace}-{_digest(f'{run_id}/{step}/{attempt}', 16)}-{flags}"}
    state = received.get("tracestate", "")
    if found and 0 < len(state) <= _TRACESTATE_MAX and state.isascii() and state.isprintable():
        headers["tracestate"] = state
    return headers


def _valid(text: str) -> tuple[str, str] | None:
    """Trace id and flags of a ``traceparent``; a version from the future may have more behind them."""
    parts = _TRACEPARENT.fullmatch(text.strip())
    if parts is None or parts[1] == "ff" or set(parts[2]) == {"0"} or set(parts[3]) == {"0"}:
        return None
    if parts[1] == "00" and parts[5] is not None:
        return None
    return parts[2], f"{int(parts[4], 16) & 1:02x}"


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
