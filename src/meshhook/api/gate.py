"""What an endpoint with settings asks of a delivery, beside its signature: who may send, how fast, and what.

Before the body is read: the address of the sender, and the rate limit. After it: a key where one is required, events where they
are taken, and the schema of the payload. What comes out is ready to be accepted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from meshhook import cloudevents
from meshhook.addresses import AddressList, sender
from meshhook.cloudevents import CloudEvent
from meshhook.delivery import body_json, trigger_of
from meshhook.endpoint_config import EndpointConfig
from meshhook.errors import Refusal
from meshhook.payload_schema import PayloadSchema
from meshhook.rate import Rates, Standing
from meshhook.signatures import bearing_header
from meshhook.store import Endpoint

_RULES_MAX: Final = 10_000


class Parcel(NamedTuple):
    """What is to be accepted: ``content`` is what must be the same when ``key`` is used again."""

    key: str | None
    content: bytes
    trigger: str


class Batch(NamedTuple):
    """Events that came at once: each of them, or why it is refused."""

    items: list[Parcel | Refusal]


class _Rules(NamedTuple):
    """The settings of one endpoint, compiled."""

    config: EndpointConfig
    allowed: AddressList | None
    schema: PayloadSchema | None
    unstored: str | None


class Gate:
    """The gate of one API process.

    Args:
        rates: the rate limits. trusted: proxies whose word about the sender's address is taken.
        check_s: how long the payloads of one request may be checked against a schema. clock: CPU time of this thread, in seconds.
    """

    def __init__(
        self, rates: Rates, trusted: AddressList, *, check_s: float, clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._rates = rates
        self._trusted = trusted
        self._check_s = check_s
        self._clock = clock
        self._rules: dict[int, _Rules] = {}

    async def admit(self, scope: Any, endpoint: Endpoint, config: EndpointConfig) -> Standing | None:
        """Let a request in before its body is read; says where its sender stands when there is a rate limit.

        Raises:
            Refusal: 403 ``address-refused``, 429 ``rate-limited``.
        """
        allowed = self._rules_of(endpoint, config).allowed
        if allowed is not None:
            address = sender(scope.client, scope.headers.get_all("x-forwarded-for"), self._trusted)
            if address is None or address not in allowed:
                raise _refused_address(address)
        if config.rate_limit is None:
            return None
        return await self._rates.take(endpoint.id, config.rate_limit.as_quota)

    def read(
        self,
        scope: Any,
        endpoint: Endpoint,
        config: EndpointConfig,
        key: str | None,
        body: bytes,
        *,
        is_proven: bool = False,
    ) -> Parcel | Batch:
        """What a body holds. ``is_proven``: the key is signed, so it goes before attributes in headers, which are not.

        Raises:
            Refusal: all of it is refused.
        """
        rules = self._rules_of(endpoint, config)
        until = self._clock() + self._check_s if rules.schema is not None else 0.0
        content_type: str = scope.headers.get("content-type", "")
        if config.cloudevents is not None:
            match cloudevents.mode_of(content_type):
                case "batch":
                    batch = self._read_batch(scope, rules, body, until)
                    if config.rate_limit is not None:
                        self._rates.charge(endpoint.id, config.rate_limit.as_quota, len(batch.items) - 1)
                    return batch
                case "structured":
                    return self._event(scope, rules, cloudevents.from_body(body), until)
                case "binary":
                    event = cloudevents.from_headers(scope.headers.items(), content_type, body)
                    if event is not None:
                        parcel = self._event(scope, rules, event, until)
                        return parcel._replace(key=key) if is_proven else parcel
            if config.cloudevents.required:
                raise _no_event()
        if key is None and config.key_required:
            raise _no_key()
        data = body_json(content_type, body)
        self._check(rules, data, until)
        return Parcel(key, body, _trigger(scope, rules, content_type, data))

    def _read_batch(self, scope: Any, rules: _Rules, body: bytes, until: float) -> Batch:
        settings = rules.config.cloudevents
        assert settings is not None
        if not settings.batch:
            raise Refusal(
                415,
                "unsupported-event-format",
                "This endpoint takes no batches",
                "Send each event in a request of its own. Nothing was stored.",
            )
        items = cloudevents.from_batch(body, settings.batch_max)
        return Batch([self._event_or_refusal(scope, rules, item, until) for item in items])

    def _event_or_refusal(
        self, scope: Any, rules: _Rules, item: CloudEvent | Refusal, until: float
    ) -> Parcel | Refusal:
        if isinstance(item, Refusal):
            return item
        try:
            return self._event(scope, rules, item, until)
        except Refusal as refusal:
            return refusal

    def _event(self, scope: Any, rules: _Rules, event: CloudEvent, until: float) -> Parcel:
        self._check(rules, event.data, until)
        return Parcel(
            event.key, event.content, _trigger(scope, rules, event.content_type, event.data, event=event.attributes)
        )

    def _check(self, rules: _Rules, data: str, until: float) -> None:
        if rules.schema is not None:
            rules.schema.check(msgspec.json.decode(data), check_s=until - self._clock())

    def _rules_of(self, endpoint: Endpoint, config: EndpointConfig) -> _Rules:
        """Settings stay the same object as long as nobody changes them, so they are compiled once."""
        rules = self._rules.get(endpoint.id)
        if rules is None or rules.config is not config:
            if len(self._rules) >= _RULES_MAX:
                self._rules.clear()
            allowed = None if config.allow_ips is None else AddressList(config.allow_ips)
            schema = None if config.schema is None else PayloadSchema(config.schema)
            rules = self._rules[endpoint.id] = _Rules(config, allowed, schema, bearing_header(config.signature))
        return rules


def _trigger(scope: Any, rules: _Rules, content_type: str, data: str, event: Any = None) -> str:
    headers = scope.headers.items()
    if rules.unstored is not None:
        headers = [(name, value) for name, value in headers if name != rules.unstored]
    return trigger_of(scope.method, scope.path, scope.query_string, headers, content_type, data, event=event)


def _refused_address(address: object) -> Refusal:
    return Refusal(
        403,
        "address-refused",
        "This address may not send here",
        f"The endpoint takes deliveries from listed addresses alone, and this one came from {address or 'nowhere known'}. "
        "Nothing was stored.",
    )


def _no_event() -> Refusal:
    return Refusal(
        415,
        "event-required",
        "This is no CloudEvent",
        "The endpoint takes CloudEvents alone, and neither the content type nor the headers say that this is one. "
        "Nothing was stored.",
    )


def _no_key() -> Refusal:
    return Refusal(
        400,
        "key-required",
        "The dedupe key is missing",
        "The endpoint takes only deliveries with a key: send an Idempotency-Key header. Nothing was stored.",
    )
