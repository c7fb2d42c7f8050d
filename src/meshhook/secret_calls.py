"""Calls that use secrets: filled in just before they are sent, and what comes back is masked before anybody else sees it.

Between those two the values are in the memory of the worker and on the wire, and nowhere else: not in the journal, not in a log,
not in an error, and not sent on to another origin by a redirect.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from meshhook.errors import DatabaseError, ExpressionError, UnknownSecret, VaultError
from meshhook.masking import Mask
from meshhook.model import Call, CallError, Request, Response
from meshhook.vault import Vault

Send = Callable[[Request, dict[str, str]], Awaitable[Response | CallError]]
_PROJECTS_MAX: Final = 10_000
_log = structlog.get_logger("meshhook.calls")


class SecretCalls:
    """Sends calls that use secrets.

    Args:
        project_of: the project that a version of a workflow belongs to. send: makes one outgoing request.
    """

    def __init__(self, vault: Vault, project_of: Callable[[int], Awaitable[int]], send: Send) -> None:
        self._vault = vault
        self._project_of = project_of
        self._send = send
        self._projects: dict[int, int] = {}

    async def send(self, call: Call, version_id: int, headers: dict[str, str]) -> Response | CallError:
        """Send ``call``, made by a run of the version ``version_id``, with further ``headers``; never raises for its secrets."""
        try:
            values = await self._vault.reveal(await self._project(version_id), call.secrets)
        except UnknownSecret as error:
            return CallError("secret", str(error), "no")
        except (VaultError, DatabaseError) as error:
            return CallError("vault", f"the secrets of this call can't be read: {error}", "no")
        mask = Mask(values)
        try:
            request = _filled(call, values)
        except ExpressionError as error:
            # Not the reason: it may quote a piece of a value, which no mask would know.
            return CallError("invalid", f"{error.expression} can't be sent with its secrets filled in", "no")
        try:
            result = await self._send(request, headers)
        except Exception as error:  # noqa: BLE001 its message may hold what was sent, so it ends here
            reason = mask.text(f"{type(error).__name__}: {error}")
            _log.error("a call failed in an unexpected way", error=reason)
            return CallError("broken", reason, "unknown")
        if isinstance(result, Response):
            return await asyncio.to_thread(mask.response, result)  # a long answer takes a while, and others wait
        return mask.error(result)

    async def _project(self, version_id: int) -> int:
        if version_id not in self._projects:
            if len(self._projects) >= _PROJECTS_MAX:
                self._projects.clear()
            self._projects[version_id] = await self._project_of(version_id)
        return self._projects[version_id]


def _filled(call: Call, values: dict[str, bytes]) -> Request:
    assert call.fill is not None, "a call that uses secrets can be filled"
    # The vault takes nothing but text.
    request = call.fill({name: value.decode("utf-8", "replace") for name, value in values.items()})
    return dataclasses.replace(request, confidential=True)
