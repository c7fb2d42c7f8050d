"""What the suite can do, as one document: for a program that lets people choose (`meshproof offers`)."""

from __future__ import annotations

from typing import Any, Final

from meshproof import scenarios
from meshproof.faults import KINDS, QUICK
from meshproof.faults.fault import Fault
from meshproof.judge import FAMILIES, INVARIANTS
from meshproof.own.document import DEFAULT_PAYLOAD
from meshproof.own.template import WORDS
from meshproof.sink import is_wanted

PROFILES: Final = {
    "smoke": "A little of everything and one killed worker, in about 20 seconds.",
    "load": "Requests at a rate, whatever the engine makes of it.",
    "concurrency": "Exactly so many runs in flight, level after level.",
    "faults": "A load, while processes are killed, frozen and cut off; then everything heals.",
    "stress": "More and more load until goodput stops following, and down again.",
    "soak": "An ordinary load for hours: does anything grow that must not?",
    "scale": "The same work for more and more processes.",
}


WIRES: Final = {"database": "between engine and Postgres", "api": "between senders and API"}


def document() -> dict[str, Any]:
    """Profiles, scenarios, faults, families of invariants, and the placeholders of payloads."""
    return {
        "profiles": [{"name": name, "summary": summary} for name, summary in PROFILES.items()],
        "scenarios": [_scenario(name) for name in scenarios.built_in()],
        "faults": [
            {"name": name, "summary": _fault(kind), "is_quick": name in QUICK}
            for name, kind in KINDS.items()
            if kind.impossible is None
        ],
        "families": [
            {
                "name": name,
                "proves": _first_sentence(family.__doc__),
                "invariants": [
                    {"name": rule.name, "says": rule.says} for rule in INVARIANTS.values() if rule.family == name
                ],
            }
            for name, family in FAMILIES.items()
        ],
        "placeholders": [{"word": word, "gives": gives} for word, gives in WORDS.items()],
        "template": DEFAULT_PAYLOAD,
    }


def _scenario(name: str) -> dict[str, Any]:
    found = scenarios.load(name)
    members = [scenarios.load(member).definition for member in found.members]
    return {
        "name": name,
        "summary": found.summary,
        "nodes": len(found.definition["nodes"]),
        "calls": is_wanted(members),
    }


def _fault(kind: type[Fault]) -> str:
    where = WIRES.get(kind.wire or "")
    return _first_sentence(kind.__doc__).removesuffix(".") + (f", {where}." if where else ".")


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    head, stop, _ = paragraph.partition(". ")
    return head + stop.strip()
