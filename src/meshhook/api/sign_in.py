"""Signing in and out: what is asked of a key, a password or a setup token before it opens a session.

The hash of a password is computed in a thread, one at a time, and outside the room that calls of the API have: guessing takes no
place from anybody. Keys need no limit, for nobody guesses 256 bits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from meshhook import keys, passwords, sessions
from meshhook.accept import overloaded
from meshhook.addresses import Address, AddressList, sender
from meshhook.api.keyring import Keyring
from meshhook.api.room import Room
from meshhook.db.connect import Database
from meshhook.errors import Refusal
from meshhook.guesses import Guesses
from meshhook.sessions import Opened, Standing

_HASHING_MAX: Final = 8
_log = structlog.get_logger("meshhook.api")


class SignIn:
    """Opens and ends sessions. The password is that of the project ``default``: it is for an installation of one person."""

    def __init__(
        self, database: Database, keyring: Keyring, room: Room, proxies: AddressList, guesses: Guesses | None = None
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._room = room
        self._proxies = proxies
        self._guesses = guesses or Guesses()
        self._hashing = asyncio.Semaphore(1)
        self._hashed = 0

    def address(self, scope: Any) -> Address | None:
        """Who sends a request, seen through trusted proxies."""
        client = scope["client"]
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        return sender(client[0], forwarded, self._proxies) if client else None

    async def standing(self, project_id: int) -> Standing:
        """The name of a project, and how one may get in."""
        async with self._room.taken():
            return await sessions.standing(self._database, project_id, keys.DEFAULT_PROJECT)

    async def by_key(self, key: str) -> Opened:
        """A session for whoever has an API key.

        Raises:
            Refusal: it opens nothing.
        """
        async with self._room.taken():
            opened = await sessions.open_by_key(self._database, key)
        if opened is None:
            raise _refused("This key opens nothing: it is wrong, or was revoked.")
        return opened

    async def by_password(self, password: str, address: Address | None) -> Opened:
        """A session for whoever knows the password.

        Raises:
            Refusal: it is wrong, there is none, or it was guessed too often.
        """
        async with self._guess(address, "password"):
            stored = await self._checked(password)
            async with self._room.taken():
                opened = await sessions.open_by_password(self._database, keys.DEFAULT_PROJECT, stored)
            return _still(opened)

    async def change_password(self, old: str, password: str, address: Address | None) -> Opened:
        """Put a new password in the place of the old one. All sessions end; this is a new one.

        Raises:
            Refusal: the old one is wrong or was guessed too often, or the new one can't be one.
        """
        passwords.check_password(password)
        async with self._guess(address, "password"):
            stored = await self._checked(old)
            hash = await self._hash(password)
            async with self._room.taken():
                opened = await sessions.change_password(self._database, keys.DEFAULT_PROJECT, stored, hash)
            return _still(opened)

    async def set_first_password(self, token: str, password: str, address: Address | None) -> Opened:
        """Set the first password with the token that ``serve`` printed, once.

        Raises:
            Refusal: the token may not, there is a password already, or this one can't be one.
        """
        passwords.check_password(password)
        async with self._guess(address, "setup token"):
            async with self._room.taken():
                known = await sessions.is_setup_token(self._database, keys.DEFAULT_PROJECT, token)
            if not known:
                raise _wrong_setup_token()
            hash = await self._hash(password)
            async with self._room.taken():
                opened = await sessions.set_first_password(self._database, keys.DEFAULT_PROJECT, token, hash)
            if opened is None:
                raise _wrong_setup_token()
            return opened

    async def end(self, token: str) -> None:
        """End a session: here at once, in other processes within two seconds."""
        async with self._room.taken():
            await sessions.end(self._database, token)
        self._keyring.forget(token)

    @asynccontextmanager
    async def _guess(self, address: Address | None, what: str) -> AsyncIterator[None]:
        """Counts the block as a guess unless it goes well."""
        if (wait_s := self._guesses.take(address)) > 0:
            raise _too_many(wait_s)
        try:
            yield
        except Refusal as refusal:
            if refusal.status == 401:
                _log.warning("sign-in refused", what=what, address=str(address))
            raise
        self._guesses.give_back(address)

    async def _checked(self, password: str) -> str:
        """What is stored of the password, when this is it."""
        async with self._room.taken():
            stored = await sessions.password_of(self._database, keys.DEFAULT_PROJECT)
        if stored is None or not await self._in_thread(passwords.is_password, password, stored):
            raise _refused("This is not the password.")
        return stored

    async def _hash(self, password: str) -> str:
        return str(await self._in_thread(passwords.hash_password, password))

    async def _in_thread(self, compute: Any, *arguments: str) -> Any:
        if self._hashed >= _HASHING_MAX:
            raise overloaded("Too many passwords wait to be checked.", 2)
        self._hashed += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(compute, *arguments)
        finally:
            self._hashed -= 1


def _still(opened: Opened | None) -> Opened:
    if opened is None:
        raise _refused("The password was changed a moment ago.")
    return opened


def _refused(detail: str) -> Refusal:
    return Refusal(401, "sign-in-refused", "This opens nothing", f"{detail} Nobody was signed in.")


def _wrong_setup_token() -> Refusal:
    return Refusal(
        401,
        "setup-token-wrong",
        "This setup token opens nothing",
        "It is wrong, was used, or is older than a day. Start `serve` again for a new one, or use `meshhook password set`.",
    )


def _too_many(wait_s: float) -> Refusal:
    return Refusal(
        429,
        "too-many-attempts",
        "There were too many attempts",
        f"Try again in {math.ceil(wait_s)} seconds. API keys open the API as ever.",
        headers={"retry-after": str(math.ceil(wait_s))},
    )
