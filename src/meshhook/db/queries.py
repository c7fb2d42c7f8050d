"""The longer statements that are no functions: files of ``sql/queries``."""

from __future__ import annotations

from importlib import resources
from typing import Final

_QUERIES: Final = resources.files("meshhook.db").joinpath("sql/queries")


def query(name: str) -> str:
    """The text of ``sql/queries/<name>.sql``."""
    return _QUERIES.joinpath(f"{name}.sql").read_text("utf-8")
