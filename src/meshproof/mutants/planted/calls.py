"""Bugs of calls and retries: what the outside world is made to see."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

KEY: Final = """{"idempotency-key": f'"{run_id}/{start.node}"', **trace}"""

MUTANTS: Final = (
    Mutant(
        "drop-the-task-on-retry",
        "A run whose call is to be tried again is not put back into the queue.",
        (
            Patch(
                "db/sql/functions/commit.sql",
                "        FROM moved m WHERE m.due IS NOT NULL\n",
                """        FROM moved m WHERE m.due IS NOT NULL AND NOT (m.owner IS NULL AND m.events LIKE '%"retry_at"%')\n""",
            ),
        ),
        trial="calls",
        caught_by=("completion.stuck", "completion.queue"),
    ),
    Mutant(
        "retry-before-the-backoff",
        "A call is tried again at once, whatever pause its failure asks for.",
        (
            Patch(
                "execution.py",
                "        elif attempt.retry_at is not None and attempt.retry_at <= now:\n",
                "        elif attempt.retry_at is not None:\n",
            ),
        ),
        trial="calls",
        caught_by=("effects.backoff",),
    ),
    Mutant(
        "one-attempt-too-many",
        "A call gets one attempt more than its definition allows.",
        (
            Patch(
                "attempts.py", "    if start.attempt < retry.attempts and", "    if start.attempt <= retry.attempts and"
            ),
        ),
        trial="calls",
        caught_by=("journal.attempts",),
    ),
    Mutant(
        "new-key-for-every-attempt",
        "Every attempt of a call carries another idempotency key.",
        (
            Patch(
                "held.py",
                KEY,
                """{"idempotency-key": f'"{run_id}/{start.node}/{start.attempt}"', **trace}""",
            ),
        ),
        trial="calls",
        caught_by=("effects.known",),
    ),
    Mutant(
        "one-key-for-two-steps",
        "Two calls of a run carry the same idempotency key.",
        (
            Patch(
                "held.py",
                KEY,
                """{"idempotency-key": f'"{run_id}/{start.node.replace("2", "1")}"', **trace}""",
            ),
        ),
        trial="rows",
        caught_by=("effects.same", "effects.counted"),
    ),
    Mutant(
        "call-before-it-is-on-record",
        "A call is made before the commit that says so.",
        (
            Patch(
                "worker.py",
                """            told, silent = [run for run in held if run.pending], [run for run in held if not run.pending]
""",
                """            self._start(starting, set())
            starting = await asyncio.sleep(0.05, [])
            told, silent = [run for run in held if run.pending], [run for run in held if not run.pending]
""",
            ),
        ),
        trial="rows",
        caught_by=("effects.counted",),
    ),
    Mutant(
        "swallow-a-failure",
        "A step that fails for good is taken for one that gave nothing, and the run goes on.",
        (
            Patch(
                "execution.py",
                """            return [self._emit({"type": "run.failed", "error": dict(error)})]
        loop, _ =""",
                """            return self._complete(scope, id, Completed(None))
        loop, _ =""",
            ),
        ),
        trial="calls",
        caught_by=("completion.status",),
    ),
    Mutant(
        "make-up-an-answer",
        "A call that breaks off is taken for one that was answered.",
        (
            Patch(
                "worker.py",
                "            result = await self._send_call(start.call, held.state.version_id, headers)\n",
                """            result = await self._send_call(start.call, held.state.version_id, headers)
            if isinstance(result, CallError) and result.type == "broken":
                result = Response(200, {}, {"receipt": None})
""",
            ),
        ),
        trial="calls",
        caught_by=("effects.happened", "completion.output"),
    ),
)
