"""The clock of one process is moved, and of no other; a log tells by how much."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

from meshproof.faults.clock_shifted import ShiftClock, compiled, said, seen_shift_s

ASK = "import json, time; print(json.dumps([time.time(), time.clock_gettime(time.CLOCK_REALTIME), time.monotonic()]))"


@pytest.mark.skipif(ShiftClock.impossible is not None, reason=str(ShiftClock.impossible))
@pytest.mark.parametrize("shift_s", [3_600, -1_800])
async def test_the_wall_clock_of_one_process_moves_and_spans_stay_right(tmp_path: Path, shift_s: int) -> None:
    library = await compiled(tmp_path)
    environment = {**os.environ, "LD_PRELOAD": str(library), "MESHPROOF_SHIFT_S": str(shift_s)}
    before, began = time.time(), time.monotonic()
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK, env=environment, stdout=asyncio.subprocess.PIPE
    )
    told = json.loads((await asked.communicate())[0])
    after, ended = time.time(), time.monotonic()
    assert all(before <= moment - shift_s <= after for moment in told[:2])
    assert began <= told[2] <= ended


def test_a_log_tells_how_wrong_the_clock_is(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("2026-11-24T00:03:04.008354Z [info] working\n2026-11-24T01:00:00Z [info] stopped\nnothing\n")
    os.utime(log, (0, 1_795_478_400))  # 2026-11-24T00:00:00Z
    assert seen_shift_s(log) == 3_600
    log.write_text("nothing\n")
    assert seen_shift_s(log) == 0
    assert [said(60), said(-61), said(0)] == ["60 s ahead", "61 s behind", "right"]
