"""What evaluating expressions costs in two source trees, side by side: ``expressions.py OLD/src NEW/src [ROUNDS]``.

The three steps of the scenario `pipeline` on one order, in a fresh process each time, the trees in turn (old new new old …), by
processor time. A machine's speed wanders; the ratio of neighbours does not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

LOOPS = 20_000


def main() -> None:
    old, new, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 10
    times: dict[str, list[float]] = {old: [], new: []}
    for number in range(rounds):
        for tree in (old, new) if number % 2 == 0 else (new, old):
            times[tree].append(measured(tree))
    ratios = sorted(after / before for before, after in zip(times[old], times[new], strict=True))
    for name, tree in (("old", old), ("new", new)):
        print(f"{name}: {statistics.median(times[tree]):.2f} µs for three steps (median of {rounds})")
    print(f"new / old: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


def measured(tree: str) -> float:
    """Microseconds for three steps in ``tree``."""
    environment = os.environ | {"PYTHONPATH": tree}
    return float(subprocess.run([sys.executable, __file__], env=environment, check=True, capture_output=True).stdout)


def measure() -> None:
    import json

    from meshhook.definition import parse
    from meshproof.scenarios import pipeline

    work = [node.work for node in parse(pipeline.DEFINITION).nodes.values()]
    body = json.loads(pipeline.payload(1, 7))

    def run(times: int) -> float:
        began = time.process_time()
        for _ in range(times):
            first = work[0]({"input": body, "trigger": {"body": body}, "steps": {}, "run": {}}).output
            second = work[1]({"input": first, "trigger": {"body": body}, "steps": {"totals": first}, "run": {}}).output
            work[2]({"input": second, "trigger": {"body": body}, "steps": {"totals": first, "flag": second}, "run": {}})
        return (time.process_time() - began) * 1e6 / times

    run(LOOPS // 10)
    print(run(LOOPS))


if __name__ == "__main__":
    main() if len(sys.argv) > 2 else measure()
