"""Writers and readers of the evidence files. Their formats are in docs/concurrency/evidence.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec


class LineWriter:
    """Lines kept back until `flush`, which hands them to the kernel in one write.

    A flushed line outlives this process, however it dies. Nothing here waits for the disk: a crash of the whole
    machine ends the run without a verdict anyway.
    """

    def __init__(self, path: Path) -> None:
        """Create the file; raises FileExistsError, since evidence is never overwritten."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Keep a line, without its end."""
        self._lines.append(line)

    def add_json(self, document: dict[str, Any]) -> None:
        """Keep a line of JSON."""
        self._lines.append(msgspec.json.encode(document))

    def flush(self) -> None:
        """Hand every line kept back to the kernel."""
        if not self._lines:
            return
        rest = memoryview(b"\n".join(self._lines) + b"\n")
        self._lines.clear()
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        """Flush, and close the file."""
        self.flush()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of an NDJSON file. A last line that was cut off is left out: its writer died, and said nothing."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield decode(line)


def write_document(path: Path, document: Any) -> None:
    """Write one JSON document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    draft.replace(path)


def read_document(path: Path) -> Any:
    """Read one JSON document."""
    return msgspec.json.decode(path.read_bytes())
