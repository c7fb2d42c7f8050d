"""Drafts over HTTP: saved only in place of the one that was read, and kept while they are unfinished."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.api.conftest import Api, transform

from meshhook.api.preconditions import condition
from meshhook.drafts import Only
from meshhook.errors import Refusal

UNFINISHED: dict[str, Any] = {
    "nodes": [{"id": "a", "type": "transform", "config": {"expression": "input."}}, {"id": "b", "type": "magic"}],
    "edges": [],
}


def test_a_draft_has_a_tag_that_changes_with_its_text_alone(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    saved = api("PUT", path, transform())
    tag = saved.headers["etag"]
    assert tag.startswith('"')
    assert saved.json()["etag"] == tag
    assert api("GET", path).headers["etag"] == tag
    api("POST", f"{path}/versions")
    assert api("GET", path).headers["etag"] == tag, "publishing changes no draft"
    assert api("PUT", path, content=json.dumps(transform(), indent=2).encode()).headers["etag"] == tag
    assert api("PUT", path, transform("input.a")).headers["etag"] != tag


def test_a_draft_that_was_changed_meanwhile_is_not_overwritten(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    mine = api("PUT", path, transform("input.a")).headers["etag"]
    theirs = api("PUT", path, transform("input.b"), headers={"if-match": mine})
    assert theirs.status_code == 200
    refused = api("PUT", path, transform("input.c"), headers={"if-match": mine})
    assert (refused.status_code, refused.json()["type"]) == (412, "/problems/draft-changed")
    assert refused.json()["etag"] == theirs.headers["etag"]
    assert (refused.json()["saved_by"], refused.json()["saved_at"]) == ("local", theirs.json()["updated_at"])
    assert api("GET", path).json()["draft"] == transform("input.b")
    again = api("PUT", path, transform("input.c"), headers={"if-match": f'"other", {refused.json()["etag"]}'})
    assert again.status_code == 200


def test_who_saves_the_same_again_is_not_refused(api: Api, name: str) -> None:
    """The answer to the first call may have been lost."""
    path = f"/api/v1/workflows/{name}"
    old = api("PUT", path, transform()).headers["etag"]
    answers = [api("PUT", path, transform("input.a"), headers={"if-match": old}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("header", ["if-match", "if-none-match"])
def test_of_many_who_save_at_once_one_wins(api: Api, name: str, header: str) -> None:
    path = f"/api/v1/workflows/{name}"
    value = api("PUT", path, transform()).headers["etag"] if header == "if-match" else "*"

    def save(number: int) -> Any:
        return api.raw("PUT", path, json=transform(f"input.n{number}"), headers={header: value})

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(save, range(12)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 11}
    won = next(answer for answer in answers if answer.status_code == 200)
    assert api("GET", path).headers["etag"] == won.headers["etag"]


def test_only_when_it_is_new_or_only_when_it_is_there(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    missing = api("PUT", path, transform(), headers={"if-match": "*"})
    assert (missing.status_code, missing.json()["type"]) == (412, "/problems/draft-changed")
    assert api("PUT", path, transform(), headers={"if-match": '"x"'}).status_code == 412
    assert api("GET", path).status_code == 404, "nothing was made"
    assert api("PUT", path, transform(), headers={"if-none-match": "*"}).status_code == 200
    taken = api("PUT", path, transform("input.a"), headers={"if-none-match": "*"})
    assert (taken.status_code, taken.json()["type"]) == (412, "/problems/workflow-exists")
    assert api("PUT", path, transform("input.a"), headers={"if-match": "*"}).status_code == 200


def test_unfinished_work_is_kept_when_asked_for_and_never_published(api: Api, name: str) -> None:
    path = f"/api/v1/workflows/{name}"
    api.publish(name, transform())
    assert api("PUT", path, UNFINISHED).status_code == 422
    saved = api("PUT", f"{path}?faulty=true", UNFINISHED)
    assert saved.status_code == 200
    codes = {(fault["path"], fault["code"]) for fault in saved.json()["errors"]}
    assert {("$.nodes[0].config.expression", "bad-expression"), ("$.nodes[1].type", "unknown-node-type")} <= codes
    assert saved.json()["warnings"] == []
    read = api("GET", path)
    assert (read.json()["draft"], read.json()["changed"]) == (UNFINISHED, True)
    refused = api("POST", f"{path}/versions")
    assert (refused.status_code, refused.json()["errors"]) == (422, saved.json()["errors"])
    assert api("GET", path).json()["published"] == 1
    done = api("PUT", f"{path}?faulty=true", transform("input.a"), headers={"if-match": read.headers["etag"]})
    assert (done.status_code, done.json()["errors"]) == (200, [])
    assert api("POST", f"{path}/versions").json()["version"] == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no-json"),
        (b"{", "no-json"),
        (b'{"nodes": "\xff"}', "no-json"),
        (rb'{"nodes": "\ud800"}', "no-json"),
        (b"[]", "wrong-value"),
        (b'{"nodes": ' + b"[" * 300 + b"]" * 300 + b"}", "too-deep"),
        (b"[" * 200_000, "too-deep"),
        (b'{"x": "' + b"x" * 1_100_000 + b'"}', "too-large"),
    ],
    ids=["empty", "no json", "not utf-8", "surrogate", "list", "deep", "very deep", "large"],
)
def test_what_is_no_draft_at_all_is_not_kept(api: Api, name: str, body: bytes, code: str) -> None:
    answer = api("PUT", f"/api/v1/workflows/{name}?faulty=true", content=body)
    assert (answer.status_code, [fault["code"] for fault in answer.json()["errors"]]) == (422, [code])
    assert api("GET", f"/api/v1/workflows/{name}").status_code == 404


def test_an_odd_draft_can_be_read_everywhere(api: Api, name: str) -> None:
    odd = {"nodes": {"id": 1}, "edges": 7, "text": "\x00 <script> \u202e", "number": 1e308}
    assert api("PUT", f"/api/v1/workflows/{name}?faulty=true", odd).status_code == 200
    assert api("GET", f"/api/v1/workflows/{name}").json()["draft"] == odd
    assert name in [it["name"] for it in api("GET", "/api/v1/workflows").json()["items"]]
    assert api("POST", f"/api/v1/workflows/{name}/runs", 1).json()["type"] == "/problems/not-published"


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "wanted"),
    [
        (None, None, Only()),
        (" * ", None, Only(is_there=True)),
        ('"a"', None, Only(instead_of=('"a"',))),
        ('"a" ,W/"b",  "c d"', None, None),
        ('"a" ,W/"b",, "c"', None, Only(instead_of=('"a"', '"c"'))),
        ('W/"a"', None, Only(instead_of=())),
        ('""', None, Only(instead_of=('""',))),
        (None, "*", Only(is_new=True)),
        (None, '"a"', None),
        ('"a"', "*", None),
        ("a", None, None),
        ("", None, None),
        ('"a', None, None),
        ('"a"' * 3_000, None, None),
    ],
)
def test_what_the_headers_ask_for(if_match: str | None, if_none_match: str | None, wanted: Only | None) -> None:
    if wanted is None:
        with pytest.raises(Refusal) as refused:
            condition(if_match, if_none_match)
        assert refused.value.status == 400
    else:
        assert condition(if_match, if_none_match) == wanted
