"""A little of everything that ends soon: pure work, calls, timers, events, lanes, children, two projects, duplicates."""

from __future__ import annotations

from meshproof.scenarios.simple import DEFINITION, model, payload

__all__ = ["BLEND", "DEFINITION", "model", "payload"]

BLEND = {
    "simple": 3,
    "pipeline": 3,
    "duplicates": 4,
    "diamond": 2,
    "families": 2,
    "http_call": 4,
    "naps": 2,
    "signals": 2,
    "ordered_keys": 2,
    "key_limits": 1,
    "tenants": 2,
    "neighbour": 2,
    "slow_call": 4,
}
