"""How long the judge takes, and how much memory: a figure for docs/concurrency/judge.md, never a test with a clock.

python tests/proof/judge/scale.py --runs 1000000 [--memory 1GB]
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from pathlib import Path

from synthetic import write

from meshproof.facts import load
from meshproof.judge import judge_facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--memory", help="bound the memory of the tables, such as 1GB", default=None)
    parser.add_argument("--folder", type=Path, help="where the evidence is, or is made", default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        if not (folder / "plan.json").exists():
            write(folder, asked.runs, rate=10_000.0)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{asked.runs:,} runs, {size / 1e9:.2f} GB of evidence, {platform.processor() or platform.machine()}")
        began, cpu_before_s = time.monotonic(), time.process_time()
        with load(folder, memory_limit=asked.memory) as facts:
            loaded = time.monotonic()
            verdicts = judge_facts(
                facts, on_result=lambda result, s: print(f"  {s:6.2f} s  {result.name}") if s >= 0.5 else None
            )
        ended = time.monotonic()
    own, helpers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own.ru_utime + own.ru_stime + helpers.ru_utime + helpers.ru_stime - cpu_before_s
    print(f"loaded in {loaded - began:.1f} s, judged in {ended - loaded:.1f} s, {cpu_s:.1f} s of processor time in all")
    print(f"peak memory {own.ru_maxrss / 1e6:.2f} GB")
    print(f"{verdicts.verdict}: {verdicts.reason}")


if __name__ == "__main__":
    main()
