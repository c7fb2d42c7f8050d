"""``POST /hooks/{path}``: the hot path, straight on RSGI.

The story of one webhook: is the door open → does the endpoint exist → read the body → make a delivery of it → commit → 202.
An endpoint with settings has a gate on that way (see ``gate``): who may send, how fast, and what. Where it asks for a signature,
that is checked over the raw body before anything parses it (see ``proofs``). What is refused is noted in the delivery log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from granian.rsgi import ProtocolClosed, ProtocolError  # type: ignore[attr-defined]

from meshhook.accept import Accepted, Acceptor, overloaded, unknown_endpoint
from meshhook.answers import Answers
from meshhook.api import problems
from meshhook.api.gate import Batch, Gate
from meshhook.api.proofs import Proofs
from meshhook.api.replies import JSON, Answer, Stamp, Taker, accept_batch, replied, told
from meshhook.backlog import Backlogs
from meshhook.delivery import dedupe_key, provider_key, trigger_json
from meshhook.door import Door
from meshhook.endpoint_config import EndpointConfig
from meshhook.endpoint_parts import Receipts
from meshhook.errors import Refusal
from meshhook.gatherer import Gatherer
from meshhook.handshake import agreement
from meshhook.metrics.door import DoorMetrics
from meshhook.receipt_desk import ReceiptDesk
from meshhook.refusals import Refusals
from meshhook.store import Endpoint, Store

PREFIX: Final = "/hooks/"
_TEXT: Final = [("content-type", "text/plain; charset=utf-8")]
_LAST: Final = ("connection", "close")
_NAMES: Final = ("idempotency-key", "webhook-id", "svix-id", "x-github-delivery", "x-shopify-webhook-id")
_ENDPOINT_TTL_S: Final = 2.0
_ENDPOINTS_MAX: Final = 10_000
_log = structlog.get_logger("meshhook.hooks")


class Endpoints:
    """Endpoints by path, read from the database at most every two seconds each; unknown paths are remembered as well.

    Only what refuses early is cached (existence, methods): the version a run is pinned to is read in its own commit.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, Endpoint | None]] = {}
        self._generation = 0

    def forget(self) -> None:
        """Read everything anew: something was changed."""
        self._generation += 1
        self._known.clear()

    def known(self, path: str) -> Endpoint | None:
        """The endpoint of ``path`` if it was read before, however long ago."""
        found = self._known.get(path)
        return None if found is None else found[1]

    async def get(self, path: str) -> Endpoint | None:
        """The endpoint of ``path``."""
        if "\0" in path:
            return None  # no text in Postgres holds it, so it could not even be asked for
        known = self._known.get(path)
        now = self._clock()
        if known is not None and known[0] > now:
            return known[1]
        generation = self._generation
        endpoint = await self._store.endpoint(path)
        if len(self._known) >= _ENDPOINTS_MAX:  # paths come from strangers
            self._known.clear()
        if generation == self._generation:  # else something was changed while we read
            self._known[path] = (now + _ENDPOINT_TTL_S, endpoint)
        return endpoint


