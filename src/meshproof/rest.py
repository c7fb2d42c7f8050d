"""The few calls of the engine's HTTP API that set a scenario up. See docs/reference/http.md."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any


class ApiError(RuntimeError):
    """The engine's API refused a call or could not be reached; the message says which and why."""


@dataclass(frozen=True)
class Api:
    """The API at one address. Calls block, and are made in a thread; none of them is on a measured path."""

    host: str
    port: int
    key: str | None = None
    timeout_s: float = 10.0
    tls: bool = False

    async def publish(self, workflow: str, definition: dict[str, Any]) -> int:
        """Save and publish a definition; returns the number of its version."""
        await self._call("PUT", f"/api/v1/workflows/{workflow}", definition)
        published = await self._call("POST", f"/api/v1/workflows/{workflow}/versions")
        return int(published["version"])

    async def bind(self, endpoint: str, workflow: str, config: dict[str, Any] | None = None) -> None:
        """Let an endpoint start a workflow; `config` is what it asks of a delivery."""
        asked = {} if config is None else {"config": config}
        await self._call("PUT", f"/api/v1/endpoints/{endpoint}", {"workflow": workflow, "methods": ["POST"], **asked})

    async def unbind(self, endpoint: str) -> None:
        """Take an endpoint away."""
        await self._call("DELETE", f"/api/v1/endpoints/{endpoint}")

    async def endpoints(self) -> list[str]:
        """The paths of every endpoint of the project."""
        return [item["path"] for item in (await self._call("GET", "/api/v1/endpoints"))["items"]]

    async def workflows(self) -> list[str]:
        """The names of every workflow of the project."""
        return [item["name"] for item in (await self._call("GET", "/api/v1/workflows"))["items"]]

    async def count(self, kind: str, workflow: str) -> int:
        """How many runs of a workflow an operation would go over now: `cancel` the live ones, `discard` the dead letters."""
        wanted = {"kind": kind, "filter": {"workflow": workflow}, "dry_run": True}
        return int((await self._call("POST", "/api/v1/operations", wanted))["matched"])

    async def operate(self, kind: str, workflow: str) -> None:
        """Begin an operation on every run of a workflow that it is for."""
        await self._call("POST", "/api/v1/operations", {"kind": kind, "filter": {"workflow": workflow}})

    async def keep_secret(self, name: str, value: str) -> None:
        """Give the engine a secret under a name."""
        await self._call("PUT", f"/api/v1/secrets/{name}", {"value": value})

    async def send_event(self, name: str, key: str, payload: Any, id: str) -> None:
        """Send an event to every run that waits for it; with the same id it counts once."""
        await self._call("POST", "/api/v1/events", {"name": name, "key": key, "payload": payload, "id": id})

    async def cancel(self, run_id: str) -> None:
        """Ask for the end of a run."""
        await self._call("POST", f"/api/v1/runs/{run_id}/cancel")

    async def read(self, path: str) -> tuple[int, str]:
        """The status and the text that a GET is answered with. Raises OSError and HTTPException."""
        return await self.ask("GET", path)

    async def ask(self, method: str, path: str, document: Any = None) -> tuple[int, str]:
        """The status and the text that a call is answered with, whatever they are. Raises OSError and HTTPException."""
        status, body = await asyncio.to_thread(self._exchange, method, path, document)
        return status, body.decode(errors="replace")

    async def ready(self) -> bool:
        """Whether the engine can accept deliveries."""
        try:
            status, _ = await asyncio.to_thread(self._exchange, "GET", "/readyz", None)
        except (OSError, HTTPException):
            return False
        return status == 200

    async def _call(self, method: str, path: str, document: Any = None) -> Any:
        try:
            status, body = await asyncio.to_thread(self._exchange, method, path, document)
        except (OSError, HTTPException) as error:
            raise ApiError(f"{method} {path} at {self.host}:{self.port} failed: {error}.") from error
        if not 200 <= status < 300:
            raise ApiError(f"{method} {path} at {self.host}:{self.port} was answered {status}: {body.decode()[:1000]}")
        return json.loads(body) if body else None

    def _exchange(self, method: str, path: str, document: Any) -> tuple[int, bytes]:
        make = HTTPSConnection if self.tls else HTTPConnection
        connection = make(self.host, self.port, timeout=self.timeout_s)
        headers = {"content-type": "application/json"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        try:
            connection.request(method, path, None if document is None else json.dumps(document), headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()
