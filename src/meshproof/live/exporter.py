"""Serves the figures of the run under way on this machine, for Prometheus:

    /metrics   the figures
    /targets   where to scrape them and the engine's processes, as Prometheus' HTTP service discovery wants it

In threads of its own, so that a busy suite answers as well.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, ProcessCollector, generate_latest

from meshproof.live.figures import LiveFigures

HOST: Final = "127.0.0.1"
LINGER_S: Final = 16.0
"""Whoever has scraped before is given so long to see the verdict; Prometheus comes every 15 s unless told otherwise."""


class ExporterError(RuntimeError):
    """The figures can't be served; the message says why."""


class Exporter:
    """`async with` serves; leaving it in peace waits for one more scrape, if there was one before. Port 0 takes any."""

    def __init__(self, figures: LiveFigures, port: int) -> None:
        """Raises ExporterError."""
        self._figures = figures
        figures.wanted = True
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(figures)
        self._scraped = threading.Event()
        self._scraped_before = False
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self._answer))
        except OSError as error:
            raise ExporterError(f"Port {port} can't be listened on: {error}. Take another --metrics-port.") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    async def __aenter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None and self._scraped_before:
            self._scraped.clear()
            await asyncio.to_thread(self._scraped.wait, LINGER_S)
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        self._thread.join()

    def targets(self) -> list[dict[str, Any]]:
        """This exporter and the engine's processes."""
        labels = dict(zip(("run", "profile", "scenario"), self._figures.run_labels(), strict=False))
        return [
            {"targets": [f"{HOST}:{self.port}"], "labels": {"job": "meshproof"}},
            *(
                {"targets": [address], "labels": {"job": f"meshhook-{role}", **labels}}
                for role, address in self._figures.engine()
            ),
        ]

    def _answer(self, path: str) -> tuple[str, bytes] | None:
        if path == "/metrics":
            text = generate_latest(self._registry)
            self._scraped_before = True
            self._scraped.set()
            return CONTENT_TYPE_LATEST, text
        if path == "/targets":
            return "application/json", json.dumps(self.targets()).encode()
        return None


def _handler(answer: Callable[[str], tuple[str, bytes] | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(self.path.partition("?")[0])
            self.send_response(200 if found else 404)
            content_type, body = found or ("text/plain", b"There are /metrics and /targets.\n")
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Scrapes are nothing to speak of."""

    return Handler
