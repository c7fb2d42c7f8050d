"""Reading outside the hot path."""

from __future__ import annotations

from typing import Any

from meshhook.db.connect import Database, Row


async def read(database: Database, query: str, *arguments: Any) -> list[Row]:
    """Rows of a statement that changes nothing.

    Raises:
        Unavailable: the connection broke, whenever it did.
    """
    async with database.connection() as connection:
        return await connection.fetch(query, *arguments)
