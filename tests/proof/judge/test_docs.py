"""The page about the invariants and the code name the same ones, in the same words."""

from __future__ import annotations

import re
from pathlib import Path

from meshproof.judge import FAMILIES, INVARIANTS

PAGE = (Path(__file__).parents[3] / "docs/concurrency/invariants.md").read_text(encoding="utf-8")


def test_every_invariant_is_documented_and_nothing_else_is() -> None:
    documented = re.findall(r"^### `([a-z.]+)`$", PAGE, re.MULTILINE)
    in_order = [name for family in FAMILIES for name, rule in INVARIANTS.items() if rule.family == family]
    assert documented == in_order


def test_the_page_says_what_the_code_says() -> None:
    documented = dict(re.findall(r"^### `([a-z.]+)`\n\n> (.+)$", PAGE, re.MULTILINE))
    assert documented == {name: rule.says for name, rule in INVARIANTS.items()}


def test_every_invariant_is_there_for_a_claim_and_every_claim_has_some() -> None:
    claims = re.findall(r"^\| [^|]+ \| (`[^|]+) \|$", PAGE.partition("## What must hold")[2], re.MULTILINE)
    families = {name for row in claims for name in re.findall(r"`(\w+)` family", row)}
    named = {name for row in claims for name in re.findall(r"`(\w+\.\w+)`", row)}
    assert named <= INVARIANTS.keys()
    assert {rule.name for rule in INVARIANTS.values() if rule.family not in families} <= named


def test_the_number_of_mutations_in_the_docs_is_true() -> None:
    from test_mutations import MUTATIONS

    judge = (Path(__file__).parents[3] / "docs/concurrency/judge.md").read_text(encoding="utf-8")
    assert f"one of {len(MUTATIONS)} ways" in judge
