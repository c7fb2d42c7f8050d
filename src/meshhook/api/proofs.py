"""Whether a delivery comes from where it should: the verifier of its endpoint, made of the secrets as they are now.

The vault follows a change of a secret within two seconds, and is asked twice a second at most for each endpoint; a verifier is made
anew when the secrets it was made of have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from meshhook.endpoint_config import EndpointConfig
from meshhook.errors import Refusal, UnknownSecret, VaultError
from meshhook.key_sets import KeySets
from meshhook.signatures import Signature, module_of
from meshhook.signatures.jwt import UnknownKey
from meshhook.signatures.scheme import BadSecret, Headers, Verified, Verify
from meshhook.store import Endpoint
from meshhook.vault import Vault

_FRESH_S: Final = 0.5
_KNOWN_MAX: Final = 10_000
_log = structlog.get_logger("meshhook.proofs")


class _Known(NamedTuple):
    config: EndpointConfig
    values: tuple[bytes, ...]
    verify: Verify
    until: float

    def __repr__(self) -> str:
        return f"_Known({len(self.values)} values)"


class Proofs:
    """Verifies deliveries for one process. ``unix_s`` is the clock that the replay window is measured by, ``clock`` monotonic."""

    def __init__(
        self,
        vault: Vault,
        key_sets: KeySets,
        unix_s: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault = vault
        self._key_sets = key_sets
        self._unix_s = unix_s
        self._clock = clock
        self._known: dict[int, _Known] = {}

    async def check(
        self, endpoint: Endpoint, config: EndpointConfig, signature: Signature, headers: Headers, body: bytes
    ) -> Verified:
        """What a delivery says about itself, once it is proven.

        Raises:
            Refusal: 401: it is not proven. 503: nobody can tell, because a secret or a key is not there.
        """
        known = self._known.get(endpoint.id)
        if known is not None and known.config is config and self._clock() < known.until:
            verify = known.verify
        else:
            verify = await self._verifier(endpoint, config, signature)
        try:
            return verify(headers, body, self._unix_s())
        except UnknownKey:
            if (url := getattr(signature, "jwks_url", None)) is None:
                raise
            await self._key_sets.renew(url)
            verify = await self._verifier(endpoint, config, signature)
            return verify(headers, body, self._unix_s())

    async def _verifier(self, endpoint: Endpoint, config: EndpointConfig, signature: Signature) -> Verify:
        values = await self._values(endpoint, signature)
        until = self._clock() + _FRESH_S
        known = self._known.get(endpoint.id)
        if known is not None and known.config is config and known.values == values:
            self._known[endpoint.id] = known._replace(until=until)
            return known.verify
        try:
            verify = module_of(signature).verifier(signature, values, config.replay_window_s)
        except BadSecret as error:
            raise self._not_ready(endpoint, f"A secret of this endpoint can't be used: {error}.") from None
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[endpoint.id] = _Known(config, values, verify, until)
        return verify  # type: ignore[no-any-return]

    async def _values(self, endpoint: Endpoint, signature: Signature) -> tuple[bytes, ...]:
        found: list[bytes] = []
        if signature.secrets:
            try:
                revealed = await self._vault.reveal_all(endpoint.project_id, signature.secrets)
            except UnknownSecret:
                raise self._not_ready(endpoint, "A secret that this endpoint verifies by is not there.") from None
            except VaultError as error:
                _log.error("a secret can't be opened", path=endpoint.path, error=str(error))
                raise self._not_ready(endpoint, "The secrets of this endpoint can't be opened.") from None
            found = [value for values in revealed.values() for value in values]
        if (url := getattr(signature, "jwks_url", None)) is not None:
            found.append(await self._key_sets.get(url))
        return tuple(found)

    def _not_ready(self, endpoint: Endpoint, detail: str) -> Refusal:
        return Refusal(
            503,
            "signature-unchecked",
            "The signature can't be checked",
            f"{detail} Nothing was stored; send again later.",
            headers={"retry-after": "30"},
        )
