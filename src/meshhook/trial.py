"""A test delivery: signed as the sender would, sent through the real door, and shown with what was answered.

Nothing is passed over: it is an HTTP request like any other, and what it starts is a run like any other.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from meshhook import __version__, catalog, endpoint_config
from meshhook.db.connect import Database
from meshhook.errors import Refusal, UnknownSecret, VaultError
from meshhook.signatures import Signature, module_of
from meshhook.signatures.scheme import BadSecret, CannotSign
from meshhook.vault import Vault

_ANSWER_S_MAX: Final = 40.0
_BODY_MAX: Final = 1024 * 1024
_BEARERS: Final = frozenset({"basic", "token", "jwt"})
"""Schemes whose header would let in whoever reads it."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent; what would let others in is masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A test delivery from end to end."""

    sent: Sent
    answered: Answered


class Trials:
    """Sends test deliveries to the server at ``url``."""

    def __init__(self, database: Database, vault: Vault, url: str) -> None:
        self._database = database
        self._vault = vault
        self._url = url.rstrip("/")

    async def send(
        self, project_id: int, path: str, body: bytes | None, content_type: str = "application/json"
    ) -> Trial:
        """Send one test delivery to an endpoint; a small JSON document when ``body`` is ``None``.

        Raises:
            Refusal: there is no such endpoint, nothing here can sign for it, or the server does not answer.
        """
        endpoint = await catalog.endpoint(self._database, project_id, path)
        config = endpoint_config.parse(msgspec.json.encode(endpoint.config))
        id = f"test_{uuid.uuid4().hex}"
        body = _sample(id) if body is None else body
        headers = {"content-type": content_type, "idempotency-key": f'"{id}"', "x-meshhook-test": "1"}
        headers["user-agent"] = f"meshhook/{__version__} (test delivery)"
        proof: Mapping[str, str] = {}
        if config.signature is not None:
            proof = await self._proof(project_id, config.signature, body, id)
        method = "POST" if "POST" in endpoint.methods else endpoint.methods[0]
        url = f"{self._url}/hooks/{quote(endpoint.path)}"
        answered = await _exchange(method, url, {**headers, **proof}, body)
        shown = {**headers, **_masked(config.signature, proof)}
        return Trial(
            sent=Sent(method=method, url=url, headers=shown, body=body.decode("utf-8", "replace")), answered=answered
        )

    async def _proof(self, project_id: int, signature: Signature, body: bytes, id: str) -> dict[str, str]:
        """The headers that prove it, by the first secret that can sign."""
        module = module_of(signature)
        reasons: list[str] = []
        try:
            revealed = await self._vault.reveal_all(project_id, signature.secrets)
        except UnknownSecret:
            raise _cannot_sign("The project lacks a secret that the endpoint verifies by.") from None
        except VaultError as error:
            raise _cannot_sign(f"The secrets can't be opened: {error}.") from None
        for secret in (value for values in revealed.values() for value in values):
            try:
                headers: dict[str, str] = module.sign(signature, secret, body, id, int(time.time()))
            except (BadSecret, CannotSign) as error:
                reasons.append(str(error))
            else:
                return headers
        raise _cannot_sign(f"{'; '.join(reasons) or 'only the sender has the private key'}.".capitalize())


async def _exchange(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S_MAX, connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            text = (await answer.content.read(_BODY_MAX)).decode("utf-8", "replace")
            return Answered(
                status=answer.status, headers={name.lower(): it for name, it in answer.headers.items()}, body=text
            )
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Refusal(
            503,
            "server-unreachable",
            "The server does not answer",
            f"{url} does not answer: {str(error) or type(error).__name__}. Start it, or say where it is.",
            headers={"retry-after": "2"},
        ) from None


def server_url(host: str, port: int) -> str:
    """Where a server that listens on ``host`` is reached from its own machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _sample(id: str) -> bytes:
    """A body that every provider's way to name a delivery finds a name in."""
    return msgspec.json.encode({"id": id, "event_id": id, "type": "meshhook.test", "test": True})


def _masked(signature: Signature | None, proof: Mapping[str, str]) -> dict[str, str]:
    if signature is None or signature.__struct_config__.tag not in _BEARERS:
        return dict(proof)
    return dict.fromkeys(proof, "[secret]")


def _cannot_sign(detail: str) -> Refusal:
    return Refusal(409, "cannot-sign", "Nothing here can sign for this endpoint", f"{detail} Nothing was sent.")
