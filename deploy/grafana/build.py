"""Write the dashboards as the JSON that Grafana reads: `python deploy/grafana/build.py`. A test says when they are not the same."""

from __future__ import annotations

from pathlib import Path

import operations
import testing
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).resolve().parent / "dashboards"


def documents() -> dict[str, str]:
    """The text of each dashboard, by the name of its file."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    boards = {"meshhook": operations.build(), "test-runs": testing.build()}
    return {f"{name}.json": encoder.encode(board.build()) + "\n" for name, board in boards.items()}


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
