"""Profiles: each a way to drive an engine, read from top to bottom as the story of a run."""
