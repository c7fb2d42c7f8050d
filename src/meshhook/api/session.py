"""``/api/v1/session``: who am I, signing in, signing out. Open to everybody, for it is how one gets in."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.types import Scope

from meshhook import keys
from meshhook.api import cookies
from meshhook.api.openapi import PasswordWrite, SignInWrite, TakesPassword, TakesSignIn
from meshhook.api.shared import decoded, problems_of
from meshhook.api.sign_in import SignIn
from meshhook.errors import Refusal
from meshhook.sessions import Opened


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and what it would take to get in.

    ``how``: ``local`` (this machine, no key in force), ``session`` (a cookie), ``key`` (a bearer key), or ``null``. ``key`` is
    the name of the API key behind either. ``needs``: ``first-password`` while there is neither a key nor a password; the server has
    printed a setup token then. ``password_set``: whether there is a password to sign in with.
    """

    signed_in: bool
    how: Literal["local", "session", "key"] | None
    project: str | None
    key: str | None
    needs: Literal["nothing", "key or password", "first-password"]
    password_set: bool


@get("/api/v1/session", summary="Who am I", security=[{}], responses=problems_of())
async def read_session(sign_in: NamedDependency[SignIn], scope: Scope) -> Response[Session]:
    """Whether the caller is signed in, how, to which project; and what is needed otherwise. Needs no key."""
    state: dict[str, Any] = scope["state"]
    answer = await _session(sign_in, state["project_id"], state["how"], state["key"])
    # A cookie that has ended is taken away, so that it is not looked up again and again.
    ended = state["token"] is not None and state["how"] != "session"
    return Response(answer, cookies=cookies.CLEARING if ended else None)


@post(
    "/api/v1/session",
    summary="Sign in",
    status_code=200,
    security=[{}],
    operation_class=TakesSignIn,
    responses=problems_of(403, 408, 411, 413, 415, 429),
)
async def open_session(
    sign_in: NamedDependency[SignIn], scope: Scope, request: Request[Any, Any, Any]
) -> Response[Session]:
    """With an API key, or with the password; the answer sets the cookie of a session. Programs send the key itself instead."""
    wanted = decoded(await request.body(), SignInWrite)
    match wanted.key, wanted.password:
        case str(key), None:
            opened = await sign_in.by_key(key.strip())
        case None, str(password):
            opened = await sign_in.by_password(password, sign_in.address(scope))
        case _:
            raise _one_of("`key` or `password`")
    return await _signed_in(sign_in, scope, opened)


@post(
    "/api/v1/session/password",
    summary="Set or change the password",
    status_code=200,
    security=[{}],
    operation_class=TakesPassword,
    responses=problems_of(403, 408, 409, 411, 413, 415, 429),
)
async def set_password(
    sign_in: NamedDependency[SignIn], scope: Scope, request: Request[Any, Any, Any]
) -> Response[Session]:
    """The first one with the setup token that the server printed, later ones with the old one. Every other session ends."""
    wanted = decoded(await request.body(), PasswordWrite)
    address = sign_in.address(scope)
    match wanted.setup_token, wanted.old:
        case str(token), None:
            opened = await sign_in.set_first_password(token.strip(), wanted.password, address)
        case None, str(old):
            opened = await sign_in.change_password(old, wanted.password, address)
        case _:
            raise _one_of("`setup_token` or `old`")
    return await _signed_in(sign_in, scope, opened)


@delete(
    "/api/v1/session",
    summary="Sign out",
    security=[{}],
    response_cookies=cookies.CLEARING,
    responses=problems_of(403, 415),
)
async def end_session(sign_in: NamedDependency[SignIn], scope: Scope) -> None:
    """Ends the session of the cookie, if there is one, and takes the cookie away."""
    token = scope["state"]["token"]
    if token is not None:
        await sign_in.end(token)


async def _signed_in(sign_in: SignIn, scope: Scope, opened: Opened) -> Response[Session]:
    answer = await _session(sign_in, opened.holder.project_id, "session", opened.holder.key)
    headers = {"set-cookie": cookies.setting(opened.token, secure=scope["state"]["secure"])}
    return Response(answer, headers=headers)


async def _session(
    sign_in: SignIn, project_id: int, how: Literal["local", "session", "key"] | None, key: str | None
) -> Session:
    found = await sign_in.standing(project_id)
    nobody_has_come = not found.has_password and not found.has_keys
    return Session(
        signed_in=how is not None,
        how=how,
        project=found.project if project_id != keys.NOBODY else None,
        key=key,
        needs="nothing" if how is not None else "first-password" if nobody_has_come else "key or password",
        password_set=found.has_password,
    )


def _one_of(names: str) -> Refusal:
    return Refusal(400, "invalid-body", "The body has the wrong shape", f"Give either {names}.")


HANDLERS = [read_session, open_session, set_password, end_session]
