"""CPU time of one verification, by scheme, beside that of reading the same delivery without one. Rounds are interleaved.

python tools/signature_cost.py [--bytes 1024] [--rounds 15]
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import time
from collections.abc import Callable

from joserfc.jwk import ECKey, RSAKey

from meshhook.delivery import trigger_json
from meshhook.signatures import (
    basic,
    generic_hmac,
    github,
    jwt,
    shopify,
    slack,
    standard_webhooks,
    static_token,
    stripe,
)
from meshhook.signatures.scheme import Scheme

SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = b"whsk_" + base64.b64encode(bytes(range(32)))
NAMES = ("S",)


def jwk(key: ECKey | RSAKey) -> bytes:
    return json.dumps(key.as_dict(private=True)).encode()


SCHEMES: dict[str, tuple[Scheme, bytes]] = {
    "standard_webhooks": (standard_webhooks.StandardWebhooks(secrets=NAMES), SECRET),
    "standard_webhooks ed25519": (standard_webhooks.StandardWebhooks(secrets=NAMES), PRIVATE),
    "github": (github.GitHub(secrets=NAMES), SECRET),
    "stripe": (stripe.Stripe(secrets=NAMES), SECRET),
    "slack": (slack.Slack(secrets=NAMES), SECRET),
    "shopify": (shopify.Shopify(secrets=NAMES), SECRET),
    "hmac": (
        generic_hmac.GenericHmac(
            secrets=NAMES, header="x-sign", template="{timestamp}.{body}", timestamp_header="x-time"
        ),
        SECRET,
    ),
    "jwt HS256": (jwt.Jwt(algorithms=("HS256",), secrets=NAMES), SECRET),
    "jwt ES256": (jwt.Jwt(algorithms=("ES256",), secrets=NAMES), jwk(ECKey.generate_key("P-256"))),
    "jwt RS256": (jwt.Jwt(algorithms=("RS256",), secrets=NAMES), jwk(RSAKey.generate_key(2048))),
    "basic": (basic.Basic(secrets=NAMES, username="me"), SECRET),
    "token": (static_token.Token(secrets=NAMES, header="x-token"), SECRET),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1024, help="length of the body")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    body = json.dumps({"id": "evt_1", "event_id": "Ev1", "text": "x" * max(0, options.bytes - 46)}).encode()
    actions = {"(reading the delivery)": reading(body)} | {name: verifying(name, body) for name in SCHEMES}
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(options.rounds):
        for name, action in actions.items():
            times[name].append(cost_us(action))
    print(f"CPU µs a call, {len(body)} bytes of body, median of {options.rounds} interleaved rounds (least)")
    for name, found in times.items():
        print(f"{name:28} {statistics.median(found):8.1f} ({min(found):.1f})")


def reading(body: bytes) -> Callable[[], object]:
    headers = [("host", "localhost:8080"), ("content-type", "application/json"), ("user-agent", "bench")]
    return lambda: trigger_json("POST", "/hooks/bench", "", headers, "application/json", body)


def verifying(name: str, body: bytes) -> Callable[[], object]:
    from meshhook.signatures import module_of

    settings, secret = SCHEMES[name]
    now_s = int(time.time())
    headers = module_of(settings).sign(settings, secret, body, "msg_1", now_s)
    verify = module_of(settings).verifier(settings, [secret], 300)
    return lambda: verify(headers.get, body, now_s)


def cost_us(action: Callable[[], object], seconds: float = 0.02) -> float:
    """CPU time of one call, over as many calls as take about ``seconds``."""
    calls, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for _ in range(20):
            action()
        calls += 20
    return spent / calls * 1e6


if __name__ == "__main__":
    main()
