"""Data keys: one a project, kept in the database wrapped by a key-encryption key, opened here and remembered.

Which key-encryption key wraps new data keys is said by the database (``settings``, ``secrets_kek``), not by the source of the
process that happens to make one: during a rotation sources differ for a while, and a data key wrapped by a key that was
retired meanwhile could never be opened again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from meshhook import audit
from meshhook.db.connect import Connection, Row
from meshhook.errors import ConfigError, VaultError
from meshhook.key_source import Keys, KeySource
from meshhook.sealing import SealingKey, data_key_place

_MISSING_S: Final = 2.0
"""For a key it did not have, a source is asked again after this time: a command may be slow, and a failing call is repeated."""

_KNOWN_MAX: Final = 10_000


class Keychain:
    """The key-encryption keys of this process, and the data keys it has opened with them."""

    def __init__(self, source: KeySource, clock: Callable[[], float] = time.monotonic) -> None:
        self.source: Final = source
        self._clock = clock
        self._keks: Keys = {}
        self._missing: dict[str, float] = {}
        self._loading = asyncio.Lock()
        self._opened: dict[tuple[int, int, bytes], SealingKey] = {}

    async def load(self) -> Keys:
        """Read the source.

        Raises:
            ConfigError: it can't be read, or holds what is no key.
        """
        self._keks = await asyncio.to_thread(self.source.load)
        self._missing.clear()
        return self._keks

    async def kek(self, id: str) -> SealingKey:
        """The key-encryption key with this fingerprint; the source is read again when it is not known.

        Raises:
            VaultError: the source does not have it, or can't be read.
        """
        async with self._loading:
            now = self._clock()
            if id not in self._keks and now - self._missing.get(id, float("-inf")) >= _MISSING_S:
                try:
                    await self.load()
                except ConfigError as error:  # a setting was right at the start: who calls meets a vault that is closed
                    raise VaultError(str(error)) from None
                finally:
                    self._missing[id] = now
        if id not in self._keks:
            raise VaultError(
                f"Secrets are kept under the key {id}, and {self.source.words} does not hold it. Add that key: the setting "
                "secrets_key_file, secrets_key_env or secrets_key_command says where from."
            )
        return self._keks[id]

    async def first(self) -> SealingKey:
        """The key that the source has first.

        Raises:
            VaultError: it has none. ConfigError: it can't be read.
        """
        async with self._loading:
            if not self._keks:
                await self.load()
        if not self._keks:
            raise VaultError(
                f"There is no key to keep secrets under: {self.source.words} does not exist. Make one, and let every process "
                f"read it: (umask 077; openssl rand -base64 32 > {self.source.place})"
            )
        return next(iter(self._keks.values()))

    async def open(self, project_id: int, version: int, kek: str, wrapped: bytes) -> SealingKey:
        """A data key out of its row.

        Raises:
            VaultError: its key-encryption key is not known, or the row was changed.
        """
        known = self._opened.get((project_id, version, wrapped))
        if known is not None:
            return known
        opened = SealingKey((await self.kek(kek)).open(wrapped, data_key_place(project_id, version)))
        if len(self._opened) >= _KNOWN_MAX:
            self._opened.clear()
        self._opened[project_id, version, wrapped] = opened
        return opened


async def lock_project(connection: Connection[Row], project_id: int) -> None:
    """Let nobody else change the secrets or data keys of a project until the transaction ends."""
    await connection.execute("SELECT FROM meshhook.projects WHERE id = $1 FOR NO KEY UPDATE", project_id)


async def newest(connection: Connection[Row], keychain: Keychain, project_id: int) -> tuple[int, SealingKey]:
    """The data key that seals now, with its version; made when the project has none. The project is locked.

    Raises:
        VaultError, ConfigError: it can't be opened, or there is no key to wrap it by.
    """
    row = await connection.fetchrow(
        "SELECT version, kek, wrapped FROM meshhook.data_keys WHERE project_id = $1 ORDER BY version DESC LIMIT 1",
        project_id,
    )
    if row is None:
        return await make(connection, keychain, project_id, 1)
    return row["version"], await keychain.open(project_id, row["version"], row["kek"], row["wrapped"])


async def make(
    connection: Connection[Row], keychain: Keychain, project_id: int, version: int
) -> tuple[int, SealingKey]:
    """A new data key of a project, wrapped by the key-encryption key in force. The project is locked.

    Raises:
        VaultError, ConfigError: there is no key to wrap it by.
    """
    kek = await _kek_in_force(connection, keychain)
    made = SealingKey.make()
    await connection.execute(
        "INSERT INTO meshhook.data_keys (project_id, version, kek, wrapped) VALUES ($1, $2, $3, $4)",
        project_id,
        version,
        kek.id,
        kek.seal(made.raw, data_key_place(project_id, version)),
    )
    await audit.record(connection, project_id, "data_key.made", str(version), {"kek": kek.id})
    return version, made


async def _kek_in_force(connection: Connection[Row], keychain: Keychain) -> SealingKey:
    """Held until the transaction ends: no rotation comes between choosing the key and using it."""
    query = "SELECT value FROM meshhook.settings WHERE name = 'secrets_kek' FOR SHARE"
    id = await connection.fetchval(query)
    if id is None:
        first = await keychain.first()
        await connection.execute(
            "INSERT INTO meshhook.settings (name, value) VALUES ('secrets_kek', $1) ON CONFLICT (name) DO NOTHING",
            first.id,
        )
        id = await connection.fetchval(query)
    assert id is not None, "the row was just written, or found in the way"
    return await keychain.kek(id)
