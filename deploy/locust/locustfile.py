"""Locust plays a plan of the suite. docs/concurrency/locust.md says how; this is all it takes."""

from meshproof.load.locust_plan import PlanShape, PlanUser

__all__ = ["PlanShape", "PlanUser"]
