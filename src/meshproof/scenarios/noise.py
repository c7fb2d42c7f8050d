"""Ten steps in a row, in the project of somebody who sends far more than is worked off."""

from __future__ import annotations

from typing import Any

from meshproof.draw import Draw
from meshproof.scenarios import canary
from meshproof.scenarios.chain import DEFINITION, model
from meshproof.words import NAMES, dump

__all__ = ["DEFINITION", "DRAIN_S", "PROJECT", "model", "payload"]

PROJECT = "noisy"
# A backlog of 100,000 of them has to be worked off.
DRAIN_S = 600.0


def payload(seed: int, index: int) -> bytes:
    """What a chain takes: a number, a trail and a label; and a canary of its project."""
    draw = Draw(seed, "noise", index)
    sent: dict[str, Any] = {"value": index, "trail": f"{draw.bits(32):08x}", "label": draw.pick(NAMES)}
    return dump(draw, sent | {"canary": canary(PROJECT, f"{index}")})
