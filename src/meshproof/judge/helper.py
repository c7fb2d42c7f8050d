"""A helper process of the judge: weighs the runs of one part of a file, and says on standard output what is wrong with them.

python -m meshproof.judge.helper SEED FILE BEGIN END
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from meshproof.judge.invariant import CannotTell
from meshproof.judge.outputs import Answer, weigh_part


def main(seed: str, work: str, begin: str, end: str) -> None:
    """Weigh, and answer."""
    try:
        answer = Answer(weigh_part(int(seed), Path(work), int(begin), int(end)))
    except CannotTell as reason:
        answer = Answer(cannot_tell=str(reason))
    except Exception as error:  # noqa: BLE001 - it is raised again by the judge, who asked
        answer = Answer(crashed=f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
