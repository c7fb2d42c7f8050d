"""Signing in by a browser, over real HTTP: what opens a session, what ends it, and what no page of another site can do with it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from tests.api.conftest import Api, Server, until
from tests.conftest import execute, in_database

from meshhook import audit, keys, passwords, sessions
from meshhook.db.connect import Database
from meshhook.db.migrate import migrate
from meshhook.errors import Refusal
from meshhook.passwords import Cost

# Its server is started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("session")

T = TypeVar("T")
QUICK = Cost(4, 1, 1)
PASSWORD = "correct horse battery"
OWN_PAGE = {"sec-fetch-site": "same-origin"}


class Door:
    """A server that wants a key, alone in its database, and how a browser comes to it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.server = Server(dsn, require_key="true", heartbeat_s="0.05", trusted_proxies="127.0.0.1")
        self.url = self.server.url
        self.senders = 0

    def asked(self, question: Callable[[Database], Awaitable[T]]) -> T:
        """Ask the database what the command line would."""

        async def ask() -> T:
            database = Database(self.dsn, size=1, name="test")
            await database.connect()
            try:
                return await question(database)
            finally:
                await database.close()

        return asyncio.run(ask())

    def sql(self, statement: str) -> None:
        asyncio.run(execute(self.dsn, statement))

    def key(self, name: str, project: str = "default") -> str:
        async def make(database: Database) -> str:
            return await keys.create_key(database, await keys.save_project(database, project), name)

        return self.asked(make)

    def has_password(self) -> None:
        """The password is ``PASSWORD``, at a cost that tests can pay."""
        hash = passwords.hash_password(PASSWORD, QUICK)
        self.asked(lambda database: sessions.set_password(database, keys.DEFAULT_PROJECT, hash))

    def sender(self) -> str:
        """An address nobody has guessed from."""
        self.senders += 1
        return f"192.0.2.{self.senders}"

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        headers = {"x-forwarded-for": self.sender(), **{k.replace("_", "-"): v for k, v in headers.items()}}
        return httpx.post(f"{self.url}/api/v1/session{path}", json=body, headers=headers, timeout=60)

    def sign_in(self, **proof: str) -> str:
        """The cookie of a new session."""
        answer = self.post("", proof)
        assert answer.status_code == 200, answer.text
        return answer.headers["set-cookie"].partition(";")[0]

    def get(self, path: str, cookie: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"cookie": cookie, **headers})

    def standing(self, cookie: str = "") -> Any:
        return self.get("/api/v1/session", cookie).json()

    def audit(self, project: str = "default") -> list[tuple[str, str, str]]:
        """Who did what, newest first."""

        async def read(database: Database) -> Any:
            return await audit.entries(database, await keys.project(database, project), limit=500)

        return [(entry.actor, entry.action, entry.subject) for entry in self.asked(read).items]


@pytest.fixture(scope="module")
def door(postgres_dsn: str) -> Iterator[Door]:
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE session TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "session")
    asyncio.run(migrate(dsn))
    made = Door(dsn)
    yield made
    made.server.end()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


@pytest.fixture
def new_door(database: str) -> Iterator[Door]:
    """A server that nobody has ever come in to."""
    made = Door(database)
    yield made
    made.server.end()


def test_the_first_password_is_set_once_with_the_token_the_server_prints(new_door: Door) -> None:
    door = new_door
    token = first_token(door)
    nobody = {"signed_in": False, "how": None, "project": None, "key": None, "password_set": False}
    assert door.standing() == nobody | {"needs": "first-password"}
    assert problem(door.post("/password", {"password": PASSWORD, "setup_token": "mhi_" + "x" * 43})) == (
        401,
        "setup-token-wrong",
    )
    assert problem(door.post("/password", {"password": "short", "setup_token": token})) == (400, "bad-password")
    assert problem(door.post("/password", {"password": PASSWORD})) == (400, "invalid-body")
    assert problem(door.post("/password", {"password": PASSWORD, "old": "anything at all"})) == (401, "sign-in-refused")

    answer = door.post("/password", {"password": PASSWORD, "setup_token": token})
    assert answer.json() == {
        "signed_in": True,
        "how": "session",
        "project": "default",
        "key": None,
        "needs": "nothing",
        "password_set": True,
    }
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert door.get("/api/v1/runs", cookie).status_code == 200
    assert door.standing(cookie)["how"] == "session"
    assert door.standing()["needs"] == "key or password"

    assert problem(door.post("/password", {"password": "another password", "setup_token": token})) == (
        401,
        "setup-token-wrong",
    )
    assert door.post("", {"password": PASSWORD}).status_code == 200
    assert ("password", "session.opened", "password") in door.audit()
    assert ("anybody", "password.set", "password") in door.audit()


