"""MeshHook: a webhook-first, durable workflow engine on Postgres."""

__version__ = "0.1.0"
