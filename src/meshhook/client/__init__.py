"""The API of MeshHook from Python: ``Client`` waits, ``AsyncClient`` is awaited. docs/reference/client.md tells how.

    with Client(key=os.environ["MESHHOOK_KEY"]) as client:
        run = client.wait(client.start_run("orders", {"id": 7}).run_id)

It imports nothing of the server.
"""

from __future__ import annotations

from meshhook.client.clients import AsyncClient, Client
from meshhook.client.operation import Answer, Event
from meshhook.errors import ClientError, ProblemAnswered, ServerUnreachable, UnexpectedAnswer

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "ClientError",
    "Event",
    "ProblemAnswered",
    "ServerUnreachable",
    "UnexpectedAnswer",
]
