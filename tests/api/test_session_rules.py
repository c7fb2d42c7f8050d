"""Cookies, and which request comes from one of our own pages: pure."""

from __future__ import annotations

import pytest

from meshhook.api import cookies
from meshhook.api.same_origin import check_cookie_use, check_sign_in
from meshhook.errors import Refusal

TOKEN = "mhs_" + "a" * 43
OTHER = "mhs_" + "b" * 43


@pytest.mark.parametrize(
    ("cookie", "found"),
    [
        (None, None),
        ("", None),
        (f"meshhook={TOKEN}", TOKEN),
        (f"a=b; meshhook={TOKEN}; c", TOKEN),
        (f"__Host-meshhook={TOKEN}", TOKEN),
        # What a sibling domain plants under the plain name never counts beside the one it can't plant.
        (f"meshhook={OTHER}; __Host-meshhook={TOKEN}", TOKEN),
        (f"meshhook={OTHER}; meshhook={TOKEN}", None),
        (f"meshhook={TOKEN}; meshhook={TOKEN}", TOKEN),
        ("meshhook=mhs_short", None),
        ("meshhook=mh_" + "a" * 43, None),
        (f"Meshhook={TOKEN}", None),
        (f"xmeshhook={TOKEN}", None),
    ],
)
def test_the_token_in_a_cookie(cookie: str | None, found: str | None) -> None:
    assert cookies.token_in(cookie) == found


def test_a_cookie_over_tls_is_bound_to_its_host() -> None:
    parts = cookies.setting(TOKEN, secure=True).split("; ")
    assert parts[0] == f"__Host-meshhook={TOKEN}"
    assert {"Path=/", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age=2592000"} == set(parts[1:])
    assert "Secure" not in cookies.setting(TOKEN, secure=False)


HOST = {"host": "hooks.example:8443"}
JSON = {"content-type": "application/json; charset=utf-8"}


def raw(headers: dict[str, str]) -> dict[bytes, str]:
    return {name.encode(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"sec-fetch-site": "same-origin"}, None),
        ({"sec-fetch-site": "same-origin", **JSON}, None),
        ({"sec-fetch-site": "same-site"}, "cross-origin"),
        ({"sec-fetch-site": "cross-site"}, "cross-origin"),
        ({"sec-fetch-site": "none"}, "cross-origin"),
        ({"sec-fetch-site": "Same-Origin"}, "cross-origin"),
        ({"sec-fetch-site": "cross-site", "origin": "https://hooks.example:8443"}, "cross-origin"),
        ({"origin": "https://hooks.example:8443", **JSON}, None),
        ({"origin": "https://HOOKS.example:8443"}, None),
        ({"origin": "https://hooks.example"}, "cross-origin"),
        ({"origin": "https://hooks.example.evil:8443"}, "cross-origin"),
        ({"origin": "https://hooks.example:8443@evil.example"}, "cross-origin"),
        ({"origin": "null"}, "cross-origin"),
        ({"origin": ""}, "cross-origin"),
        ({}, "cross-origin"),
        ({"sec-fetch-site": "same-origin", "content-type": "text/plain"}, "json-only"),
        ({"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}, "json-only"),
        ({"sec-fetch-site": "same-origin", "content-type": "multipart/form-data; boundary=x"}, "json-only"),
        ({"sec-fetch-site": "same-origin", "content-type": "text/plain; application/json"}, "json-only"),
    ],
)
def test_what_may_change_something_with_a_cookie(headers: dict[str, str], refused: str | None) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        try:
            check_cookie_use(method, raw(HOST | headers))
            said = None
        except Refusal as refusal:
            said = refusal.problem
        assert said == refused, method


@pytest.mark.parametrize(
    ("site", "may"), [(None, True), ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False)]
)
def test_what_may_read_with_a_cookie(site: str | None, may: bool) -> None:
    headers = raw(HOST | ({} if site is None else {"sec-fetch-site": site}))
    if may:
        check_cookie_use("GET", headers)
    else:
        with pytest.raises(Refusal, match="cross-origin"):
            check_cookie_use("GET", headers)


def test_who_is_no_browser_signs_in_without_a_word() -> None:
    check_sign_in("POST", raw(HOST | JSON))
    with pytest.raises(Refusal, match="cross-origin"):
        check_sign_in("POST", raw(HOST | JSON | {"origin": "https://evil.example"}))
    with pytest.raises(Refusal, match="json-only"):
        check_sign_in("POST", raw(HOST | {"content-type": "text/plain"}))
