"""The cookie that holds a session token: never seen by scripts, never sent with what another site asks for. Pure.

Over TLS its name begins with ``__Host-``, which a browser takes only as ``Secure``, for this host alone and for every path: no
sibling domain and no plain connection can plant one. Whether there is TLS only the browser knows, for a proxy in front may end it;
it says so in ``Origin``, which comes with every request that signs in.
"""

from __future__ import annotations

from typing import Final

from litestar.datastructures import Cookie

from meshhook import sessions

NAME: Final = "meshhook"
SECURE_NAME: Final = "__Host-meshhook"
_TOKEN_LENGTH: Final = len(sessions.PREFIX) + 43


def token_in(cookie: str | None) -> str | None:
    """The session token in a ``Cookie`` header. One that was planted beside ours makes both worth nothing."""
    found: dict[str, set[str]] = {}
    for pair in (cookie or "").split(";"):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, set()).add(value)
    values = found.get(SECURE_NAME) or found.get(NAME) or set()
    token = values.pop() if len(values) == 1 else ""
    return token if token.startswith(sessions.PREFIX) and len(token) == _TOKEN_LENGTH else None


def setting(token: str, *, secure: bool) -> str:
    """``Set-Cookie`` for a session that was opened."""
    name, more = (SECURE_NAME, "; Secure") if secure else (NAME, "")
    age_s = int(sessions.AGE_MAX.total_seconds())
    return f"{name}={token}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Strict{more}"


CLEARING: Final = [
    Cookie(NAME, value="", max_age=0, httponly=True, samesite="strict"),
    Cookie(SECURE_NAME, value="", max_age=0, httponly=True, samesite="strict", secure=True),
]
"""What takes it away, under either name: not every request says whether there is TLS."""
