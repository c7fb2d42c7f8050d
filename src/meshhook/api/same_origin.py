"""Whether a request comes from one of our own pages: no page of another site may act with the cookie of who looks at it. Pure.

As OWASP's Cross-Site Request Forgery Prevention Cheat Sheet has it: ``Sec-Fetch-Site`` decides, which no script can set and every
browser since 2023 sends to https and loopback; ``Origin`` against ``Host`` where it is missing. The cookie is ``SameSite=Strict``
besides, and what changes something must be JSON, which no form can send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from meshhook.errors import Refusal

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_FOREIGN: Final = ("cross-site", "same-site")


def check_cookie_use(method: str, headers: Mapping[bytes, str]) -> None:
    """Refuse a request that comes with our cookie and not from our pages. ``headers``: by their names in small letters.

    A page that is opened by hand (``none``) may read; nothing but our own pages may change anything.

    Raises:
        Refusal: 403 ``cross-origin``, 415 ``json-only``.
    """
    if method in _SAFE:
        if headers.get(b"sec-fetch-site") in _FOREIGN:
            raise _cross_origin()
        return
    if not _says_same_origin(headers):
        raise _cross_origin()
    check_is_json(headers)


def check_sign_in(method: str, headers: Mapping[bytes, str]) -> None:
    """Refuse what a page of another site sends to sign its visitor in or out. Who is no browser needs to say nothing.

    Raises:
        Refusal: 403 ``cross-origin``, 415 ``json-only``.
    """
    if method in _SAFE:
        return
    if is_of_browser(headers) and not _says_same_origin(headers):
        raise _cross_origin()
    check_is_json(headers)


def is_of_browser(headers: Mapping[bytes, str]) -> bool:
    """Whether a request says where it comes from, as browsers do with all that may change something."""
    return b"sec-fetch-site" in headers or b"origin" in headers


def check_is_json(headers: Mapping[bytes, str]) -> None:
    """Refuse a body of a kind that a form could send.

    Raises:
        Refusal: 415 ``json-only``.
    """
    media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/json"):
        raise Refusal(
            415,
            "json-only",
            "This call takes JSON alone",
            f"Who is signed in by a cookie sends `content-type: application/json`, or no body; this is {media_type[:60]!r}.",
        )


def is_secure(headers: Mapping[bytes, str]) -> bool:
    """Whether the browser reached us over TLS, as it says itself."""
    return headers.get(b"origin", "").startswith("https://")


def _says_same_origin(headers: Mapping[bytes, str]) -> bool:
    if (site := headers.get(b"sec-fetch-site")) is not None:
        return site == "same-origin"
    origin, host = headers.get(b"origin"), headers.get(b"host")
    # Neither names the port that its scheme has anyway, and the scheme is left out: a proxy may have taken TLS away.
    return bool(origin and host) and urlsplit(origin).netloc.lower() == (host or "").lower()


def _cross_origin() -> Refusal:
    return Refusal(
        403,
        "cross-origin",
        "Only pages of this server may do this",
        "The request came by a browser, and not from a page of this server. Programs send an API key instead: "
        "`Authorization: Bearer mh_…`.",
    )
