"""What is done with figures once they are there: hold them against thresholds, compare them, keep them, hand them to CI.

Everything reads `summary.json` and `bench.json`; nothing here runs an engine, but `interleave`, which runs commands in turn.
"""
