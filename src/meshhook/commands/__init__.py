"""The commands, one subject a module.

A module with an attribute ``app`` (a Typer) becomes the group of its name; one with ``register(app)`` puts commands at
the top. ``options`` holds what they share.
"""