class Hooks:
    """Answers every request below ``/hooks/``."""

    def __init__(
        self,
        acceptor: Acceptor,
        gatherer: Gatherer,
        endpoints: Endpoints,
        door: Door,
        metrics: DoorMetrics,
        gate: Gate,
        answers: Answers,
        proofs: Proofs,
        refusals: Refusals,
        backlogs: Backlogs,
        desk: ReceiptDesk,
        *,
        body_limit_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._acceptor = acceptor
        self._gatherer = gatherer
        self._endpoints = endpoints
        self._door = door
        self._metrics = metrics
        self._gate = gate
        self._answers = answers
        self._proofs = proofs
        self._refusals = refusals
        self._backlogs = backlogs
        self._desk = desk
        self._body_limit_bytes = body_limit_bytes
        self._clock = clock
        self._under_way = 0
        self._last_at = clock()
        self.closing = False

    def quiet_s(self) -> float:
        """Seconds since the last request came; 0 while one is under way."""
        return 0.0 if self._under_way else self._clock() - self._last_at

    async def __call__(self, scope: Any, protocol: Any) -> None:
        """Answer one request: 202 after the commit, or a problem document."""
        began = self._last_at = self._clock()
        self._under_way += 1
        try:
            self._check_open()
            answer = await self._answer(scope, protocol)
        except Exception as error:  # noqa: BLE001 the sender is always answered; what is not his fault is logged
            self._refuse(scope, protocol, error)
        else:
            headers = [*answer.headers, _LAST] if self.closing else answer.headers
            protocol.response_bytes(answer.status, headers, answer.body)
            if answer.stored:
                self._metrics.accepted(self._clock() - began - answer.waited_s)
        finally:
            self._under_way -= 1

    def admit(self, project_id: int) -> None:
        """Let one delivery of a project, or one run started in another way, in.

        Raises:
            Refusal: too much waits already, the project has as many live runs as it may have, or this process is about to stop.
        """
        self._check_open()
        if (retry_after_s := self._door.refusal(self._clock(), project_id)) is not None:
            raise overloaded("Accepted runs wait too long already.", retry_after_s)
        self._backlogs.admit(project_id)

    def _check_open(self) -> None:
        if self.closing:
            raise problems.shutting_down()

    async def _answer(self, scope: Any, protocol: Any) -> Answer:
        endpoint = await self._endpoints.get(scope.path.removeprefix(PREFIX))
        if endpoint is None:
            raise unknown_endpoint()
        if scope.method not in endpoint.methods:
            return _agree(scope, endpoint)
        self.admit(endpoint.project_id)
        if endpoint.config is not None:
            return await self._take_with(endpoint.config, endpoint, scope, protocol)
        return await self._take(endpoint, scope, protocol)

    async def _take(self, endpoint: Endpoint, scope: Any, protocol: Any) -> Answer:
        headers = scope.headers
        key = dedupe_key(headers.get("idempotency-key"), headers.get("webhook-id"))
        body = await self._body(headers.get("content-length"), protocol)
        trigger = trigger_json(
            scope.method, scope.path, scope.query_string, headers.items(), headers.get("content-type", ""), body
        )
        accepted = await self._acceptor.accept(endpoint.id, key, body, trigger)
        return Answer(202, JSON, told(accepted))

    async def _take_with(self, config: EndpointConfig, endpoint: Endpoint, scope: Any, protocol: Any) -> Answer:
        """The same for an endpoint with settings."""
        headers = scope.headers
        standing = None
        if config.allow_ips is not None or config.rate_limit is not None:
            standing = await self._gate.admit(scope, endpoint, config)
        key = dedupe_key(headers.get("idempotency-key"), headers.get("webhook-id"))
        is_proven = False
        body = await self._body(headers.get("content-length"), protocol)
        if config.signature is not None:
            proof = await self._proofs.check(endpoint, config, config.signature, headers.get, body)
            if proof.challenge is not None:
                return Answer(200, _TEXT, proof.challenge.encode(), stored=False)
            if is_proven := proof.key is not None:
                key = provider_key(proof.key)
        made = self._gate.read(scope, endpoint, config, key, body, is_proven=is_proven)
        stamp = None if config.receipts is None else await self._stamp(config.receipts, endpoint, body)
        taker: Taker = self._acceptor if config.gathers is None else self._gatherer.by(config.gathers)
        if isinstance(made, Batch):
            self._backlogs.admit(endpoint.project_id, len(made.items) - 1)
            self._door.charge(len(made.items) - 1)
            answer = await accept_batch(taker, endpoint.id, made, scope.path, stamp)
        else:
            sync = config.mode == "sync"
            accepted = await taker.accept(endpoint.id, made.key, made.content, made.trigger, sync=sync)
            receipt = None if stamp is None else stamp(accepted, None)
            answer = Answer(202, JSON, told(accepted, receipt))
            if sync:
                answer = await self._wait(accepted, config.wait_s, scope, protocol, answer)
                if receipt is not None:
                    answer = answer.having([("meshhook-receipt", receipt)])
        return answer if standing is None else answer.having(standing.headers())

    async def _stamp(self, receipts: Receipts, endpoint: Endpoint, body: bytes) -> Stamp:
        """What signs receipts; asked for before anything is stored, since it may fail."""
        key = await self._desk.key(endpoint.project_id, receipts.key)

        def stamp(accepted: Accepted, event: str | None) -> str:
            return self._desk.give(key, accepted.run_id, accepted.duplicate, endpoint.path, body, event)

        return stamp

    async def _wait(self, accepted: Accepted, seconds: float, scope: Any, protocol: Any, otherwise: Answer) -> Answer:
        """What the run answers, or ``otherwise`` when it does not in time; whoever goes away is not waited for."""
        began = self._clock()
        run_id, is_old = accepted.run_id, accepted.duplicate
        outcome = asyncio.ensure_future(self._answers.wait(run_id, seconds, is_old=is_old))
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            await asyncio.wait((outcome, gone), return_when=asyncio.FIRST_COMPLETED)
            said = outcome.result() if outcome.done() else None
        finally:
            outcome.cancel()
            gone.cancel()
        answer = otherwise if said is None else replied(run_id, said, scope.path)
        return answer._replace(waited_s=self._clock() - began)

    async def _body(self, content_length: str | None, protocol: Any) -> bytes:
        """The raw body, never more of it in memory than the limit and one chunk."""
        if content_length is not None and content_length.isdecimal():
            if int(content_length) > self._body_limit_bytes:
                raise self._too_large()
            try:
                body: bytes = await protocol()
            except (ProtocolError, ProtocolClosed):
                raise _incomplete() from None
            return body
        return await self._chunked_body(protocol)

    async def _chunked_body(self, protocol: Any) -> bytes:
        """A body without a stated length. The server ends it with one empty chunk, and a *broken* one with two."""
        chunks, size, empty = [], 0, 0
        async for chunk in protocol:
            size += len(chunk)
            empty += not chunk
            if size > self._body_limit_bytes:
                raise self._too_large()
            chunks.append(chunk)
        if empty > 1:
            raise _incomplete()
        return b"".join(chunks)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "body-too-large",
            "The body is too large",
            f"A body may have at most {self._body_limit_bytes} bytes. Nothing was stored.",
            headers={"connection": "close"},  # what is left of it shall not be taken for the next request
        )

    def _refuse(self, scope: Any, protocol: Any, error: Exception) -> None:
        refusal = problems.as_refusal(error)
        if refusal.status == 500:
            _log.error("hook failed", path=scope.path, exc_info=error)
        self._metrics.refused(refusal.problem, refusal.status)
        if (endpoint := self._endpoints.known(scope.path.removeprefix(PREFIX))) is not None:
            self._refusals.note(endpoint.id, refusal, scope.client, _named(scope.headers))
        headers = [("content-type", problems.CONTENT_TYPE), *refusal.headers.items()]
        protocol.response_bytes(refusal.status, headers, problems.document(refusal, scope.path))


