"""Reading outside the hot path."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from meshhook.db.connect import Database, Row

_QUERIES: Final = resources.files("meshhook.db").joinpath("sql/queries")


def query(name: str) -> str:
    """The text of ``sql/queries/<name>.sql``."""
    return _QUERIES.joinpath(f"{name}.sql").read_text("utf-8")


async def read(database: Database, query: str, *arguments: Any) -> list[Row]:
    """Rows of a statement that changes nothing.

    Raises:
        Unavailable: the connection broke, whenever it did.
    """
    async with database.connection() as connection:
        return await connection.fetch(query, *arguments)
