"""What the gate makes of a body, without a server: which key stands for a delivery."""

from __future__ import annotations

from types import SimpleNamespace

from meshhook.addresses import AddressList
from meshhook.api.gate import Gate, Parcel
from meshhook.endpoint_config import EndpointConfig
from meshhook.endpoint_parts import CloudEvents
from meshhook.rate import Rates
from meshhook.store import Endpoint

EVENT = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "t"}
CONFIG = EndpointConfig(cloudevents=CloudEvents())
ENDPOINT = Endpoint(1, "shop", 0, "work", ("POST",), True, CONFIG)


async def read(
    headers: dict[str, str], body: bytes = b"1", *, key: str | None = None, is_proven: bool = False
) -> Parcel:
    rates = Rates(lambda _: (_ for _ in ()).throw(AssertionError("there is no limit")))
    gate = Gate(rates, AddressList([]), check_s=1.0)
    scope = SimpleNamespace(method="POST", path="/hooks/shop", query_string="", headers=headers)
    made = gate.read(scope, ENDPOINT, CONFIG, key, body, is_proven=is_proven)
    await rates.close()
    assert isinstance(made, Parcel)
    return made


async def test_an_event_stands_for_itself() -> None:
    assert (await read(EVENT)).key == "/shop 1"
    assert (await read(EVENT, key="idempotency")).key == "/shop 1"
    assert (await read({}, key="idempotency")).key == "idempotency"


async def test_a_signed_key_goes_before_headers_that_are_not() -> None:
    """Whoever recorded a signed delivery could else send it again as another event: ce- headers are not in the signature."""
    first = await read(EVENT, key="delivery-1", is_proven=True)
    forged = await read(EVENT | {"ce-id": "2"}, key="delivery-1", is_proven=True)
    assert first.key == forged.key == "delivery-1"


async def test_the_body_is_signed_so_an_event_in_it_stands_for_itself() -> None:
    structured = {"content-type": "application/cloudevents+json"}
    body = b'{"specversion":"1.0","id":"7","source":"/shop","type":"t"}'
    assert (await read(structured, body, key="delivery-1", is_proven=True)).key == "/shop 7"
