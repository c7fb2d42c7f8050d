"""A helper process of the judge: weighs the runs of some files, and says on standard output what is wrong with them.

python -m meshproof.judge.helper SEED FILE…
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from meshproof.judge.invariant import CannotTell
from meshproof.judge.outputs import Answer
from meshproof.judge.weigh import weigh_file


def main(seed: str, *files: str) -> None:
    """Weigh, and answer."""
    try:
        answer = Answer([fault for file in files for fault in weigh_file(int(seed), Path(file))])
    except CannotTell as reason:
        answer = Answer(cannot_tell=str(reason))
    except Exception as error:  # noqa: BLE001 - it is raised again by the judge, who asked
        answer = Answer(crashed=f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
