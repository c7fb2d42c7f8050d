"""How senders sign, and how it goes wrong: written from what the senders' own documents say, with nothing of the engine.

A `Sender` signs the deliveries of one scenario by one scheme. What becomes of a delivery stands in its payload as its `fate`:

    valid       signed with the secret in force
    rotated     signed with the secret before, which is good until it is withdrawn in the middle of the run
    forged      signed with a secret nobody has given
    tampered    the signature is that of another body
    unsigned    there is no signature
    stale       signed long ago; only where the time is signed
    early       signed for a time to come; only where the time is signed
"""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from meshproof.draw import Draw
from meshproof.placing import HERE
from meshproof.scenarios import BEFORE, Act, Refusal
from meshproof.words import NAMES, dump

WITHDRAWN: Final = "the old secret is withdrawn"
WITHDRAWN_AT: Final = 0.3
AGE_S: Final = 7_200
"""How far the time of a stale delivery lies off. Requests are made ready before they are sent, so the window is an hour."""
WINDOW_S: Final = 3_600

PROBLEMS: Final = {
    "forged": "signature-wrong",
    "tampered": "signature-wrong",
    "unsigned": "signature-missing",
    "stale": "signature-stale",
    "early": "signature-stale",
}

Sign = Callable[[str, str, int, bytes], Mapping[str, str]]
"""The headers of a delivery by the secret, the delivery id, the time (Unix seconds) and the body."""


@dataclass(frozen=True)
class Scheme:
    """One way of signing."""

    settings: Mapping[str, Any]
    """What the endpoint is told, beside the names of the secrets."""
    sign: Sign
    times: bool
    """Whether the time is signed."""


@dataclass(frozen=True)
class Sender:
    """Whoever sends the deliveries of one scenario."""

    scenario: str
    scheme: Scheme

    @property
    def fates(self) -> tuple[str, ...]:
        """What may become of a delivery; half of them are valid."""
        wrong = ("forged", "tampered", "unsigned", *(("stale", "early") if self.scheme.times else ()))
        return ("valid",) * (len(wrong) + 2) + ("rotated",) * 2 + wrong

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the endpoint while both secrets are good."""
        return self._config(self._name("NEW"), self._name("OLD"))

    @property
    def acts(self) -> tuple[Act, ...]:
        """The secrets are given; in the middle of the run the old one is withdrawn."""
        endpoint = {"workflow": HERE, "methods": ["POST"], "config": self._config(self._name("NEW"))}
        given = (
            Act(
                f"{self._name(age)} is given",
                BEFORE,
                "PUT",
                f"/api/v1/secrets/{self._name(age)}",
                {"value": _secret(age)},
            )
            for age in ("OLD", "NEW")
        )
        return (*given, Act(WITHDRAWN, WITHDRAWN_AT, "PUT", f"/api/v1/endpoints/{HERE}", endpoint))

    def payload(self, seed: int, index: int) -> bytes:
        """A message, and what becomes of its delivery."""
        draw = Draw(seed, self.scenario, index)
        fate = draw.pick(self.fates)
        return dump(draw, {"fate": fate, "number": index, "name": draw.pick(NAMES), "seed": seed})

    def headers(self, body: bytes, delivery: str, now_s: float) -> Mapping[str, str]:
        """The signature, as it goes with the fate of the body."""
        fate = json.loads(body)["fate"]
        off_s = {"stale": -AGE_S, "early": AGE_S}.get(fate, 0)
        secret = _secret({"rotated": "OLD", "forged": "STOLEN"}.get(fate, "NEW"))
        signed = body + b" " if fate == "tampered" else body
        return {} if fate == "unsigned" else self.scheme.sign(secret, delivery, int(now_s) + off_s, signed)

    @staticmethod
    def refusal(body: bytes) -> Refusal | None:
        """As what a body must be refused."""
        fate = json.loads(body)["fate"]
        if fate == "rotated":
            return Refusal("signature-wrong", since=WITHDRAWN)
        return Refusal(PROBLEMS[fate]) if fate in PROBLEMS else None

    def _name(self, age: str) -> str:
        return f"{self.scenario}_{age}".upper()

    def _config(self, *secrets: str) -> dict[str, Any]:
        return {"signature": {**self.scheme.settings, "secrets": list(secrets)}, "replay_window_s": WINDOW_S}


def _secret(age: str) -> str:
    """A secret that every scheme takes: `whsec_` and the base64 of 32 bytes."""
    return "whsec_" + b64encode(sha256(age.encode()).digest()).decode()


def _mac(key: bytes, *pieces: bytes) -> bytes:
    return hmac.digest(key, b"".join(pieces), "sha256")


def _standard_webhooks(secret: str, delivery: str, at_s: int, body: bytes) -> Mapping[str, str]:
    key = b64decode(secret.removeprefix("whsec_"))
    signature = b64encode(_mac(key, f"{delivery}.{at_s}.".encode(), body)).decode()
    return {"webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def _github(secret: str, delivery: str, at_s: int, body: bytes) -> Mapping[str, str]:
    return {"x-hub-signature-256": f"sha256={_mac(secret.encode(), body).hex()}", "x-github-delivery": delivery}


def _stripe(secret: str, delivery: str, at_s: int, body: bytes) -> Mapping[str, str]:
    return {"stripe-signature": f"t={at_s},v1={_mac(secret.encode(), f'{at_s}.'.encode(), body).hex()}"}


def _own(secret: str, delivery: str, at_s: int, body: bytes) -> Mapping[str, str]:
    signature = _mac(secret.encode(), f"{at_s}:{delivery}:".encode(), body).hex()
    return {"x-signature": f"sha256={signature}", "x-timestamp": str(at_s), "x-delivery": delivery}


STANDARD_WEBHOOKS: Final = Scheme({"scheme": "standard_webhooks"}, _standard_webhooks, times=True)
GITHUB: Final = Scheme({"scheme": "github"}, _github, times=False)
STRIPE: Final = Scheme({"scheme": "stripe"}, _stripe, times=True)
HMAC: Final = Scheme(
    {
        "scheme": "hmac",
        "header": "X-Signature",
        "prefix": "sha256=",
        "template": "{timestamp}:{id}:{body}",
        "timestamp_header": "X-Timestamp",
        "id_header": "X-Delivery",
    },
    _own,
    times=True,
)
