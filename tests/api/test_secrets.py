"""Secrets and the audit log over the API: values go in and never come out; every change says whose it was."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.api.conftest import Api, Server, transform, until
from tests.api.test_access import key_of
from tests.conftest import execute, in_database

from meshhook.db.migrate import migrate
from meshhook.key_source import KeySource, ensure_file

# Its server is started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("api-secrets")

VALUE = "api-canary-7d1f0c"
ApiOf = Callable[..., Api]


@pytest.fixture(scope="module")
def secrets_dsn(postgres_dsn: str) -> str:
    """A database of their own: who starts on it must have the key its secrets are kept under."""
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE api_secrets TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "api_secrets")
    asyncio.run(migrate(dsn))
    return dsn


@pytest.fixture(scope="module")
def sealing(secrets_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key file, that wants an API key."""
    file: Path = tmp_path_factory.mktemp("keys") / "secrets.key"
    ensure_file(KeySource("file", str(file)))
    running = Server(secrets_dsn, require_key="true", secrets_key_file=str(file))
    yield running
    running.end()


@pytest.fixture
def keyless(api_dsn: str, tmp_path: Path) -> Iterator[Server]:
    """A server that has no key to keep secrets under."""
    running = Server(api_dsn, data_dir=str(tmp_path))
    yield running
    running.end()


@pytest.fixture
def one(sealing: Server, api_of: ApiOf, name: str) -> Api:
    """The API as a key of a project of its own."""
    return api_of(sealing, key_of(sealing.dsn, f"key-{name}", f"project-{name}"))


def test_a_secret_is_set_listed_replaced_and_deleted_and_never_shown(one: Api) -> None:
    said = [one("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE})]
    assert (said[-1].status_code, said[-1].json()["version"]) == (200, 1)
    said.append(one("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE + "2", "overlap_hours": 1.5}))
    assert said[-1].json()["previous_until"] is not None
    said.append(one("GET", "/api/v1/secrets"))
    (listed,) = said[-1].json()["items"]
    assert listed.keys() == {"name", "version", "created_at", "previous_until", "last_used_at"}
    assert (listed["name"], listed["version"], listed["last_used_at"]) == ("TOKEN", 2, None)
    said.append(one("DELETE", "/api/v1/secrets/TOKEN"))
    assert said[-1].status_code == 204
    said.append(one("DELETE", "/api/v1/secrets/TOKEN"))
    assert (said[-1].status_code, said[-1].json()["type"]) == (404, "/problems/unknown-secret")
    assert one("GET", "/api/v1/secrets").json() == {"items": []}
    said.append(one("GET", "/api/v1/secrets/TOKEN"))
    assert said[-1].status_code == 405
    assert all(VALUE not in answer.text for answer in said)


@pytest.mark.parametrize(
    ("path", "body", "status", "problem"),
    [
        ("TOKEN", {"value": "canary!"}, 422, "bad-secret"),
        ("TOKEN", {"value": "canary-" * 10_000}, 422, "bad-secret"),
        ("1TOKEN", {"value": "canary-value"}, 400, "bad-name"),
        ("TOKEN", {"value": "canary-value", "overlap_hours": -1}, 400, "invalid-body"),
        ("TOKEN", {"value": "canary-value", "overlap_hours": 1e300}, 400, "invalid-body"),
        ("TOKEN", {"value": "canary-value", "extra": 1}, 400, "invalid-body"),
        ("TOKEN", {"value": ["canary-value"]}, 400, "invalid-body"),
        ("TOKEN", {}, 400, "invalid-body"),
    ],
)
def test_what_can_not_be_kept_is_refused_and_not_repeated(
    one: Api, path: str, body: object, status: int, problem: str
) -> None:
    answer = one("PUT", f"/api/v1/secrets/{path}", body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")
    assert "canary" not in answer.text
    assert one("GET", "/api/v1/secrets").json() == {"items": []}


def test_a_broken_body_is_not_repeated(one: Api) -> None:
    answer = one.raw("PUT", "/api/v1/secrets/TOKEN", content=b'{"value": "canary-value')
    assert answer.status_code == 400
    assert "canary" not in answer.text


def test_projects_do_not_see_each_others_secrets(one: Api, sealing: Server, api_of: ApiOf) -> None:
    one("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE})
    other = api_of(sealing, key_of(sealing.dsn, "key-other", f"other-of-{one.server.port}"))
    assert other("GET", "/api/v1/secrets").json() == {"items": []}
    assert other("DELETE", "/api/v1/secrets/TOKEN").status_code == 404
    assert other("GET", "/api/v1/audit").json()["items"][0]["action"] == "key.made"


def test_without_a_key_to_seal_by_nothing_is_kept(keyless: Server, api_of: ApiOf) -> None:
    answer = api_of(keyless)("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/secrets-unavailable")
    until(lambda: "secrets can't be sealed" in keyless.said)
    assert VALUE not in answer.text + keyless.said


def test_a_server_without_the_key_that_secrets_are_kept_under_does_not_start(
    one: Api, sealing: Server, tmp_path: Path
) -> None:
    one("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE})
    done = subprocess.run(
        [sys.executable, "-m", "meshhook", "serve", "--database-url", sealing.dsn, "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "does not hold it. Add that key" in done.stderr


def test_every_change_is_in_the_audit_log_with_whoever_made_it(one: Api, name: str) -> None:
    one("PUT", "/api/v1/secrets/TOKEN", {"value": VALUE})
    one.publish("orders", transform())
    one.publish("orders", transform())
    one("PUT", f"/api/v1/endpoints/{name}", {"workflow": "orders"})
    one("DELETE", f"/api/v1/endpoints/{name}")
    schedule = f"/api/v1/schedules/nightly-{name}"
    for every_s in (60, 120):
        one("PUT", schedule, {"workflow": "orders", "every_s": every_s})
    for twice in ("pause", "pause", "resume", "resume"):
        assert one("POST", f"{schedule}/{twice}").status_code == 200
    one("DELETE", schedule)
    one("PUT", "/api/v1/workflows/orders", transform("input.other"))  # soon, by the same hand: told already
    one("DELETE", "/api/v1/secrets/TOKEN")
    found = one("GET", "/api/v1/audit").json()["items"]
    assert [(it["action"], it["subject"]) for it in reversed(found) if it["actor"] == f"key:key-{name}"] == [
        ("data_key.made", "1"),
        ("secret.set", "TOKEN"),
        ("workflow.made", "orders"),
        ("workflow.published", "orders"),
        ("endpoint.saved", name),
        ("endpoint.deleted", name),
        ("schedule.made", f"nightly-{name}"),
        ("schedule.saved", f"nightly-{name}"),
        ("schedule.paused", f"nightly-{name}"),
        ("schedule.resumed", f"nightly-{name}"),
        ("schedule.deleted", f"nightly-{name}"),
        ("secret.deleted", "TOKEN"),
    ]
    page = one("GET", "/api/v1/audit?limit=2").json()
    rest = one("GET", f"/api/v1/audit?before={page['before']}").json()
    assert [*page["items"], *rest["items"]] == found
    assert {it["action"] for it in one("GET", "/api/v1/audit?action=secret").json()["items"]} == {
        "secret.set",
        "secret.deleted",
    }
    assert one("GET", "/api/v1/audit?limit=0").status_code == 400
    assert VALUE not in str(found)
