"""The proof of the sender, over a real server: what is signed comes in, nothing else does, and what is refused is in the log."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from tests.api.conftest import Api, Server, transform, until
from tests.conftest import execute, in_database
from tests.engine.processes import free_port

from meshhook import secret_catalog
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.db.migrate import migrate
from meshhook.key_source import KeySource
from meshhook.signatures import github, jwt, slack, standard_webhooks, stripe

# Its server is started once, and not by every process of the tests.
pytestmark = pytest.mark.xdist_group("door")

SHARED = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GITHUB = {"scheme": "github", "secrets": ["GITHUB"]}


class Door:
    """A server with an API, and the secrets of its project."""

    def __init__(self, dsn: str, key_file: Path) -> None:
        self.dsn, self.key_file = dsn, key_file
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MESHHOOK_SECRETS_KEY_FILE", str(key_file))
            patch.setenv("MESHHOOK_OUTBOUND_ALLOW", "127.0.0.1")
            self.server = Server(dsn)
        self.api = Api(self.server)

    def secret(self, name: str, value: bytes, overlap: timedelta = timedelta(hours=1)) -> None:
        async def set_it() -> None:
            database = Database(self.dsn, size=1, name="test")
            await database.connect()
            try:
                keychain = Keychain(KeySource("file", str(self.key_file)))
                await secret_catalog.set_secret(database, keychain, 0, name, value, overlap=overlap)
            finally:
                await database.close()

        asyncio.run(set_it())

    def endpoint(self, path: str, **config: Any) -> str:
        answer = self.api("PUT", f"/api/v1/endpoints/{path}", {"workflow": "work", "config": config})
        assert answer.status_code == 200, answer.text
        return path

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        answer = self.api.raw(
            "POST", f"/hooks/{path}", content=body, headers={"content-type": "application/json", **headers}
        )
        self.api.check(answer)
        return answer

    def log(self, path: str, **query: Any) -> Any:
        return self.api("GET", "/api/v1/deliveries", params={"endpoint": path, **query}).json()


@pytest.fixture(scope="module")
def door(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE door TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "door")
    asyncio.run(migrate(dsn))
    key_file = tmp_path_factory.mktemp("keys") / "key"
    key_file.write_text(base64.b64encode(os.urandom(32)).decode())
    key_file.chmod(0o600)
    made = Door(dsn, key_file)
    made.api.publish("work", transform())
    made.secret("GITHUB", b"a secret of GitHub")
    made.secret("SHARED", SHARED)
    made.secret("STRIPE", b"whsec_of_stripe")
    made.secret("SLACK", b"a secret of Slack")
    yield made
    made.api.http.close()
    made.server.end()


def signed(body: bytes, secret: bytes = b"a secret of GitHub", id: str = "one") -> dict[str, str]:
    return github.sign(github.GitHub(secrets=("X",)), secret, body, id, 0)


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def test_what_is_signed_comes_in_and_is_known_by_the_name_its_sender_gave(door: Door, name: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    first = door.post(path, b'{"n": 1}', signed(b'{"n": 1}'))
    again = door.post(path, b'{"n": 1}', signed(b'{"n": 1}'))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == {**first.json(), "duplicate": True}
    (one,) = door.log(path)["items"]
    assert (one["outcome"], one["run_id"], one["delivery_key"]) == ("accepted", first.json()["run_id"], "one")


def test_a_wrong_signature_is_told_before_the_body_is_looked_at(door: Door, name: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    assert problem(door.post(path, b"{", signed(b"["))) == (401, "signature-wrong")
    assert problem(door.post(path, b"{", {})) == (401, "signature-missing")
    assert problem(door.post(path, b"{", signed(b"{"))) == (400, "invalid-json"), "only now it is parsed"


def test_a_signed_name_counts_more_than_one_that_is_not(door: Door, name: str) -> None:
    """Else whoever has recorded a delivery could play it again under a new Idempotency-Key."""
    path = door.endpoint(name, signature={"scheme": "standard_webhooks", "secrets": ["SHARED"]})
    settings = standard_webhooks.StandardWebhooks(secrets=("SHARED",))
    headers = standard_webhooks.sign(settings, SHARED, b"{}", "msg_1", int(time.time()))
    first = door.post(path, b"{}", headers)
    again = door.post(path, b"{}", {**headers, "idempotency-key": "another"})
    assert again.json() == {**first.json(), "duplicate": True}
    old = standard_webhooks.sign(settings, SHARED, b"{}", "msg_2", int(time.time()) - 301)
    assert problem(door.post(path, b"{}", old)) == (401, "signature-stale")


def test_stripe_events_are_known_by_their_id(door: Door, name: str) -> None:
    path = door.endpoint(name, signature={"scheme": "stripe", "secrets": ["STRIPE"]}, replay_window_s=60)
    body = b'{"id": "evt_1", "object": "event"}'
    headers = stripe.sign(stripe.Stripe(secrets=("X",)), b"whsec_of_stripe", body, "", int(time.time()))
    assert not door.post(path, body, headers).json()["duplicate"]
    assert door.post(path, body, headers).json()["duplicate"]
    old = stripe.sign(stripe.Stripe(secrets=("X",)), b"whsec_of_stripe", body, "", int(time.time()) - 61)
    assert problem(door.post(path, body, old)) == (401, "signature-stale")


def test_the_challenge_of_slack_is_answered_once_it_is_proven_and_starts_no_run(door: Door, name: str) -> None:
    path = door.endpoint(name, signature={"scheme": "slack", "secrets": ["SLACK"]})
    body = b'{"type": "url_verification", "token": "x", "challenge": "3eZbrw1a"}'
    headers = slack.sign(slack.Slack(secrets=("X",)), b"a secret of Slack", body, "", int(time.time()))
    answer = door.post(path, body, headers)
    assert (answer.status_code, answer.text) == (200, "3eZbrw1a")
    assert problem(door.post(path, body, {})) == (401, "signature-missing")
    assert not door.log(path, outcome="accepted")["items"]


def test_a_rotated_secret_is_followed_while_the_old_one_still_fits(door: Door, name: str) -> None:
    door.secret("ROTATED", b"the first value")
    path = door.endpoint(name, signature={"scheme": "github", "secrets": ["ROTATED"]})

    def comes_in(secret: bytes) -> bool:
        return door.post(path, b"{}", signed(b"{}", secret, id="")).status_code == 202

    assert comes_in(b"the first value")
    assert not comes_in(b"the second value")
    door.secret("ROTATED", b"the second value")
    until(lambda: comes_in(b"the second value"))
    assert comes_in(b"the first value"), "both are valid for a while"
    door.secret("ROTATED", b"the third value", overlap=timedelta(0))
    until(lambda: comes_in(b"the third value"))
    assert not comes_in(b"the second value")
    assert not comes_in(b"the first value")


def test_without_its_secret_an_endpoint_takes_nothing(door: Door, name: str) -> None:
    path = door.endpoint(name, signature={"scheme": "github", "secrets": ["NOWHERE"]})
    answer = door.post(path, b"{}", signed(b"{}"))
    assert problem(answer) == (503, "signature-unchecked")
    assert int(answer.headers["retry-after"]) > 0
    door.secret("UNUSABLE", b"no key of this form")
    path = door.endpoint(name, signature={"scheme": "standard_webhooks", "secrets": ["UNUSABLE"]})
    headers = standard_webhooks.sign(
        standard_webhooks.StandardWebhooks(secrets=("X",)), SHARED, b"{}", "msg_1", int(time.time())
    )
    answer = door.post(path, b"{}", headers)
    assert problem(answer) == (503, "signature-unchecked")
    assert "no key of" not in answer.text


@pytest.mark.parametrize("value", ["sha256=\u00e9", "sha256=" + "0" * 60_000, "\x80\xff", '"', "sha256="])
def test_whatever_a_signature_holds_it_is_refused_and_never_an_error(door: Door, name: str, value: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    for raw in {value.encode("latin-1"), value.encode()}:
        answer = door.api.http.post(f"/hooks/{path}", content=b"{}", headers=[(b"x-hub-signature-256", raw)])
        assert answer.status_code in (400, 401, 431), answer.text


def test_a_token_is_not_stored_whatever_its_header_is_called(door: Door, name: str) -> None:
    path = door.endpoint(name, signature={"scheme": "token", "secrets": ["GITHUB"], "header": "X-Shop-Pass"})
    answer = door.post(path, b"{}", {"x-shop-pass": "a secret of GitHub", "x-shop": "1"})
    assert answer.status_code == 202
    run = door.api("GET", f"/api/v1/runs/{answer.json()['run_id']}")
    assert "a secret of GitHub" not in run.text
    assert run.json()["trigger"]["headers"]["x-shop"] == "1"
    assert problem(door.post(path, b"{}", {"x-shop-pass": "a secret of GitHuc"})) == (401, "signature-wrong")


# JWKS ----------------------------------------------------------------------------------------------------------------


class KeyServer(ThreadingHTTPServer):
    """Serves a JWK Set, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _KeyAnswer)
        self.keys: list[Any] = []
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jwks.json"


