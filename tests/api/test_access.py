"""Who may call: keys, projects, loopback, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from tests.api.conftest import Api, Server, transform, until

from meshhook import keys
from meshhook.db.connect import Database

# Its server is started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("access")

T = TypeVar("T")
ApiOf = Callable[..., Api]


def asked(dsn: str, question: Callable[[Database], Awaitable[T]]) -> T:
    """Ask the database what the command line would."""

    async def ask() -> T:
        database = Database(dsn, size=1, name="test")
        await database.connect()
        try:
            return await question(database)
        finally:
            await database.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def guarded(api_dsn: str) -> Iterator[Server]:
    """A server that wants a key although it is on loopback."""
    running = Server(api_dsn, require_key="true")
    yield running
    running.end()


def key_of(dsn: str, name: str, project: str = "default") -> str:
    async def make(database: Database) -> str:
        return await keys.create_key(database, await keys.save_project(database, project), name)

    return asked(dsn, make)


PATHS = ["/api/v1/workflows", "/api/v1/runs", "/metrics", "/openapi.json", "/api/v1/nothing", "/"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_nothing_is_told(guarded: Server, path: str) -> None:
    answer = httpx.get(guarded.url + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "/problems/unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/problems", "/problems/unauthorized"])
def test_probes_and_problem_pages_are_open(guarded: Server, path: str) -> None:
    assert httpx.get(guarded.url + path).status_code == 200


def test_webhooks_need_no_key(guarded: Server) -> None:
    assert httpx.post(f"{guarded.url}/hooks/nowhere").json()["type"] == "/problems/unknown-endpoint"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer mh_",
        "Basic bWg6eA==",
        "Bearer mh_" + "A" * 43,
        "mh_" + "A" * 43,
        "Bearer \x80",
        "x" * 5000,
    ],
)
def test_what_is_no_key_opens_nothing(guarded: Server, header: str) -> None:
    answer = httpx.get(f"{guarded.url}/api/v1/runs", headers={"authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")


def test_a_key_opens_until_it_is_revoked(guarded: Server, api_of: ApiOf, api_dsn: str, name: str) -> None:
    key = key_of(api_dsn, name)
    assert (len(key), key[:3]) == (keys.LENGTH, "mh_")
    api = api_of(guarded, key)
    for path in PATHS[:4]:
        assert api("GET", path).status_code == 200
    assert api("GET", "/api/v1/nothing").status_code == 404
    asked(api_dsn, lambda database: keys.revoke_key(database, 0, name))
    until(lambda: api.raw("GET", "/api/v1/runs").status_code == 401)


def test_only_the_hash_of_a_key_is_stored(api_dsn: str, name: str) -> None:
    key = key_of(api_dsn, name)

    async def stored(database: Database) -> list[Any]:
        async with database.connection() as connection:
            return await connection.fetch("SELECT k::text AS row FROM meshhook.api_keys k")

    rows = "".join(row["row"] for row in asked(api_dsn, stored))
    assert name in rows
    assert key not in rows
    assert key.removeprefix("mh_") not in rows


def test_projects_share_nothing_but_the_paths_of_hooks(guarded: Server, api_of: ApiOf, api_dsn: str, name: str) -> None:
    mine, theirs = api_of(guarded, key_of(api_dsn, name)), api_of(guarded, key_of(api_dsn, name, f"{name}-project"))
    for api, expression in ((mine, "'mine'"), (theirs, "'theirs'")):
        api.publish(name, transform(expression))
    assert mine("PUT", f"/api/v1/endpoints/{name}", {"workflow": name}).status_code == 200
    taken = theirs("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    assert (taken.status_code, taken.json()["type"]) == (409, "/problems/path-taken")
    run_id = httpx.post(f"{guarded.url}/hooks/{name}").json()["run_id"]

    assert mine("GET", f"/api/v1/runs/{run_id}").status_code == 200
    assert theirs("GET", f"/api/v1/runs/{run_id}").status_code == 404
    assert theirs("GET", f"/api/v1/runs/{run_id}/events").status_code == 404
    found = theirs("GET", "/api/v1/runs").json()
    assert (found["items"], found["next"]) == ([], None)
    for query in (f"q={run_id}", f"q={name}", "since=2020-01-01T00:00:00Z"):
        assert theirs("GET", f"/api/v1/runs?{query}").json()["items"] == []
    assert theirs("GET", "/api/v1/statistics").json()["total"]["accepted"] == 0
    assert theirs("GET", "/api/v1/endpoints").json() == {"items": []}
    assert [workflow["name"] for workflow in theirs("GET", "/api/v1/workflows").json()["items"]] == [name]
    assert theirs("GET", f"/api/v1/workflows/{name}").json()["draft"] == transform("'theirs'")
    assert mine("GET", f"/api/v1/workflows/{name}").json()["draft"] == transform("'mine'")
    theirs.publish(f"{name}-own", transform())
    assert mine("GET", f"/api/v1/workflows/{name}-own").status_code == 404
    assert mine("POST", f"/api/v1/workflows/{name}-own/versions").status_code == 404
    assert mine("PUT", f"/api/v1/endpoints/{name}-x", {"workflow": f"{name}-own"}).status_code == 404


def test_on_loopback_a_key_that_is_sent_counts(server: Server, api_of: ApiOf, api_dsn: str, name: str) -> None:
    theirs = api_of(server, key_of(api_dsn, name, f"{name}-project"))
    assert theirs("GET", "/api/v1/workflows").json() == {"items": []}
    wrong = httpx.get(f"{server.url}/api/v1/workflows", headers={"authorization": "Bearer mh_" + "x" * 43})
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "127.0.0.1"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8080"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, 200),
        ({"host": "localhost:8080", "origin": "http://localhost:9999"}, 403),
    ],
)
def test_without_keys_no_page_of_another_site_gets_in(server: Server, headers: dict[str, str], status: int) -> None:
    answer = httpx.get(f"{server.url}/api/v1/workflows", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "/problems/not-local"


def test_a_public_server_without_keys_says_how_to_make_one(database: str) -> None:
    running = Server(database, host="0.0.0.0")
    try:
        said = [json.loads(line) for line in running.said.splitlines()]
        [warning] = [line for line in said if line["level"] == "warning"]
        assert warning["make_one"] == "meshhook key create NAME"
        assert httpx.get(f"{running.url}/api/v1/runs").status_code == 401
        assert httpx.get(f"{running.url}/readyz").status_code == 200
    finally:
        running.end()


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/runs", "/api/v1/nothing", "/metrics", "/problems/internal", "/"])
def test_every_answer_is_safe_to_show(server: Server, path: str) -> None:
    headers = httpx.get(server.url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert ("no-store" in headers["cache-control"]) != path.startswith("/problems")
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers or "litestar" not in headers["server"].lower()


def test_no_other_origin_is_allowed_in(server: Server) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "PUT"}
    answer = httpx.options(f"{server.url}/api/v1/workflows/x", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_is_get_without_a_body(server: Server) -> None:
    for path in ("/healthz", "/api/v1/workflows", "/api/v1/nothing"):
        head, get = httpx.head(server.url + path), httpx.get(server.url + path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_what_is_of_the_whole_installation_is_for_operators(
    guarded: Server, api_of: ApiOf, api_dsn: str, name: str
) -> None:
    mine, theirs = api_of(guarded, key_of(api_dsn, name)), api_of(guarded, key_of(api_dsn, name, f"{name}-project"))
    until(lambda: mine("GET", "/api/v1/overview").status_code == 200)
    seen = mine("GET", "/api/v1/overview").json()
    assert seen["project"]["name"] == "default"
    assert seen["installation"]["database"]["connections"] > 0
    assert "schema" in {check["name"] for check in mine("GET", "/api/v1/doctor").json()["checks"]}
    told = theirs("GET", "/api/v1/overview")
    assert told.json()["project"] | {"share": 1} == {
        "name": f"{name}-project",
        "backlog": told.json()["project"]["backlog"],
        "backlog_max": None,
        "dead_letters": 0,
        "share": 1,
    }
    assert (told.json()["installation"], told.json()["project"]["backlog"]["live"]) == (None, 0)
    refused = theirs("GET", "/api/v1/doctor")
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-operator")


def test_a_project_that_is_full_starts_nothing_by_any_call(
    guarded: Server, api_of: ApiOf, api_dsn: str, name: str
) -> None:
    """One live run is what the project may have. A finished one, of before there was a limit, is to be begun again."""
    project = f"{name}-project"
    mine = api_of(guarded, key_of(api_dsn, name, project))
    mine.publish("work", transform())
    mine("PUT", f"/api/v1/endpoints/{name}", {"workflow": "work"})
    run_id = mine("POST", "/api/v1/workflows/work/runs", 1).json()["run_id"]
    mine("POST", f"/api/v1/runs/{run_id}/pause")
    asked(api_dsn, lambda database: keys.limit_project(database, project, 1))
    calls = (
        ("/api/v1/workflows/work/runs", 1),
        ("/api/v1/workflows/work/test-runs", {"input": 1}),
        (f"/api/v1/runs/{run_id}/replay", None),
        (f"/api/v1/runs/{run_id}/resume-from", {"step": "a"}),
        (f"/hooks/{name}", 1),
    )
    until(lambda: mine("POST", *calls[0]).status_code == 429)  # counted every quarter of a second
    for path, body in calls:
        refused = mine("POST", path, body)
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/backlog-full"), path
        assert int(refused.headers["retry-after"]) > 0
    asked(api_dsn, lambda database: keys.limit_project(database, project, None))
    until(lambda: mine("POST", *calls[0]).status_code == 202)
    limited = [it["detail"] for it in mine("GET", "/api/v1/audit?action=project.limited").json()["items"]]
    assert limited == [{"backlog_max": None}, {"backlog_max": 1}]


def test_a_page_runs_nothing_but_what_the_server_sends(server: Server) -> None:
    headers = httpx.get(f"{server.url}/runs", headers={"accept": "text/html"}).headers
    rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    own = dict.fromkeys(("default-src", "script-src", "connect-src", "font-src", "form-action"), "'self'")
    none = dict.fromkeys(("object-src", "base-uri", "frame-ancestors"), "'none'")
    assert rules.items() >= (own | none).items()
    assert not [name for name, sources in rules.items() if "unsafe" in sources and name != "style-src"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_the_lab_is_for_operators(guarded: Server, api_of: ApiOf, api_dsn: str, name: str) -> None:
    stranger = api_of(guarded, key_of(api_dsn, name, project=name))
    for method, path in (("GET", "/api/v1/lab"), ("GET", "/api/v1/lab/tests"), ("GET", "/api/v1/lab/tests/x/stream")):
        answer = stranger(method, path)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-operator")
