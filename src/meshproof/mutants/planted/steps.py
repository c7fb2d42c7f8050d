"""Bugs of the steps: what they give, and which of them are done."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "wrong-output",
        "A transform gives whole numbers as fractions: 5.0 for 5.",
        (
            Patch(
                "nodes/transform.py",
                "    return lambda context: Completed(render(context))",
                """    def spoilt(context: Any) -> Completed:
        value = render(context)
        if isinstance(value, dict):
            value = {name: float(part) if type(part) is int else part for name, part in value.items()}
        return Completed(value)

    return spoilt""",
            ),
        ),
        trial="steps",
        caught_by=("completion.output",),
    ),
    Mutant(
        "run-too-early",
        "A join goes on with the first of the branches it should wait for.",
        (
            Patch(
                "frontier.py",
                """                    if self.definition.nodes[target].merges == "any" and len(self._live[target]) == 1:
""",
                "                    if len(self._live[target]) == 1:\n",
            ),
            Patch(
                "frontier.py",
                """                    elif self.definition.nodes[target].merges != "any":
                        self._ready.append(target)""",
                "",
            ),
        ),
        trial="steps",
        caught_by=("journal.order",),
    ),
    Mutant(
        "skip-an-item",
        "The last item of a loop is left out, and stands for nothing in what the loop gives.",
        (
            Patch(
                "execution.py",
                """            loop.next += 1
            self._begin_iteration(loop, index)
""",
                """            loop.next += 1
            if index and loop.next == len(items):
                loop.record(index, None)
                continue
            self._begin_iteration(loop, index)
""",
            ),
        ),
        trial="loops",
        caught_by=("completion.output", "journal.legal", "journal.complete"),
    ),
    Mutant(
        "too-many-items-at-once",
        "A loop has one item more under way than it may.",
        (
            Patch(
                "execution.py",
                "        while loop.running < loop.each.concurrency and",
                "        while loop.running <= loop.each.concurrency and",
            ),
        ),
        trial="loops",
        caught_by=("journal.order",),
    ),
)
