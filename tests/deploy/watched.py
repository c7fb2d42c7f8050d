"""A bit of everything that shows in a picture: calls that fail and are made again, limits, duplicates, conflicts, failed runs."""

from meshproof.scenarios import mixed

BLEND = {"watched": 2, "http_call": 3, "key_limits": 3, "duplicates": 3, "mixed": 2}
DEFINITION = mixed.DEFINITION


def payload(seed: int, index: int) -> bytes:
    """As of the scenario `mixed`."""
    return mixed.payload(seed, index)


model = mixed.model
