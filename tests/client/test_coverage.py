"""The client has a method for every call of the API, with every parameter of it, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshhook.client import AsyncClient, Client
from meshhook.client.operation import Operation, Stream

ROOT = Path(__file__).parents[2]
TO_DO = "The API has changed. Write what the client knows of it anew: make client (or python tools/client.py)"


@pytest.fixture(scope="module")
def document() -> Any:
    from meshhook.api.rest import document

    return json.loads(document())


def calls(client: type) -> dict[tuple[str, str], Any]:
    found = [value for value in vars(client.__mro__[1]).values() if isinstance(value, Operation | Stream)]
    made = {(call.method, call.path): call for call in found}
    assert len(made) == len(found)
    return made


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_every_call_has_a_method_and_every_method_a_call(document: Any, client: type) -> None:
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert calls(client).keys() == told, TO_DO
    assert len(told) > 50


def test_every_parameter_of_a_call_is_one_of_its_method(document: Any) -> None:
    for (method, path), call in calls(Client).items():
        told = document["paths"][path][method.lower()]
        wanted = {
            place: {
                parameter["name"].lower()
                for parameter in told.get("parameters", [])
                if parameter["in"] == place and parameter["name"] != "Last-Event-ID"
            }
            for place in ("path", "query", "header")
        }
        assert set(call.in_path) == wanted["path"], (method, path, TO_DO)
        assert set(call.query) == wanted["query"], (method, path, TO_DO)
        assert {name.replace("_", "-") for name in call.headers} == wanted["header"], (method, path, TO_DO)
        if call.whole is None:
            assert {name.rstrip("_") for name in call.members} == members(document, told), (method, path, TO_DO)
        parameters = {*call.in_path, *call.query, *call.headers, *call.members, *([call.whole] if call.whole else [])}
        assert parameters | ({"content_type", "headers"} if call.raw else set()) == set(call.__signature__.parameters)


def members(document: Any, told: Any) -> set[str]:
    for content in told.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"].get("$ref", "").rpartition("/")[2]
        return set(document["components"]["schemas"][schema]["properties"])
    return set()


def test_what_the_client_knows_is_what_the_document_says(document: Any) -> None:
    found = importlib.util.spec_from_file_location("client_tool", ROOT / "tools" / "client.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    for name, text in tool.written(document).items():
        assert text == (tool.FOLDER / name).read_text(), TO_DO


def test_the_client_brings_nothing_of_the_server_with_it() -> None:
    heavy = ("litestar", "granian", "asyncpg", "aiohttp", "cryptography", "structlog", "meshhook.config")
    program = f"import sys, meshhook.client; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