class _KeyAnswer(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps({"keys": [key.as_dict(private=False) for key in self.server.keys]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def bearer(key: ECKey) -> dict[str, str]:
    settings = jwt.Jwt(algorithms=("ES256",), jwks_url="https://keys.example")
    return jwt.sign(settings, json.dumps(key.as_dict(private=True)).encode(), b"", "id", int(time.time()))


def test_keys_are_fetched_once_and_followed_when_they_are_renewed(door: Door, name: str, key_server: KeyServer) -> None:
    one, two = (ECKey.generate_key("P-256", {"kid": kid}) for kid in ("one", "two"))
    key_server.keys = [one]
    path = door.endpoint(name, signature={"scheme": "jwt", "algorithms": ["ES256"], "jwks_url": key_server.url})
    for _ in range(5):
        assert door.post(path, b"{}", bearer(one)).status_code == 202
    assert problem(door.post(path, b"{}", bearer(two))) == (401, "signature-wrong")
    assert key_server.asked == 1, "a token with an unknown key makes no fetch so soon after the last"
    key_server.keys = [two]
    until(lambda: door.post(path, b"{}", bearer(two)).status_code == 202)
    assert key_server.asked == 2
    assert problem(door.post(path, b"{}", bearer(one))) == (401, "signature-wrong"), "the old key is gone"


def test_keys_that_can_not_be_fetched_are_told(door: Door, name: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/jwks.json"
    path = door.endpoint(name, signature={"scheme": "jwt", "algorithms": ["ES256"], "jwks_url": url})
    answer = door.post(path, b"{}", bearer(ECKey.generate_key("P-256", {"kid": "one"})))
    assert problem(answer) == (503, "keys-unavailable")


# The delivery log ----------------------------------------------------------------------------------------------------


def test_refusals_are_in_the_log_with_their_reason(door: Door, name: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    door.post(path, b"{}", {**signed(b"other"), "x-github-delivery": "d-1"})
    door.post(path, b"{", signed(b"{"))
    door.api.raw("GET", f"/hooks/{path}")
    until(lambda: len(door.log(path)["items"]) == 3)
    newest, second, first = door.log(path)["items"]
    assert (first["status"], first["problem"], first["delivery_key"]) == (401, "signature-wrong", "d-1")
    assert first["remote"].startswith("127.0.0.1:")
    assert second["problem"] == "invalid-json"
    assert (newest["status"], newest["problem"]) == (405, "method-not-allowed")
    assert door.log(path)["refused"] == {"invalid-json": 1, "method-not-allowed": 1, "signature-wrong": 1}


def test_pages_of_the_log_hold_every_delivery_once_and_newest_first(door: Door, name: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    for number in range(7):
        door.post(path, b"{}", signed(b"{}" if number % 2 else b"wrong", id=str(number)))
    until(lambda: len(door.log(path)["items"]) == 7)
    seen: list[Any] = []
    cursor = None
    while True:
        page = door.log(path, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert sorted(item["delivery_key"] for item in seen) == [str(number) for number in range(7)]
    times = [item["at"] for item in seen]
    assert times == sorted(times, reverse=True)
    assert {item["delivery_key"] for item in door.log(path, outcome="refused")["items"]} == {"0", "2", "4", "6"}


def test_a_flood_is_sampled_and_counted(door: Door, name: str) -> None:
    path = door.endpoint(name, signature=GITHUB)
    for _ in range(200):
        door.post(path, b"{}", {})
    until(lambda: door.log(path)["refused"] == {"signature-missing": 200})
    items = door.log(path, limit=500)["items"]
    assert 20 <= len(items) < 60, "few rows for many refusals"
    assert len(items) + sum(item["unwritten"] for item in items) <= 200


@pytest.mark.parametrize(
    "query",
    [{"endpoint": "nowhere"}, {"endpoint": "\0"}, {"endpoint": "x", "cursor": "y"}, {}, {"limit": 0}, {"outcome": "x"}],
)
def test_asking_the_log_for_what_is_not_there_is_told(door: Door, name: str, query: dict[str, Any]) -> None:
    path = door.endpoint(name)
    asked = {"endpoint": path, **query} if query else {}
    if asked.get("endpoint") == "x":
        asked["endpoint"] = path
    answer = door.api("GET", "/api/v1/deliveries", params=asked)
    assert answer.status_code in (400, 404)


# Test deliveries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signature",
    [
        None,
        GITHUB,
        {"scheme": "standard_webhooks", "secrets": ["SHARED"]},
        {"scheme": "stripe", "secrets": ["STRIPE"]},
        {"scheme": "slack", "secrets": ["SLACK"]},
        {"scheme": "shopify", "secrets": ["GITHUB"]},
        {"scheme": "hmac", "secrets": ["GITHUB"], "header": "X-Sign", "template": "{id}:{body}", "id_header": "X-Id"},
        {"scheme": "jwt", "secrets": ["GITHUB"], "algorithms": ["HS256"], "issuer": "us"},
        {"scheme": "basic", "secrets": ["GITHUB"], "username": "me"},
        {"scheme": "token", "secrets": ["GITHUB"], "header": "X-Gitlab-Token"},
    ],
    ids=lambda it: it and it["scheme"],
)
def test_a_test_delivery_goes_through_the_real_door(door: Door, name: str, signature: Any) -> None:
    path = door.endpoint(name, **({"signature": signature} if signature else {}))
    answer = door.api("POST", "/api/v1/deliveries/test", {"endpoint": path, "body": {"a": [1]}})
    assert answer.status_code == 200, answer.text
    trial = answer.json()
    assert trial["answered"]["status"] == 202, trial
    assert json.loads(trial["sent"]["body"]) == {"a": [1]}
    run_id = json.loads(trial["answered"]["body"])["run_id"]
    assert run_id in [item["run_id"] for item in door.log(path)["items"]]
    text = answer.text
    for secret in (b"a secret of GitHub", b"whsec_of_stripe", SHARED, b"a secret of Slack"):
        assert secret.decode() not in text
        assert base64.b64encode(secret).decode().rstrip("=") not in text


def test_what_can_not_be_signed_is_told(door: Door, name: str) -> None:
    path = door.endpoint(name, signature={"scheme": "github", "secrets": ["NOWHERE"]})
    answer = door.api("POST", "/api/v1/deliveries/test", {"endpoint": path})
    assert problem(answer) == (409, "cannot-sign")
    assert problem(door.api("POST", "/api/v1/deliveries/test", {"endpoint": "nowhere"}))[0] == 404
    assert problem(door.api("POST", "/api/v1/deliveries/test", {"x": 1}))[0] == 400
