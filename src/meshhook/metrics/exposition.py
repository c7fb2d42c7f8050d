"""The answer of the API to a scrape: what this process counts, and what the database says.

A holder of a key sees figures of the whole installation, but no name of somebody else's project: families that are labelled by
project are told to the operators alone, which is whoever has a key of the project ``default``.
"""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from meshhook.metrics.door import DoorMetrics
from meshhook.metrics.state import ByProject, StateMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Exposition:
    """Everything the API process tells. ``registry`` is for whoever has more to tell, ``state`` what was read from the database."""

    def __init__(self, registry: CollectorRegistry, state: StateMetrics, door: DoorMetrics) -> None:
        self.registry = registry
        self.state = state
        self._by_project = CollectorRegistry()
        registry.register(door)
        registry.register(state)
        self._by_project.register(ByProject(state))

    async def text(self, *, whole: bool) -> bytes:
        """All of it in Prometheus' text format; with what is labelled by project if ``whole``."""
        await self.state.refresh()
        # To write it down takes some milliseconds, in which a loop would answer nobody.
        return await asyncio.to_thread(self._write, whole)

    def _write(self, whole: bool) -> bytes:
        return generate_latest(self.registry) + (generate_latest(self._by_project) if whole else b"")
