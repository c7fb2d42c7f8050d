"""Receipts and backlog limits through a real server: given out after the commit, redeemed by whoever holds one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Api, Server, transform, until
from tests.conftest import execute, in_database
from tests.engine.conftest import pool

from meshhook import secret_catalog
from meshhook.config import load
from meshhook.data_keys import Keychain
from meshhook.db.migrate import migrate
from meshhook.key_source import KeySource
from meshhook.keys import DEFAULT_PROJECT
from meshhook.receipts import SigningKey, new_key

# Its server is started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("receipts")

BODY = b'{"n": 1}'
JSON = {"content-type": "application/json"}


def meshhook(*arguments: str, stdin: str = "", ok: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshhook", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == ok, done.stderr
    return done


@pytest.fixture(scope="module")
def keyed(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that can open secrets, with a database of its own: they are kept under a key that others do not have."""
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE receipts TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "receipts")
    asyncio.run(migrate(dsn))
    key = tmp_path_factory.mktemp("keys") / "key"
    key.write_text(base64.b64encode(os.urandom(32)).decode())
    key.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESHHOOK_SECRETS_KEY_FILE", str(key))
        server = Server(dsn)
        yield server
    server.end()


async def set_secret(server: Server, name: str, value: str) -> None:
    async with pool(server.dsn) as database:
        chain = Keychain(KeySource.of(load().settings))
        await secret_catalog.set_secret(database, chain, DEFAULT_PROJECT, name, value.encode())


@pytest.fixture
def endpoint(keyed: Server, api_of: Callable[..., Api], name: str) -> tuple[Api, str]:
    """An endpoint that gives receipts."""
    api = api_of(keyed)
    api.publish(name, transform())
    secret = name.replace("-", "_")
    asyncio.run(set_secret(keyed, secret, new_key()))
    config = {"receipts": {"key": secret}, "cloudevents": {"batch": True}}
    assert api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name, "config": config}).status_code == 200
    return api, f"/hooks/{name}"


def test_a_receipt_is_given_and_redeemed(endpoint: tuple[Api, str], name: str) -> None:
    api, path = endpoint
    accepted = api("POST", path, content=BODY, headers=JSON | {"idempotency-key": "k"}).json()
    again = api("POST", path, content=BODY, headers=JSON | {"idempotency-key": "k"}).json()
    redeemed = api("POST", "/api/v1/receipts/verify", {"receipt": accepted["receipt"]}).json()
    assert redeemed["valid"] is True
    assert redeemed["run"] == {"id": accepted["run_id"], "status": "queued", "finished_at": None}
    said = redeemed["receipt"]
    assert (said["run_id"], said["endpoint"], said["duplicate"]) == (accepted["run_id"], name, False)
    assert said["body_sha256"] == hashlib.sha256(BODY).hexdigest()
    second = api("POST", "/api/v1/receipts/verify", {"receipt": again["receipt"]}).json()
    assert (second["receipt"]["run_id"], second["receipt"]["duplicate"]) == (accepted["run_id"], True)


def test_each_event_of_a_batch_has_its_own(endpoint: tuple[Api, str]) -> None:
    api, path = endpoint
    events = [{"specversion": "1.0", "id": id, "source": "/a", "type": "t"} for id in "xy"]
    batch = {"content-type": "application/cloudevents-batch+json"}
    items = api("POST", path, content=json.dumps(events), headers=batch).json()["items"]
    for item, event in zip(items, ("/a x", "/a y"), strict=True):
        said = api("POST", "/api/v1/receipts/verify", {"receipt": item["receipt"]}).json()["receipt"]
        assert (said["run_id"], said["event"]) == (item["run_id"], event)