def _named(headers: Any) -> str | None:
    """What a sender calls a delivery that was refused, as the log shows it."""
    return next(filter(None, (headers.get(name) for name in _NAMES)), None)


def _agree(scope: Any, endpoint: Endpoint) -> Answer:
    """What is told to a method the endpoint does not take: OPTIONS may be a handshake.

    Raises:
        Refusal: 405, or it does not agree.
    """
    config, headers = endpoint.config, scope.headers
    if scope.method != "OPTIONS" or config is None or config.handshake is None:
        raise _other_method(scope.method, endpoint.methods)
    agreed = agreement(
        headers.get("webhook-request-origin"),
        headers.get("webhook-request-rate"),
        config.handshake,
        config.rate_limit,
        endpoint.methods,
    )
    return Answer(200, agreed, b"", stored=False)


def _other_method(method: str, methods: Sequence[str]) -> Refusal:
    allowed = ", ".join(methods)
    return Refusal(
        405,
        "method-not-allowed",
        "This endpoint takes other methods",
        f"{method} is not among the methods of this endpoint: {allowed}.",
        headers={"allow": allowed},
    )


def _incomplete() -> Refusal:
    return Refusal(
        400,
        "body-incomplete",
        "The body ended too early",
        "The connection ended, or its framing broke, before the body was complete. Nothing was stored; send it again.",
        headers={"connection": "close"},
    )
