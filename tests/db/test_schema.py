"""The page of the schema is what the migrations arrive at."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_the_schema_page_is_what_the_migrations_add_up_to(database: str) -> None:
    found = importlib.util.spec_from_file_location("schema_tool", ROOT / "tools" / "schema.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    page = (ROOT / "docs" / "reference" / "schema.sql").read_text()
    assert tool.dump(database) == page, "run `make schema` and look at what has changed"
