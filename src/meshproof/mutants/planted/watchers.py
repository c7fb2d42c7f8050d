"""Bugs of live streams: what those who watch are told, and after a reconnect."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "forget-where-they-were",
        "Who comes back to a stream is told what happens from now on, and not what he missed.",
        (
            Patch(
                "live.py",
                "        return FeedSource(self._feed, filter, after or await self._feed.end())\n",
                "        return FeedSource(self._feed, filter, await self._feed.end())\n",
            ),
        ),
        trial="watched",
        caught_by=("live.every",),
    ),
    Mutant(
        "tell-it-all-again",
        "Who comes back to the stream of a run is told it from its beginning.",
        (
            Patch(
                "api/stream.py",
                "            return await self._live.of_run(project_id, run[1], _seq(cursor))\n",
                "            return await self._live.of_run(project_id, run[1], 0 * _seq(cursor))\n",
            ),
        ),
        trial="watched",
        caught_by=("live.once",),
    ),
    Mutant(
        "tell-everybody-everything",
        "Who watches a workflow is told what happens in every project.",
        (
            Patch(
                "recent.py",
                "        if filter.workflows is None:\n            return self._of_project",
                "        return list(range(len(self._rows)))\n"
                "        if filter.workflows is None:\n            return self._of_project",
            ),
            Patch(
                "watching.py",
                "            written.project_id == self.project_id\n"
                "            and (self.workflows is None or written.workflow in self.workflows)\n"
                "            and (self.statuses",
                "            (self.statuses",
            ),
        ),
        trial="watched",
        caught_by=("live.own",),
    ),
)
