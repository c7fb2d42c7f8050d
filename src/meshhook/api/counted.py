"""Counts the requests to the REST API as they are answered, whoever answers them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from meshhook.api.bridge import Asgi
from meshhook.metrics.door import DoorMetrics


def counted(application: Asgi, metrics: DoorMetrics) -> Asgi:
    """The application, with each request told to ``metrics``. One that is broken off without an answer counts as 499."""

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        began, status = perf_counter(), 499

        async def note(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await application(scope, receive, note)
        finally:
            metrics.requested(scope["method"], status, perf_counter() - began)

    return answer
