"""The vault: values of secrets, for those who must use them. Nothing is handed out before its use is in the audit log.

Values are remembered for two seconds, so that a hot endpoint does not ask the database for every delivery: a secret that was
changed or deleted is out of use after that. Uses are written once a secret, process and minute, at the first of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from meshhook import audit, masking
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database, Row
from meshhook.errors import ConfigError, UnknownSecret, VaultError
from meshhook.placeholders import is_secret_name
from meshhook.sealing import secret_place

FRESH_S: Final = 2.0
_KNOWN_MAX: Final = 10_000
_MINUTE_S: Final = 60.0


class _Known(NamedTuple):
    """The valid values of one secret, the current one first; none when there is no such secret."""

    read_at: float
    values: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"_Known({len(self.values)} values)"


class Vault:
    """Secrets of every project, for one process.

    Args:
        actor: who uses them, as the audit log shall say: ``worker:<name>``, ``api:<name>``. clock: monotonic seconds.
    """

    def __init__(
        self, database: Database, keychain: Keychain, *, actor: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._keychain = keychain
        self._actor = actor
        self._clock = clock
        self._known: dict[tuple[int, str], _Known] = {}
        self._noted: dict[tuple[int, str], float] = {}
        self._generation = 0
        self._reading = asyncio.Lock()

    async def check(self) -> None:
        """Make sure at start that what is stored can be opened.

        Raises:
            ConfigError: the source can't be read, or lacks the key that secrets are kept under.
        """
        await self._keychain.load()
        rows = await self._database.read("SELECT DISTINCT kek FROM meshhook.data_keys")
        for row in rows:
            try:
                await self._keychain.kek(row["kek"])
            except VaultError as error:
                raise ConfigError(str(error)) from None

    def forget(self) -> None:
        """Read everything anew: something was changed."""
        self._generation += 1
        self._known.clear()

    async def reveal(self, project_id: int, names: Collection[str]) -> dict[str, bytes]:
        """The current values of these secrets.

        Raises:
            UnknownSecret: the project lacks some of them. VaultError: they can't be opened. DatabaseError: nobody knows.
        """
        return {name: values[0] for name, values in (await self.reveal_all(project_id, names)).items()}

    async def reveal_all(self, project_id: int, names: Collection[str]) -> dict[str, list[bytes]]:
        """Every valid value of these secrets, the current one first: a signature may still be made with the one before.

        Raises:
            As ``reveal``.
        """
        found = self._remembered(project_id, names)
        if found is None:
            async with self._reading:
                found = self._remembered(project_id, names)
                if found is None:
                    found = await self._read(project_id, names)
                    await self._note_use(project_id, [name for name, values in found.items() if values])
        if missing := sorted(name for name, values in found.items() if not values):
            raise UnknownSecret(missing)
        return {name: list(values) for name, values in found.items()}

    def _remembered(self, project_id: int, names: Collection[str]) -> dict[str, tuple[bytes, ...]] | None:
        """What is known of these secrets, when it is fresh and their use in this minute is recorded."""
        now = self._clock()
        found = {}
        for name in names:
            known = self._known.get((project_id, name))
            if known is None or now - known.read_at >= FRESH_S:
                return None
            if known.values and not self._is_noted(project_id, name, now):
                return None
            found[name] = known.values
        return found

    def _is_noted(self, project_id: int, name: str, now: float) -> bool:
        return now - self._noted.get((project_id, name), float("-inf")) < _MINUTE_S

    async def _read(self, project_id: int, names: Collection[str]) -> dict[str, tuple[bytes, ...]]:
        read_at, generation = self._clock(), self._generation
        rows = await self._database.read(
            """
            SELECT s.name, s.version, s.sealed, s.data_key, k.kek, k.wrapped
            FROM meshhook.secrets s JOIN meshhook.data_keys k ON k.project_id = s.project_id AND k.version = s.data_key
            WHERE s.project_id = $1 AND s.name = ANY ($2) AND (s.valid_until IS NULL OR s.valid_until > meshhook.now())
            ORDER BY s.name, s.version DESC
            """,
            project_id,
            [name for name in names if is_secret_name(name)],
        )
        values: dict[str, tuple[bytes, ...]] = dict.fromkeys(names, ())
        for row in rows:
            values[row["name"]] += (await self._opened(project_id, row),)
        for name, found in values.items():
            masking.remember(name, found)
        if len(self._known) + len(values) > _KNOWN_MAX:
            self._known.clear()
        if generation == self._generation:  # else something was changed while we read
            self._known |= {(project_id, name): _Known(read_at, found) for name, found in values.items()}
        return values

    async def _opened(self, project_id: int, row: Row) -> bytes:
        key = await self._keychain.open(project_id, row["data_key"], row["kek"], row["wrapped"])
        return key.open(row["sealed"], secret_place(project_id, row["name"], row["version"]))

    async def _note_use(self, project_id: int, names: Collection[str]) -> None:
        now = self._clock()
        used = [name for name in names if not self._is_noted(project_id, name, now)]
        if not used:
            return
        async with self._database.transaction() as connection:
            await connection.execute(
                """
                UPDATE meshhook.secrets s SET last_used_at = greatest(s.last_used_at, meshhook.now())
                FROM (SELECT name, max(version) AS version FROM meshhook.secrets
                      WHERE project_id = $1 AND name = ANY ($2) GROUP BY name ORDER BY name) AS used
                WHERE s.project_id = $1 AND s.name = used.name AND s.version = used.version
                """,
                project_id,
                used,
            )
            with audit.acting_as(self._actor):
                for name in used:
                    await audit.record(connection, project_id, "secret.used", name)
        if len(self._noted) + len(used) > _KNOWN_MAX:
            self._noted.clear()
        self._noted |= {(project_id, name): now for name in used}
