"""Every fault is documented, and what the page says of it is what the code says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from meshproof.faults import KINDS
from meshproof.faults.eye import AtWork, pid_of

PAGE = (Path(__file__).parents[3] / "docs/concurrency/faults.md").read_text(encoding="utf-8")


def test_every_fault_is_documented_and_nothing_else_is() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_says_what_it_is(name: str) -> None:
    assert (inspect.getdoc(KINDS[name]) or "").endswith(".")


@pytest.mark.parametrize(
    ("owner", "pid"), [("host-17-ab12cd", 17), ("a-b-c-4711-0f0f0f", 4711), ("nobody", None), ("a-b-c", None)]
)
def test_the_process_id_in_the_name_of_a_worker(owner: str, pid: int | None) -> None:
    assert pid_of(owner) == pid


def test_who_holds_what() -> None:
    seen = AtWork({"h-1-a": 3, "h-1-b": 1, "h-2-a": 5}, 9, {"meshhook-api": [7], "meshhook-worker": [8, 9]})
    assert (seen.held_by(1), seen.held_by(2), seen.held_by(None)) == (4, 5, 0)
    assert seen.sessions("meshhook-api") == [7]
    assert sorted(seen.sessions()) == [7, 8, 9]
