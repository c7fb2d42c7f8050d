"""The delivery log: what the door refused and what it accepted. Refusals are kept in a ring; what was accepted are the runs.

Writing is off the hot path: the door notes, and once a second what was noted is written in one statement. While the database is
away a bounded number of rows waits; counts are never lost but with the process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from meshhook.db.connect import Database
from meshhook.errors import DatabaseError, Refusal
from meshhook.sampling import Sampler

FLUSH_S: Final = 1.0
_WAITING_MAX: Final = 1_000
_COUNTS_MAX: Final = 10_000
_DETAIL_MAX: Final = 500
_KEY_MAX: Final = 255


class _Row(NamedTuple):
    at: datetime
    endpoint_id: int
    status: int
    problem: str
    detail: str
    remote: str | None
    delivery_key: str | None
    unwritten: int


class Refusals:
    """Notes what is refused, for one process. ``clock``: monotonic seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._sampler = Sampler()
        self._rows: list[_Row] = []
        self._counts: Counter[tuple[int, str, datetime]] = Counter()

    def note(self, endpoint_id: int, refusal: Refusal, remote: str | None, delivery_key: str | None) -> None:
        """Remember one refusal; costs no more in a flood than counting it."""
        now = datetime.now(UTC)
        now = now.replace(
            microsecond=now.microsecond // 1000 * 1000
        )  # as exact as the time in a run id, beside which it is read
        place = (endpoint_id, refusal.problem, now.replace(minute=0, second=0, microsecond=0))
        if place in self._counts or len(self._counts) < _COUNTS_MAX:
            self._counts[place] += 1
        unwritten = self._sampler.sample(endpoint_id, refusal.problem, self._clock())
        if unwritten is None or len(self._rows) >= _WAITING_MAX:
            return
        self._rows.append(
            _Row(
                now,
                endpoint_id,
                refusal.status,
                refusal.problem,
                _text(refusal.detail, _DETAIL_MAX) or "",
                _text(remote, _KEY_MAX),
                _text(delivery_key, _KEY_MAX),
                unwritten,
            )
        )

    async def flush(self) -> None:
        """Write what was noted."""
        if not self._counts:
            return
        rows, counts = self._rows, self._counts
        self._rows, self._counts = [], Counter()
        try:
            await self._database.call(
                "SELECT meshhook.note_refusals($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                *([getattr(row, name) for row in rows] for name in _Row._fields),
                [endpoint_id for endpoint_id, _, _ in counts],
                [problem for _, problem, _ in counts],
                [hour for _, _, hour in counts],
                list(counts.values()),
            )
        except (
            DatabaseError
        ):  # it may have been written all the same: a refusal counted twice is better than one forgotten
            self._rows = [*rows, *self._rows][:_WAITING_MAX]
            self._counts.update(counts)


def _text(text: str | None, length: int) -> str | None:
    """What strangers sent, as a text that Postgres can hold."""
    if text is None:
        return None
    return text[:length].replace("\0", "�").encode("utf-8", "replace").decode()