def first_token(door: Door) -> str:
    found = until(lambda: re.search(r'"setup_token": "(mhi_[A-Za-z0-9_-]{43})"', door.server.said))
    return str(found[1])


async def test_of_many_who_hold_one_setup_token_one_sets_the_password(database: str) -> None:
    opened = Database(database, size=8, name="test")
    await opened.connect()
    try:
        token = await sessions.make_setup_token(opened, 0)
        hashes = [passwords.hash_password(f"password number {number}", QUICK) for number in range(8)]
        made = await asyncio.gather(*(sessions.set_first_password(opened, 0, token, hash) for hash in hashes))
        assert sum(one is not None for one in made) == 1
        stored = await sessions.password_of(opened, 0)
        assert [one is not None for one in made] == [hash == stored for hash in hashes]

        late = await sessions.make_setup_token(opened, 0)
        with pytest.raises(Refusal, match="password-set"):
            await sessions.set_first_password(opened, 0, late, hashes[0])
        assert await sessions.password_of(opened, 0) == stored
    finally:
        await opened.close()


async def test_what_piles_up_is_bounded(database: str) -> None:
    opened = Database(database, size=1, name="test")
    await opened.connect()
    try:
        key = await keys.create_key(opened, 0, "busy")
        for _ in range(103):
            await sessions.open_by_key(opened, key)
        for _ in range(23):
            await sessions.make_setup_token(opened, 0)
        assert [*(await opened.read("SELECT count(*) FROM meshhook.sessions"))[0]] == [100]
        assert [*(await opened.read("SELECT count(*) FROM meshhook.setup_tokens"))[0]] == [20]
        await opened.call("UPDATE meshhook.sessions SET seen_at = seen_at - interval '13 hours'")
        await sessions.open_by_key(opened, key)
        assert [*(await opened.read("SELECT count(*) FROM meshhook.sessions"))[0]] == [1]
    finally:
        await opened.close()


async def test_a_session_of_a_password_that_was_changed_meanwhile_is_not_opened(database: str) -> None:
    opened = Database(database, size=1, name="test")
    await opened.connect()
    try:
        before, after = (passwords.hash_password(PASSWORD + more, QUICK) for more in ("", " changed"))
        await sessions.set_password(opened, 0, before)
        await sessions.set_password(opened, 0, after)
        assert await sessions.open_by_password(opened, 0, before) is None
        assert await sessions.change_password(opened, 0, before, before) is None
        assert await sessions.open_by_password(opened, 0, after) is not None
    finally:
        await opened.close()


def test_a_key_opens_a_session_of_its_project_until_it_is_revoked(door: Door, name: str) -> None:
    key = door.key(name, f"{name}-project")
    answer = door.post("", {"key": key})
    assert answer.json() | {"password_set": True} == {
        "signed_in": True,
        "how": "session",
        "project": f"{name}-project",
        "key": name,
        "needs": "nothing",
        "password_set": True,
    }
    cookie = answer.headers["set-cookie"].partition(";")[0]
    saved = httpx.put(
        f"{door.url}/api/v1/workflows/{name}",
        json={"nodes": [], "edges": []},
        headers={"cookie": cookie, **OWN_PAGE},
    )
    assert saved.status_code in (200, 422)
    assert door.get("/api/v1/workflows", cookie).status_code == 200
    by_bearer = httpx.get(f"{door.url}/api/v1/session", headers={"authorization": f"Bearer {key}"}).json()
    assert (by_bearer["how"], by_bearer["key"]) == ("key", name)

    async def revoke(database: Database) -> None:
        await keys.revoke_key(database, await keys.project(database, f"{name}-project"), name)

    door.asked(revoke)
    until(lambda: door.get("/api/v1/workflows", cookie).status_code == 401)
    assert problem(door.post("", {"key": key})) == (401, "sign-in-refused")


