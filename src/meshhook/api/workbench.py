"""The pages of the workbench: built files, read once, answered from memory.

They hold no data, so they are open to everybody; what they show they ask of the API, as whoever has signed in. Any page
path answers the one page there is, which finds its way by itself in the browser; who does not ask for HTML gets the API's
own answer.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from meshhook.api.guard import HEADERS

API_ROOTS: Final = ("/api", "/hooks", "/healthz", "/readyz", "/metrics", "/openapi.json", "/problems")
"""What is never a page."""

_INDEX: Final = "/index.html"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))  # the smaller one first
_CSP: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    **{name.decode(): value.decode() for name, value in HEADERS.items()},
    "content-security-policy": _CSP,
    "cross-origin-opener-policy": "same-origin",
}
_NOT_BUILT: Final = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>MeshHook</title><h1>The workbench is not built here</h1>'
    b"<p>This is a checkout whose pages were not made yet. Run <code>make web</code> beside its README, start the server anew, "
    b'and load this page again; or use the command line and the <a href="/openapi.json">API</a>: they do all that the pages '
    b"do.</p></html>"
)


@dataclass(frozen=True, slots=True)
class File:
    """One built file: what it is, and its bytes by content encoding (``identity`` always among them)."""

    media_type: str
    cache: str
    etag: str
    bodies: dict[str, bytes]


class Workbench:
    """An RSGI application for the paths it ``takes``."""

    def __init__(self, files: dict[str, File]) -> None:
        self._files = files

    def takes(self, scope: Any) -> bool:
        """Whether a request wants a page or a file of one."""
        if scope.method not in ("GET", "HEAD") or is_api(scope.path):
            return False
        return scope.path in self._files or "text/html" in scope.headers.get("accept", "")

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        file = self._files.get(scope.path) or self._files.get(_INDEX)
        if file is None:
            headers = _HEADERS | {"content-type": "text/html; charset=utf-8"}
            protocol.response_bytes(503, list(headers.items()), _NOT_BUILT)
            return
        headers = _HEADERS | {"cache-control": file.cache, "etag": file.etag, "vary": "accept-encoding"}
        if file.etag in scope.headers.get("if-none-match", ""):
            protocol.response_empty(304, list(headers.items()))
            return
        headers["content-type"] = file.media_type
        encoding = _best(scope.headers.get("accept-encoding", ""), file)
        if encoding != "identity":
            headers["content-encoding"] = encoding
        body = file.bodies[encoding]
        if scope.method == "HEAD":
            protocol.response_empty(200, [*headers.items(), ("content-length", str(len(body)))])
        else:
            protocol.response_bytes(200, list(headers.items()), body)


def is_api(path: str) -> bool:
    """Whether a path is one of the API or the hooks, never of a page."""
    return any(path == root or path.startswith(root + "/") for root in API_ROOTS)


def built(folder: Path | None = None) -> dict[str, File]:
    """The files of the built pages by their path in the URL; none when they were not built."""
    root = folder or Path(str(resources.files("meshhook"))) / "workbench"
    suffixes = tuple(suffix for _, suffix in _ENCODINGS)
    return {
        "/" + path.relative_to(root).as_posix(): _read(root, path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(suffixes)
    }


def _read(root: Path, path: Path) -> File:
    body = path.read_bytes()
    bodies = {"identity": body}
    for encoding, suffix in _ENCODINGS:
        small = path.with_name(path.name + suffix)
        if small.is_file():
            bodies[encoding] = small.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    media_type = f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith(("json", "javascript")) else kind
    is_named_by_content = "_app/immutable" in path.relative_to(root).as_posix()
    return File(
        media_type=media_type,
        cache=_FOR_EVER if is_named_by_content else "no-cache",
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        bodies=bodies,
    )


def _best(accepted: str, file: File) -> str:
    """The smallest form a client takes. Browsers never weigh encodings, so ``q`` matters only as a refusal."""
    wanted = {part.partition(";")[0].strip() for part in accepted.split(",") if part.partition(";")[2].strip() != "q=0"}
    return next((encoding for encoding, _ in _ENCODINGS if encoding in wanted and encoding in file.bodies), "identity")
