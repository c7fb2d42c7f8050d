"""Every link from a page of the documentation to another one, or to a heading, leads somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^ *(```|~~~).*?^ *\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names that GitHub gives the headings of a page, and those that it gives itself."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    named = re.findall(r'<a id="([^"]+)">', text)
    return frozenset([*named, *(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for place, heading in LINK.findall(text):
        to = (page.parent / place).resolve() if place else page
        assert to.exists(), f"{place} is not there"
        assert not heading or heading in anchors(to), f"{place}#{heading}: there is no such heading"
