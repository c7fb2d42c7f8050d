"""The parts of an endpoint's settings beside signatures: their shapes, and what of them makes no sense. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from meshhook.addresses import AddressList
from meshhook.errors import Fault
from meshhook.payload_schema import faults_of_schema
from meshhook.quota import Quota

WAIT_S: Final = 10.0
_ENTRIES_MAX: Final = 1_000
_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class CloudEvents(_Part, frozen=True, kw_only=True):
    """Deliveries are read as CloudEvents. ``required``: nothing else is taken. ``batch``: several may come at once."""

    required: bool = False
    batch: bool = False
    batch_max: Annotated[int, msgspec.Meta(ge=1, le=10_000, description="Events a batch, at most.")] = 1_000


class RateLimit(_Part, frozen=True, kw_only=True):
    """So many deliveries in so many seconds, over all API processes; all of them may come at once."""

    quota: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    window_s: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] = 60.0

    @property
    def as_quota(self) -> Quota:
        return Quota(self.quota, self.window_s)


class Handshake(_Part, frozen=True, kw_only=True):
    """OPTIONS is answered as the webhook specification of CloudEvents says, for these origins; ``*`` is every one."""

    origins: Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=253)]], msgspec.Meta(min_length=1)] = (
        msgspec.field(default_factory=lambda: ["*"])
    )

    def agrees_to(self, origin: str) -> bool:
        return "*" in self.origins or origin.lower() in (known.lower() for known in self.origins)


class Receipts(_Part, frozen=True, kw_only=True):
    """Every answer holds a receipt, signed with the ed25519 key that the secret of this name holds."""

    key: Annotated[str, msgspec.Meta(pattern=_NAME)]


def faults(schema: Any, allow_ips: list[str] | None, handshake: Handshake | None) -> Iterator[Fault]:
    """What shapes alone can't tell."""
    if schema is not None:
        for fault in faults_of_schema(schema):
            yield Fault("$.schema" + fault.path.removeprefix("$"), fault.code, fault.message)
    for index, entry in enumerate((allow_ips or [])[:_ENTRIES_MAX]):
        try:
            AddressList([entry])
        except ValueError as error:
            yield Fault(f"$.allow_ips[{index}]", "wrong-value", str(error))
    if len(allow_ips or []) > _ENTRIES_MAX or (handshake and len(handshake.origins) > _ENTRIES_MAX):
        yield Fault("$", "too-large", f"a list may have {_ENTRIES_MAX:,} entries")
