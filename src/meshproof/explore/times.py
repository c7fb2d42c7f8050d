"""The clock of a schedule: whole seconds since a moment that never changes, so that a seed always says the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE_S: Final = 30
SLEEP_S: Final = 5
FORGOTTEN_S: Final = 5
"""What has lain in an inbox so long, and was not poked, is poked by whoever looks."""
NEVER_S: Final = 10**9
"""When a run is due that waits for others alone."""


def at(seconds: int) -> datetime:
    """The moment so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def seconds_at(moment: datetime) -> int:
    """The seconds from the start to a moment."""
    return int((moment - START).total_seconds())