def test_the_cookie_is_kept_from_scripts_and_other_sites(door: Door) -> None:
    door.has_password()
    plain = door.post("", {"password": PASSWORD}).headers["set-cookie"]
    assert re.fullmatch(r"meshhook=mhs_[A-Za-z0-9_-]{43}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict", plain)
    host = "hooks.example"
    secure = door.post("", {"password": PASSWORD}, origin=f"https://{host}", host=host).headers["set-cookie"]
    assert re.fullmatch(
        r"__Host-meshhook=mhs_\S{43}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict; Secure", secure
    )
    assert door.get("/api/v1/runs", secure.partition(";")[0]).status_code == 200


def test_only_hashes_are_stored_and_nothing_of_it_is_logged(door: Door) -> None:
    door.has_password()
    token = door.sign_in(password=PASSWORD).partition("=")[2]
    assert door.post("", {"password": "a wrong password"}).status_code == 401

    async def stored(database: Database) -> str:
        rows = await database.read(
            "SELECT t::text AS row FROM meshhook.sessions t UNION ALL SELECT t::text FROM meshhook.passwords t"
        )
        return "".join(row["row"] for row in rows)

    for text in (door.asked(stored), door.server.said):
        assert token.removeprefix("mhs_") not in text
        assert PASSWORD not in text
        assert "a wrong password" not in text
    refused = [json.loads(line) for line in door.server.said.splitlines() if "sign-in refused" in line]
    assert refused[-1]["address"] == f"192.0.2.{door.senders}"


def test_signing_out_ends_the_session_and_takes_the_cookie(door: Door, name: str) -> None:
    cookie = door.sign_in(key=door.key(name))
    assert door.get("/api/v1/runs", cookie).status_code == 200
    answer = httpx.delete(f"{door.url}/api/v1/session", headers={"cookie": cookie, **OWN_PAGE})
    assert (answer.status_code, answer.content) == (204, b"")
    assert cleared(answer) == {"meshhook", "__Host-meshhook"}
    refused = door.get("/api/v1/runs", cookie)
    assert problem(refused) == (401, "unauthorized")
    assert "Sign in again" in refused.json()["detail"]
    assert httpx.delete(f"{door.url}/api/v1/session", headers={"cookie": cookie, **OWN_PAGE}).status_code == 204
    assert [entry for entry in door.audit() if entry[0] == f"key:{name}"] == [
        (f"key:{name}", "session.ended", name),
        (f"key:{name}", "session.opened", name),
    ]
    told = door.get("/api/v1/session", cookie)
    assert told.json()["signed_in"] is False
    assert cleared(told) == {"meshhook", "__Host-meshhook"}


def cleared(answer: httpx.Response) -> set[str]:
    """The cookies that an answer takes away."""
    given = [text.lower().split("; ") for text in answer.headers.get_list("set-cookie")]
    names = {first.partition("=")[0]: {first, *more} for first, *more in given}
    for parts in names.values():
        assert {"max-age=0", "path=/", "httponly", "samesite=strict"} <= parts
    assert "secure" in names["__host-meshhook"]
    return {text.partition("=")[0] for text in answer.headers.get_list("set-cookie")}


@pytest.mark.parametrize("age", ["seen_at = seen_at - interval '12 hours 1 second'", "expires_at = clock_timestamp()"])
def test_a_session_ends_unused_and_by_its_age(door: Door, name: str, age: str) -> None:
    cookie = door.sign_in(key=door.key(name))
    hash = keys.hash_of(cookie.partition("=")[2]).hex()
    door.sql(f"UPDATE meshhook.sessions SET {age} WHERE hash = '\\x{hash}'")
    assert problem(door.get("/api/v1/runs", cookie)) == (401, "unauthorized")


