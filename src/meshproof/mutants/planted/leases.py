"""Bugs of claims and leases: who may write to a run, and who goes on with what somebody left."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

CLAIM_SQL: Final = "db/sql/functions/claim.sql"
COMMIT_SQL: Final = "db/sql/functions/commit.sql"

# The key of the journal would refuse a second writer by itself: a bug in the locking shows only without it.
NO_JOURNAL_KEY: Final = Patch(
    "db/sql/migrations/0001_foundation.sql",
    "    events     json NOT NULL,\n    PRIMARY KEY (shard, run_id, seq)\n",
    "    events     json NOT NULL\n",
)

MUTANTS: Final = (
    Mutant(
        "claim-without-locking",
        "Two workers can claim the same run: tasks are read, not locked, and deleted with the commit.",
        (
            Patch(
                CLAIM_SQL,
                """            ORDER BY t.priority, t.due_at
            LIMIT p_limit - coalesce(cardinality(v_places), 0)
            FOR UPDATE SKIP LOCKED);""",
                """            ORDER BY t.priority, t.due_at
            LIMIT p_limit - coalesce(cardinality(v_places), 0));""",
            ),
            Patch(
                CLAIM_SQL,
                """        DELETE FROM meshhook.tasks t
        WHERE t.ctid = ANY (v_places)
        RETURNING t.run_id, t.epoch, t.owner, t.due_at, t.signaled, t.lane
""",
                """        SELECT t.run_id, t.epoch, t.owner, t.due_at, t.signaled, t.lane FROM meshhook.tasks t
        WHERE t.ctid = ANY (v_places)
""",
            ),
            Patch(
                COMMIT_SQL,
                "    WITH moved AS (\n",
                """    IF NOT p_held THEN
        DELETE FROM meshhook.tasks t WHERE t.shard = p_shard AND t.run_id = ANY (p_run_ids);
    END IF;
    WITH moved AS (
""",
            ),
            Patch(
                COMMIT_SQL,
                "        FROM moved m WHERE m.due IS NOT NULL\n",
                "        FROM moved m WHERE m.due IS NOT NULL ON CONFLICT DO NOTHING\n",
            ),
            Patch(
                "db/sql/functions/put_back.sql",
                "        FROM back b\n    ), unspent",
                "        FROM back b ON CONFLICT DO NOTHING\n    ), unspent",
            ),
            NO_JOURNAL_KEY,
        ),
        trial="pair",
        caught_by=("leases.epochs", "leases.overlap", "journal.gapless"),
    ),
    Mutant(
        "commit-without-epoch",
        "A commit does not look whether somebody else has taken the run over.",
        (
            Patch(
                COMMIT_SQL,
                "            WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch\n",
                "            WHERE t.shard = p_shard AND t.run_id = u.run_id\n",
            ),
            Patch(
                COMMIT_SQL,
                "          AND r.epoch <= u.epoch AND r.finished_at IS NULL\n",
                "          AND r.finished_at IS NULL\n",
            ),
            # A worker lets go of what it cannot renew: with that, it would not come to write.
            Patch(
                "worker.py",
                "                self._let_go({run_id: held for run_id, held in mine.items() if run_id not in still})\n",
                "",
            ),
            NO_JOURNAL_KEY,
        ),
        trial="worker-frozen",
        caught_by=("leases.fenced",),
    ),
    Mutant(
        "keep-the-epoch",
        "A claim does not raise the epoch, so nobody can tell two of them apart.",
        (
            Patch(
                "store.py",
                "claimed.append(Claimed(run_id, epoch + 1, owner,",
                "claimed.append(Claimed(run_id, max(epoch, 1), owner,",
            ),
        ),
        trial="calls",
        caught_by=("leases.epochs",),
    ),
    Mutant(
        "take-over-early",
        "A lease is taken over half a second before it runs out.",
        (
            Patch(
                CLAIM_SQL,
                "WHERE t.shard = p_shard AND t.queue >= 2 AND t.due_at <= v_now),",
                "WHERE t.shard = p_shard AND t.queue >= 2 AND (t.due_at <= v_now OR t.owner IS NOT NULL)),",
            ),
            Patch(
                CLAIM_SQL,
                "          WHERE due.shard = p_shard AND due.queue >= 2 AND due.due_at <= p_now\n",
                "          WHERE due.shard = p_shard AND due.queue >= 2\n"
                "            AND due.due_at <= p_now + CASE WHEN due.owner IS NULL THEN interval '0' ELSE interval '500 ms' END\n",
            ),
        ),
        trial="worker-killed",
        caught_by=("leases.takeover",),
    ),
    Mutant(
        "never-take-over",
        "What a worker held when it died is left to it for ever.",
        (
            Patch(
                CLAIM_SQL,
                "          WHERE due.shard = p_shard AND due.queue >= 2 AND due.due_at <= p_now\n",
                "          WHERE due.shard = p_shard AND due.queue >= 2 AND due.due_at <= p_now AND due.owner IS NULL\n",
            ),
        ),
        trial="worker-killed",
        caught_by=("completion.stuck",),
    ),
    Mutant(
        "renew-what-ran-out",
        "A worker that was away renews leases that ran out, whoever has them now.",
        (
            Patch(
                "db/sql/functions/renew.sql",
                """            WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch
              AND t.owner = p_owner AND t.due_at > v_now  -- what has run out is not renewed: it may be about to be taken over
            OFFSET 0 FOR UPDATE OF t SKIP LOCKED) mine_now
    )
    UPDATE meshhook.tasks t SET due_at = v_now + p_lease
""",
                """            WHERE t.shard = p_shard AND t.run_id = u.run_id
            OFFSET 0 FOR UPDATE OF t SKIP LOCKED) mine_now
    )
    UPDATE meshhook.tasks t SET due_at = v_now + p_lease, owner = p_owner,
           epoch = (SELECT u.epoch FROM unnest(p_run_ids, p_epochs) AS u (run_id, epoch) WHERE u.run_id = t.run_id)
""",
            ),
        ),
        trial="worker-frozen",
        caught_by=("completion.stuck", "completion.queue"),
    ),
    Mutant(
        "forget-leases-at-shutdown",
        "A worker that is asked to end leaves its leases to run out.",
        (Patch("worker.py", "            await self._finish_calls()\n            await self._hand_back()\n", ""),),
        trial="worker-stopped",
        caught_by=("leases.returned",),
    ),
    Mutant(
        "lose-what-there-was-no-time-for",
        "What a worker claimed and had no time to begin is not put back into the queue.",
        (
            Patch("worker.py", "            if not_begun or silent:\n", "            if silent:\n"),
            Patch(
                "worker.py",
                "            if position and self._clock() >= deadline:\n",
                "            if position >= 2:\n",
            ),
        ),
        trial="door",
        caught_by=("completion.stuck", "completion.queue"),
    ),
)
