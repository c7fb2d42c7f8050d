"""Bugs of proofs and answers: who is believed, and what those are told who wait."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

SCHEME: Final = "signatures/scheme.py"
ANSWERS: Final = "answers.py"

MUTANTS: Final = (
    Mutant(
        "believe-any-signature",
        "Whatever signature there is is taken for a good one.",
        (Patch(SCHEME, "            found |= hmac.compare_digest(one, other)\n", "            found = True\n"),),
        trial="signed",
        caught_by=("refusals.phantom",),
    ),
    Mutant(
        "never-mind-the-time",
        "A signature is good for ever, however old it is.",
        (Patch(SCHEME, "    if abs(age_s) > window_s:\n", "    if False:\n"),),
        trial="signed",
        caught_by=("refusals.phantom",),
    ),
    Mutant(
        "keep-what-was-withdrawn",
        "An endpoint goes on with the secrets it has seen first.",
        (
            Patch(
                "api/proofs.py",
                "        if known is not None and known.config is config and self._clock() < known.until:\n",
                "        if known is not None:\n",
            ),
        ),
        trial="signed",
        caught_by=("refusals.rotated",),
    ),
    Mutant(
        "say-another-reason",
        "A signature that is too old is called wrong.",
        (Patch(SCHEME, '        "signature-stale",\n', '        "signature-wrong",\n'),),
        trial="signed",
        caught_by=("refusals.told",),
    ),
    Mutant(
        "answer-somebody-else",
        "A caller who waits is given the answer that came before his.",
        (
            Patch(
                ANSWERS,
                "                        waiter.outcome.set_result(_decode(event))\n",
                "                        mine, self._before = event, getattr(self, '_before', event)\n"
                "                        waiter.outcome.set_result(_decode(self._before))\n"
                "                        self._before = mine\n",
            ),
        ),
        trial="waiting",
        caught_by=("sync.answer",),
    ),
    Mutant(
        "put-callers-off",
        "Callers are told to look later when half of their time is over.",
        (
            Patch(
                ANSWERS,
                "            async with asyncio.timeout(seconds):\n                return",
                "            async with asyncio.timeout(seconds / 2):\n                return",
            ),
        ),
        trial="waiting",
        caught_by=("sync.later",),
    ),
)
