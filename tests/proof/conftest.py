"""Real processes for the tests of the suite: nothing here is a double."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def null_port() -> Iterator[int]:
    """The port of a null server."""
    server = subprocess.Popen(
        [sys.executable, "-m", "meshproof.load.null_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    yield int(server.stdout.readline())
    server.stdin.close()
    assert server.wait() == 0
    server.stdout.close()
