"""Bugs at the door: what is promised, what is stored, what counts as the same delivery."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

ACCEPT_SQL: Final = "db/sql/functions/accept.sql"

MUTANTS: Final = (
    Mutant(
        "acknowledge-before-commit",
        "A delivery is acknowledged while it is still in memory, and committed a second later.",
        (
            Patch(
                "accept.py",
                """        future.add_done_callback(
            lambda _: self._leaders.pop(place, None)
        )  # the first callback: before any follower wakes
        return _accepted(delivery, await future)
""",
                """        future.add_done_callback(
            lambda _: self._leaders.pop(place, None)
        )  # the first callback: before any follower wakes
        return Accepted(delivery.run_id, duplicate=False)
""",
            ),
            Patch(
                "accept.py",
                "            return asyncio.ensure_future(self._store.accept(shard, deliveries, self._keep))",
                """            async def later() -> list[NotNew | None]:
                await asyncio.sleep(1.0)
                return await self._store.accept(shard, deliveries, self._keep)

            return asyncio.ensure_future(later())""",
            ),
        ),
        trial="door-killed",
        caught_by=("intake.lost",),
    ),
    Mutant(
        "lose-one-of-a-batch",
        "Of deliveries that are committed together, the last is forgotten, and acknowledged all the same.",
        (
            Patch(
                "store.py",
                """            shard,
            *map(list, zip(*deliveries, strict=True)),
            keep,
""",
                """            shard,
            *map(list, zip(*(deliveries[:-1] if len(deliveries) > 1 else deliveries), strict=True)),
            keep,
""",
            ),
        ),
        trial="door",
        caught_by=("intake.lost",),
    ),
    Mutant(
        "ignore-dedupe",
        "A redelivery makes a run of its own.",
        (
            Patch(
                ACCEPT_SQL,
                "        WHERE d.key IS NULL OR d.run_id IN (SELECT k.run_id FROM remembered k)\n",
                "",
            ),
        ),
        trial="door",
        caught_by=("intake.duplicated",),
    ),
    Mutant(
        "accept-another-body",
        "Another body under a used key is taken for a redelivery, and dropped.",
        (
            Patch(
                ACCEPT_SQL,
                "WHEN known.run_id IS NOT NULL AND known.body_hash = d.hash THEN 'duplicate'",
                "WHEN known.run_id IS NOT NULL THEN 'duplicate'",
            ),
            Patch("accept.py", "            if not same_body:\n", "            if False:\n"),
        ),
        trial="door",
        caught_by=("intake.conflict",),
    ),
    Mutant(
        "name-another-run",
        "A redelivery is answered with a run id of its own, which leads nowhere.",
        (
            Patch(
                "accept.py",
                "            return Accepted(answer.run_id, duplicate=True)",
                "            return Accepted(delivery.run_id, duplicate=True)",
            ),
        ),
        trial="door",
        caught_by=("intake.redelivered",),
    ),
    Mutant(
        "refuse-what-is-stored",
        "Some deliveries are refused as if the engine were too busy, after they have been stored.",
        (
            Patch(
                "accept.py",
                "    if answer is None:\n",
                """    if answer is None and delivery.run_id.endswith("7"):
        raise overloaded("More deliveries wait for their commit than may wait.", 1)
    if answer is None:
""",
            ),
        ),
        trial="door",
        caught_by=("intake.phantom",),
    ),
)
