"""What an endpoint asks of a delivery: its settings as a JSON document, checked, and made ready to be applied. Pure.

``parse`` refuses what is not understood, so that a typing error never leaves a door open. The reference is
``docs/reference/endpoints.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from meshhook import endpoint_parts
from meshhook.endpoint_parts import WAIT_S, CloudEvents, Handshake, RateLimit, Receipts
from meshhook.errors import EndpointConfigError, Fault
from meshhook.gathering import BatchByKey, Debounce, faults_of_gathering
from meshhook.signatures import Signature, module_of
from meshhook.signatures.scheme import REPLAY_WINDOW_S

SIZE_MAX_BYTES: Final = 64 * 1024
_AT: Final = re.compile(r"(?P<message>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)


class EndpointConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an endpoint asks of a delivery. What is left out is not asked for."""

    signature: Signature | None = None
    replay_window_s: Annotated[
        int, msgspec.Meta(ge=1, le=86_400, description="How old a signed time may be, and how far in the future.")
    ] = REPLAY_WINDOW_S
    key_required: Annotated[bool, msgspec.Meta(description="Only deliveries with a dedupe key are taken.")] = False
    schema: Annotated[Any, msgspec.Meta(description="JSON Schema (2020-12) of the payload.")] = None
    cloudevents: CloudEvents | None = None
    rate_limit: RateLimit | None = None
    allow_ips: Annotated[
        list[str] | None, msgspec.Meta(description="Addresses and ranges that may send; all may when it is left out.")
    ] = None
    handshake: Handshake | None = None
    mode: Annotated[
        Literal["async", "sync"], msgspec.Meta(description="`sync`: the answer is what the run answers.")
    ] = "async"
    wait_s: Annotated[
        float, msgspec.Meta(ge=0.1, le=30, description="With `sync`: how long to wait for it before 202 is answered.")
    ] = WAIT_S
    receipts: Receipts | None = None
    debounce: Debounce | None = None
    batch: BatchByKey | None = None

    @property
    def gathers(self) -> Debounce | BatchByKey | None:
        """How deliveries become one run, if they do."""
        return self.debounce or self.batch


def parse(text: bytes | str) -> EndpointConfig:
    """Read settings from JSON text.

    Raises:
        EndpointConfigError: it is no JSON, too large, of another shape, or does not make sense.
    """
    if len(text) > SIZE_MAX_BYTES:
        raise EndpointConfigError([Fault("$", "too-large", f"{len(text)} bytes; at most {SIZE_MAX_BYTES} are allowed")])
    try:
        config = msgspec.json.decode(text, type=EndpointConfig)
    except msgspec.ValidationError as error:
        raise EndpointConfigError([_shape_fault(str(error))]) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EndpointConfigError([Fault("$", "no-json", str(error))]) from None
    if faults := list(_faults(config)):
        raise EndpointConfigError(faults)
    return config


@lru_cache(maxsize=1_000)
def stored(text: str) -> EndpointConfig | None:
    """The settings stored with an endpoint, parsed once as long as they stay the same; ``None`` when nothing is asked for.

    Raises:
        EndpointConfigError: a newer MeshHook wrote them. The endpoint then takes nothing: to ignore what is asked would be worse.
    """
    config = parse(text)
    return None if config == EndpointConfig() else config


def schema() -> dict[str, object]:
    """The JSON Schema of the settings."""
    return msgspec.json.schema(EndpointConfig)


def _faults(config: EndpointConfig) -> Iterator[Fault]:
    """What the shape alone can't tell. Each part adds its own."""
    if config.signature is not None:
        for fault in module_of(config.signature).faults(config.signature):
            yield Fault(f"$.signature{fault.path}", fault.code, fault.message)
    yield from faults_of_gathering(config.debounce, config.batch, is_sync=config.mode == "sync")
    yield from endpoint_parts.faults(config.schema, config.allow_ips, config.handshake)


def _shape_fault(error: str) -> Fault:
    found = _AT.fullmatch(error)
    assert found is not None
    message, path = found["message"], found["path"] or "$"
    if "unknown field" in message:
        return Fault(path, "unknown-field", message)
    if "missing required field" in message:
        return Fault(path, "missing", message)
    return Fault(path, "wrong-value", message)
