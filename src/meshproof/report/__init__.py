"""The report people read: one self-contained page, made of data that fills a template.

`write` never fails for evidence that is missing or garbled: the page says what is not there. Nothing on the page comes from
the network, and a content policy forbids it to.
"""

from __future__ import annotations

from pathlib import Path

from meshproof.report.charts import timeline
from meshproof.report.gather import gather
from meshproof.report.page import fill


def write(folder: Path) -> Path:
    """Write `report.html` into an evidence folder, and return its path."""
    gathered = gather(folder)
    page = fill(gathered, timeline(gathered))
    path = folder / "report.html"
    draft = path.with_suffix(".html.part")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
    return path