def test_a_session_that_is_used_goes_on(door: Door, name: str) -> None:
    cookie = door.sign_in(key=door.key(name))
    where = f"WHERE hash = '\\x{keys.hash_of(cookie.partition('=')[2]).hex()}'"
    door.sql(f"UPDATE meshhook.sessions SET seen_at = seen_at - interval '11 hours' {where}")
    assert door.get("/api/v1/runs", cookie).status_code == 200

    async def fresh(database: Database) -> Any:
        query = f"SELECT clock_timestamp() - seen_at < interval '1 minute' FROM meshhook.sessions {where}"
        return (await database.read(query))[0][0]

    assert door.asked(fresh)


def test_changing_the_password_needs_the_old_one_and_ends_all_sessions(door: Door, name: str) -> None:
    door.has_password()
    mine, by_key = door.sign_in(password=PASSWORD), door.sign_in(key=door.key(name))
    assert problem(door.post("/password", {"old": "a wrong password", "password": "x" * 20}, cookie=mine, **OWN)) == (
        401,
        "sign-in-refused",
    )
    assert door.get("/api/v1/runs", mine).status_code == 200

    answer = door.post("/password", {"old": PASSWORD, "password": "a new pass phrase"}, cookie=mine, **OWN)
    assert answer.status_code == 200
    new = answer.headers["set-cookie"].partition(";")[0]
    for ended in (mine, by_key):
        until(lambda ended=ended: door.get("/api/v1/runs", ended).status_code == 401)
    assert door.get("/api/v1/runs", new).status_code == 200
    assert problem(door.post("", {"password": PASSWORD})) == (401, "sign-in-refused")
    assert door.post("", {"password": "a new pass phrase"}).status_code == 200
    assert ("password", "password.changed", "password") in door.audit()


OWN = {"sec_fetch_site": "same-origin"}

