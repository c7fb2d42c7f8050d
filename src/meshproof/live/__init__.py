"""The figures of a run while it goes on, for whoever scrapes them (`--metrics-port`): `figures` holds them, `exporter` serves them.

What is told here is for watching. The verdict comes from the ledgers alone.
"""
