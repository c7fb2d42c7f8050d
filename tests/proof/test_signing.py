"""How senders sign, against what their own documents say."""

from __future__ import annotations

import hmac
import json

import pytest

from meshproof import scenarios, signing
from meshproof.signing import PROBLEMS, WITHDRAWN, Sender

BODY = b'{"test": 2432232314}'


def test_standard_webhooks_sign_as_in_the_example_of_their_specification() -> None:
    headers = signing.STANDARD_WEBHOOKS.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_github_signs_as_in_the_example_of_its_documentation() -> None:
    headers = signing.GITHUB.sign("It's a Secret to Everybody", "d", 0, b"Hello, World!")
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert headers == {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": "d"}


def test_stripe_signs_time_and_body() -> None:
    headers = signing.STRIPE.sign("s", "d", 12, b"{}")
    assert headers == {"stripe-signature": f"t=12,v1={hmac.digest(b's', b'12.{}', 'sha256').hex()}"}


@pytest.mark.parametrize("scheme", [signing.STANDARD_WEBHOOKS, signing.GITHUB, signing.STRIPE, signing.HMAC])
def test_what_becomes_of_a_delivery_is_in_how_it_is_signed(scheme: signing.Scheme) -> None:
    sender = Sender("signatures", scheme)
    signed = {
        fate: tuple(sender.headers(json.dumps({"fate": fate}).encode(), "d", 1_000_000.0).values())
        for fate in sender.fates
    }
    assert signed["unsigned"] == ()
    assert len(set(signed.values())) == len(signed)
    assert ("stale" in signed) is scheme.times


def test_every_fate_has_its_refusal_and_half_of_the_deliveries_are_good() -> None:
    load = scenarios.load("signatures")
    assert load.refusal is not None
    bodies = [load.payload(1, index) for index in range(300)]
    refusals = [load.refusal(body) for body in bodies]
    assert 100 < refusals.count(None) < 200
    assert {refusal.problem for refusal in refusals if refusal} == set(PROBLEMS.values())
    assert {
        json.loads(body)["fate"] for body, refusal in zip(bodies, refusals, strict=True) if refusal and refusal.since
    } == {"rotated"}
    assert [act.name for act in load.acts] == ["SIGNATURES_OLD is given", "SIGNATURES_NEW is given", WITHDRAWN]