ATTACKS = {
    "a form of another site": (
        "POST",
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example", "content-type": "text/plain"},
        "cross-origin",
    ),
    "fetch of another site": (
        "POST",
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example", "content-type": "application/json"},
        "cross-origin",
    ),
    "a sibling domain": (
        "POST",
        {"sec-fetch-site": "same-site", "origin": "https://other.example", "content-type": "application/json"},
        "cross-origin",
    ),
    "an old browser": ("POST", {"origin": "https://evil.example", "content-type": "application/json"}, "cross-origin"),
    "a sandboxed frame": ("POST", {"origin": "null", "content-type": "application/json"}, "cross-origin"),
    "another port": ("POST", {"origin": "http://127.0.0.1:1", "content-type": "application/json"}, "cross-origin"),
    "nothing said": ("POST", {"content-type": "application/json"}, "cross-origin"),
    "deleting": ("DELETE", {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, "cross-origin"),
    "reading by a script tag": ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "cross-origin"),
    "a form of our own": (
        "POST",
        {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"},
        "json-only",
    ),
    "an upload form": (
        "POST",
        {"sec-fetch-site": "same-origin", "content-type": "multipart/form-data; boundary=x"},
        "json-only",
    ),
    "a name made to point here": (
        "POST",
        {"origin": "https://evil.example", "host": "127.0.0.1", "content-type": "application/json"},
        "cross-origin",
    ),
}


@pytest.fixture(scope="module")
def cookie(door: Door) -> str:
    return door.sign_in(key=door.key("attacked", "attacked-project"))  # no change of the password ends it


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_other_page_acts_with_the_cookie(door: Door, cookie: str, attack: str) -> None:
    method, headers, refused = ATTACKS[attack]
    for path in ("/api/v1/operations", "/api/v1/workflows/x/versions", "/api/v1/stream"):
        body = None if method == "GET" else b'{"action": "cancel"}'
        answer = httpx.request(method, door.url + path, content=body, headers={"cookie": cookie, **headers})
        assert problem(answer)[1] == refused, path
        assert answer.status_code == (415 if refused == "json-only" else 403)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("attack", [name for name, (method, *_) in ATTACKS.items() if method != "GET"])
def test_no_other_page_signs_its_visitor_in_or_out(door: Door, cookie: str, attack: str) -> None:
    method, headers, refused = ATTACKS[attack]
    sent = headers if method == "DELETE" or "nothing" in attack else {**headers, "x-forwarded-for": door.sender()}
    with_cookie = {"cookie": cookie} if method == "DELETE" or "nothing" in attack else {}
    answer = httpx.request(
        method, f"{door.url}/api/v1/session", content=b'{"key": "mh_x"}', headers={**sent, **with_cookie}
    )
    assert problem(answer)[1] == refused
    assert "set-cookie" not in answer.headers
    assert door.get("/api/v1/session", cookie).json()["signed_in"]


def test_a_page_of_ours_does_all_with_the_cookie(door: Door, cookie: str) -> None:
    definition = {
        "nodes": [{"id": "a", "type": "transform", "config": {"expression": "input"}}],
        "edges": [{"from": "trigger", "to": "a"}],
    }
    for headers in (OWN_PAGE, {"origin": door.url}):
        sent = {"cookie": cookie, **headers}
        assert httpx.put(f"{door.url}/api/v1/workflows/mine", json=definition, headers=sent).status_code == 200
        assert httpx.post(f"{door.url}/api/v1/workflows/mine/versions", headers=sent).status_code in (200, 201)
    assert ("key:attacked", "workflow.published", "mine") in door.audit("attacked-project")


def test_a_bearer_key_is_asked_for_no_origin(door: Door, name: str) -> None:
    headers = {"authorization": f"Bearer {door.key(name)}", "origin": "https://evil.example"}
    answer = httpx.post(f"{door.url}/api/v1/workflows/x/versions", headers={**headers, "sec-fetch-site": "cross-site"})
    assert problem(answer) == (404, "unknown-workflow")


def test_a_stream_is_watched_with_the_cookie_and_ends_with_the_session(door: Door, name: str) -> None:
    cookie = door.sign_in(key=door.key(name))
    headers = {"cookie": cookie, "accept": "text/event-stream", **OWN_PAGE}
    with httpx.stream("GET", f"{door.url}/api/v1/stream", headers=headers, timeout=60) as stream:
        assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream")
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        httpx.delete(f"{door.url}/api/v1/session", headers={"cookie": cookie, **OWN_PAGE})
        for _ in lines:  # it comes to its end, or the time is out
            pass
    assert httpx.get(f"{door.url}/api/v1/stream", headers=headers).status_code == 401


def test_guessing_is_slowed_down(door: Door) -> None:
    door.has_password()
    sender = door.sender()
    said = [door.post("", {"password": f"guess number {n}"}, x_forwarded_for=sender) for n in range(11)]
    assert [problem(answer)[1] for answer in said] == ["sign-in-refused"] * 10 + ["too-many-attempts"]
    assert said[-1].status_code == 429
    assert 0 < int(said[-1].headers["retry-after"]) <= 30
    assert problem(door.post("", {"password": PASSWORD}, x_forwarded_for=sender))[0] == 429
    assert problem(door.post("/password", {"old": PASSWORD, "password": "x" * 20}, x_forwarded_for=sender))[0] == 429
    assert door.post("", {"password": PASSWORD}).status_code == 200  # from elsewhere
    assert door.post("", {"key": door.key("not-slowed")}, x_forwarded_for=sender).status_code == 200


def test_who_signs_in_says_one_thing(door: Door) -> None:
    for body in ({}, {"key": "mh_x", "password": "y"}, {"token": "x"}, [], "x"):
        assert problem(door.post("", body)) == (400, "invalid-body")
    assert problem(door.post("", {"key": "mh_" + "x" * 43})) == (401, "sign-in-refused")


def test_this_machine_is_asked_for_nothing(server: Server, api: Api) -> None:
    answer = api("GET", "/api/v1/session")
    assert answer.json() | {"password_set": False} == {
        "signed_in": True,
        "how": "local",
        "project": "default",
        "key": None,
        "needs": "nothing",
        "password_set": False,
    }
    assert httpx.get(f"{server.url}/api/v1/session", headers={"host": "evil.example"}).status_code == 403
    stale = httpx.get(f"{server.url}/api/v1/workflows", headers={"cookie": "meshhook=mhs_" + "x" * 43})
    assert stale.status_code == 200
