"""The suite's own read-only SQL, one file a statement. It reads the tables of the engine and calls none of its code."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `name`.sql in this folder."""
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
