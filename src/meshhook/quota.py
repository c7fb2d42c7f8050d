"""How many deliveries an endpoint takes, and what is asked of its bucket in Postgres. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple


class Quota(NamedTuple):
    """So many deliveries in so many seconds; all of them may come at once."""

    tokens: int
    window_s: float

    @property
    def per_s(self) -> float:
        """How fast the bucket fills."""
        return self.tokens / self.window_s

    @property
    def policy(self) -> str:
        """The header ``RateLimit-Policy``."""
        return f'"burst";q={self.tokens};w={math.ceil(self.window_s)}'


class Ask(NamedTuple):
    """How many tokens of an endpoint are wanted; less than zero gives them back."""

    endpoint_id: int
    tokens: float
    quota: Quota


class Lease(NamedTuple):
    """How many tokens were granted, and how many are left for others."""

    granted: float
    left: float
