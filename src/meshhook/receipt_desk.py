"""Where receipts are given out and taken back: the keys that sign them, and the runs they stand for.

A key is a secret of the project, named by the endpoint. Its public half is kept for good when it is first used, so that a receipt
can be shown long after its key was exchanged.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from meshhook import receipts
from meshhook.db.connect import Database
from meshhook.errors import Refusal, UnknownSecret, VaultError
from meshhook.ids import shard_of
from meshhook.receipts import BadKey, BadReceipt, PublicKey, Receipt, SigningKey
from meshhook.vault import Vault

_KEYS_MAX: Final = 1_000


class RedeemedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run of a receipt stands."""

    id: UUID
    status: str
    finished_at: datetime | None


class Redeemed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a receipt is one of ours, why not, what it says, and its run; ``null`` when it is not kept any more."""

    valid: bool
    reason: str | None = None
    receipt: Receipt | None = None
    run: RedeemedRun | None = None


class ReceiptDesk:
    """Gives out receipts, for one process."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._kept: set[tuple[int, str]] = set()

    async def key(self, project_id: int, name: str) -> SigningKey:
        """The key of this name, ready to sign; its public half is kept. To be asked for *before* a delivery is accepted.

        Raises:
            Refusal: 503 ``receipt-unavailable``: there is no such secret, or it is no key. DatabaseError: nobody knows.
        """
        try:
            secret = (await self._vault.reveal(project_id, [name]))[name]
            key = _signing_key(secret)
        except (UnknownSecret, VaultError, BadKey) as error:
            raise _unavailable(name, error) from None
        if (project_id, key.public.id) not in self._kept:
            await keep_key(self._database, project_id, key.public)
            if len(self._kept) >= _KEYS_MAX:
                self._kept.clear()
            self._kept.add((project_id, key.public.id))
        return key

    def give(
        self, key: SigningKey, run_id: str, duplicate: bool, endpoint: str, body: bytes, event: str | None = None
    ) -> str:
        """A receipt for a delivery that was accepted."""
        return key.sign(
            Receipt(
                run_id=run_id,
                endpoint=endpoint,
                body_sha256=hashlib.sha256(body).hexdigest(),
                iat=int(self._clock()),
                duplicate=duplicate,
                event=event,
            )
        )


async def keep_key(database: Database, project_id: int, key: PublicKey) -> None:
    """Remember the public half of a key."""
    await database.call(
        "INSERT INTO meshhook.receipt_keys (id, project_id, public_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        key.id,
        project_id,
        key.raw,
    )


async def keys(database: Database) -> list[PublicKey]:
    """The public half of every key that signed receipts, the newest first; public means for everybody."""
    rows = await database.read(
        "SELECT public_key, max(first_used_at) AS at FROM meshhook.receipt_keys GROUP BY public_key ORDER BY at DESC LIMIT $1",
        _KEYS_MAX,
    )
    return [PublicKey(row["public_key"]) for row in rows]


async def redeem(database: Database, text: str) -> Redeemed:
    """What a receipt stands for. Whoever holds it may ask: nobody else could have it.

    Raises:
        Refusal: 400 ``invalid-receipt``: it is none at all.
    """
    try:
        id = receipts.key_id(text)
    except BadReceipt as bad:
        raise Refusal(400, "invalid-receipt", "This is no receipt", f"What was sent is no receipt: {bad}.") from None
    rows = await database.read("SELECT project_id, public_key FROM meshhook.receipt_keys WHERE id = $1", id)
    try:
        receipt = receipts.verify(text, {key.id: key for key in (PublicKey(row["public_key"]) for row in rows)})
    except BadReceipt as bad:
        return Redeemed(valid=False, reason=str(bad))
    return Redeemed(
        valid=True, receipt=receipt, run=await _run(database, receipt.run_id, [row["project_id"] for row in rows])
    )


async def _run(database: Database, run_id: str, project_ids: list[int]) -> RedeemedRun | None:
    rows = await database.read(
        "SELECT id, status, finished_at FROM meshhook.runs WHERE shard = $1 AND id = $2 AND project_id = ANY ($3)",
        shard_of(run_id),
        UUID(run_id),
        project_ids,
    )
    return RedeemedRun(**rows[0]) if rows else None


@lru_cache(_KEYS_MAX)
def _signing_key(secret: bytes) -> SigningKey:
    return SigningKey(secret)


def _unavailable(name: str, error: Exception) -> Refusal:
    why = str(error) if isinstance(error, BadKey) else "the secret is missing or can't be opened"
    return Refusal(
        503,
        "receipt-unavailable",
        "No receipt can be given",
        f"The endpoint gives receipts, and its key {name!r} can't be used: {why}. Nothing was stored; send again later.",
        headers={"retry-after": "60"},
    )
