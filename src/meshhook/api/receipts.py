"""``/api/v1/receipts``: open to everybody. A receipt speaks for whoever holds it, and public keys are public."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency

from meshhook import receipt_desk
from meshhook.api.openapi import ReceiptWrite, TakesReceipt
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.receipt_desk import Redeemed


class KeySet(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


@post(
    "/api/v1/receipts/verify",
    summary="Redeem a receipt",
    status_code=200,
    security=[{}],
    operation_class=TakesReceipt,
    responses=problems_of(408, 411, 413),
)
async def verify_receipt(caller: NamedDependency[Caller], request: Request[Any, Any, Any]) -> Redeemed:
    """Whether a receipt was given out here and not changed since, and where its run stands. Needs no key."""
    wanted = decoded(await request.body(), ReceiptWrite)
    return await receipt_desk.redeem(caller.database, wanted.receipt.strip())


@get("/api/v1/receipts/keys", summary="Public keys of receipts", security=[{}], responses=problems_of())
async def receipt_keys(caller: NamedDependency[Caller]) -> KeySet:
    """Every key that signed receipts here, so that they can be checked without asking. Needs no key."""
    return KeySet([key.jwk for key in await receipt_desk.keys(caller.database)])


HANDLERS = [verify_receipt, receipt_keys]