def test_what_was_changed_is_not_right(endpoint: tuple[Api, str]) -> None:
    api, path = endpoint
    receipt = api("POST", path, content=BODY, headers=JSON).json()["receipt"]
    head, said, signature = receipt.split(".")
    for changed in (f"{head}.{said[:-4]}AAAA.{signature}", f"{head}.{said}.{'A' * 86}"):
        answer = api("POST", "/api/v1/receipts/verify", {"receipt": changed}).json()
        assert answer["valid"] is False
        assert "signature is wrong" in answer["reason"]
        assert answer["run"] is None
    refused = api("POST", "/api/v1/receipts/verify", {"receipt": "no receipt"})
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/invalid-receipt")


def test_without_its_key_nothing_is_stored(endpoint: tuple[Api, str], name: str) -> None:
    api, path = endpoint
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name, "config": {"receipts": {"key": "nowhere"}}})
    refused = api("POST", path, content=BODY, headers=JSON)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/receipt-unavailable")
    assert refused.headers["retry-after"]
    assert api("GET", f"/api/v1/runs?workflow={name}").json()["items"] == []


def test_it_is_checked_without_a_server(endpoint: tuple[Api, str], tmp_path: Path) -> None:
    api, path = endpoint
    (tmp_path / "receipt").write_text(api("POST", path, content=BODY, headers=JSON).json()["receipt"] + "\n")
    (tmp_path / "keys.json").write_text(api("GET", "/api/v1/receipts/keys").text)
    (tmp_path / "body").write_bytes(BODY)
    (tmp_path / "other").write_bytes(BODY + b" ")
    given = ("receipt", "verify", str(tmp_path / "receipt"), "--key", str(tmp_path / "keys.json"))
    assert "The receipt is right" in meshhook(*given, "--body", str(tmp_path / "body")).stdout
    assert json.loads(meshhook(*given, "--json").stdout)["valid"] is True
    assert "for another body" in meshhook(*given, "--body", str(tmp_path / "other"), ok=False).stderr
    assert "not known here" in meshhook(*given[:-1], SigningKey(new_key().encode()).public.text, ok=False).stderr
    assert "no receipt" in meshhook("receipt", "verify", "x.y", "--key", str(tmp_path / "keys.json"), ok=False).stderr
    assert "can't be used" in meshhook(*given[:-1], "nonsense", ok=False).stderr


def test_a_project_over_its_limit_is_told_to_come_back(api_dsn: str, api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    assert api("POST", f"/hooks/{name}", 1).status_code == 202  # no worker runs here, so it stays
    try:
        meshhook("project", "limit", "default", "--backlog-max", "1", "--database-url", api_dsn)
        refused = until(lambda: (found := api("POST", f"/hooks/{name}", 1)).status_code == 429 and found)
        assert refused.json()["type"] == "/problems/backlog-full"
        assert refused.headers["retry-after"] == "5"
    finally:
        meshhook("project", "limit", "default", "--backlog-max", "0", "--database-url", api_dsn)
    until(lambda: api("POST", f"/hooks/{name}", 1).status_code == 202)


def test_projects_are_listed_with_their_limits(api_dsn: str) -> None:
    listed: Any = json.loads(meshhook("project", "list", "--database-url", api_dsn, "--json").stdout)
    assert "default" in [item["name"] for item in listed["items"]]
    assert (
        "no project"
        in meshhook("project", "limit", "x", "--backlog-max", "1", "--database-url", api_dsn, ok=False).stderr
    )


def test_everybody_may_redeem_and_nothing_else(api_dsn: str, api_of: Callable[..., Api]) -> None:
    server = Server(api_dsn, require_key="true")
    try:
        api = api_of(server)
        assert api.raw("POST", "/api/v1/receipts/verify", json={"receipt": "x"}).status_code == 400
        assert api.raw("GET", "/api/v1/receipts/keys").status_code == 200
        assert api.raw("GET", "/api/v1/receipts").status_code == 404
        assert api.raw("GET", "/api/v1/runs").status_code == 401
        assert api.raw("GET", "/api/v1/receiptsx").status_code == 401
    finally:
        server.end()
