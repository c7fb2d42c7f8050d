"""Every scheme: what the providers publish is accepted, and nothing that differs in a bit of what is signed."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from meshhook.endpoint_config import EndpointConfig
from meshhook.errors import Refusal
from meshhook.signatures import SCHEMES, Signature, module_of
from meshhook.signatures.scheme import BadSecret, CannotSign, Verified, hmac_sha256

NOW = 1_700_000_000
WINDOW_S = 300

SHARED = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = b"whsec_" + base64.b64encode(b"another secret of 32 bytes......")
PRIVATE = b"whsk_" + base64.b64encode(bytes(range(32)))
PUBLIC = b"whpk_" + base64.b64encode(
    Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    .public_key()
    .public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
)


def scheme(name: str, **options: Any) -> Any:
    """Settings as they come from JSON, with names of secrets that nobody looks up here."""
    return msgspec.convert({"signature": {"scheme": name, **options}}, EndpointConfig).signature


def verify(
    settings: Signature, secrets: list[bytes], headers: Mapping[str, str], body: bytes, now_s: float = NOW
) -> Verified:
    return module_of(settings).verifier(settings, secrets, WINDOW_S)(headers.get, body, now_s)


def refused(settings: Signature, secrets: list[bytes], headers: Mapping[str, str], body: bytes, **more: Any) -> str:
    with pytest.raises(Refusal) as caught:
        verify(settings, secrets, headers, body, **more)
    assert caught.value.status == 401
    return caught.value.problem


class Published(NamedTuple):
    """What a provider publishes about one delivery."""

    settings: Signature
    secret: bytes
    headers: dict[str, str]
    body: bytes
    now_s: int
    key: str | None


_STANDARD = {
    "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "timestamp": "1614265330",
    "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
PUBLISHED = {
    "standard webhooks": Published(
        scheme("standard_webhooks", secrets=["S"]),
        SHARED,
        {f"webhook-{name}": value for name, value in _STANDARD.items()},
        b'{"test": 2432232314}',
        1614265330,
        _STANDARD["id"],
    ),
    "svix": Published(
        scheme("standard_webhooks", secrets=["S"]),
        SHARED,
        {f"svix-{name}": value for name, value in _STANDARD.items()},
        b'{"test": 2432232314}',
        1614265330,
        _STANDARD["id"],
    ),
    "github": Published(
        scheme("github", secrets=["S"]),
        b"It's a Secret to Everybody",
        {
            "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        },
        b"Hello, World!",
        NOW,
        "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    ),
    "slack": Published(
        scheme("slack", secrets=["S"]),
        b"8f742231b10e8888abcd99yyyzzz85a5",
        {
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "x-slack-request-timestamp": "1531420618",
        },
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        1531420618,
        None,
    ),
    # RFC 4231, section 4.3: test case 2 of HMAC-SHA-512
    "hmac": Published(
        scheme("hmac", secrets=["S"], header="X-Signature", algorithm="sha512"),
        b"Jefe",
        {
            "x-signature": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        },
        b"what do ya want for nothing?",
        NOW,
        None,
    ),
    # RFC 7617, section 2
    "basic": Published(
        scheme("basic", secrets=["S"], username="Aladdin"),
        b"open sesame",
        {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        b"",
        NOW,
        None,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_the_providers_publish_is_accepted(name: str) -> None:
    it = PUBLISHED[name]
    assert verify(it.settings, [it.secret], it.headers, it.body, it.now_s).key == it.key


SIGNING = {
    "standard_webhooks": (scheme("standard_webhooks", secrets=["S"]), SHARED, OTHER),
    "ed25519": (scheme("standard_webhooks", secrets=["S"]), PRIVATE, OTHER),
    "github": (scheme("github", secrets=["S"]), b"one secret", b"another"),
    "stripe": (scheme("stripe", secrets=["S"]), b"whsec_one", b"whsec_another"),
    "slack": (scheme("slack", secrets=["S"]), b"one secret", b"another"),
    "shopify": (scheme("shopify", secrets=["S"]), b"one secret", b"another"),
    "hmac": (
        scheme(
            "hmac",
            secrets=["S"],
            header="X-Sign",
            algorithm="sha384",
            encoding="base64url",
            prefix="v9=",
            template="<{id}|{timestamp}>{body}",
            timestamp_header="X-Time",
            timestamp_unit="ms",
            id_header="X-Id",
            key_encoding="base64",
        ),
        base64.b64encode(b"one secret"),
        base64.b64encode(b"another"),
    ),
    "jwt": (
        scheme("jwt", secrets=["S"], algorithms=["HS256"], issuer="us", audience="you"),
        b"a shared key of some length that is long enough",
        b"another shared key of some length, long enough",
    ),
    "basic": (scheme("basic", secrets=["S"], username="me"), b"one secret", b"another"),
    "token": (scheme("token", secrets=["S"], header="X-Gitlab-Token"), b"one secret", b"another"),
}
UNSIGNED = {"x-github-delivery", "x-github-event", "x-shopify-webhook-id"}
SIGNS_NO_BODY = {"jwt", "basic", "token"}
every_scheme = pytest.mark.parametrize("name", SIGNING)


def signed(name: str, body: bytes, now_s: int = NOW) -> tuple[Any, bytes, dict[str, str]]:
    settings, secret, _ = SIGNING[name]
    return settings, secret, module_of(settings).sign(settings, secret, body, "evt_1", now_s)


def test_every_scheme_is_tried_here() -> None:
    assert {module_of(settings) for settings, _, _ in SIGNING.values()} == set(SCHEMES.values())


@every_scheme
@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=200), data=st.data())
def test_one_flipped_bit_of_the_body_is_refused(name: str, body: bytes, data: st.DataObject) -> None:
    settings, secret, headers = signed(name, body)
    verify(settings, [secret], headers, body)
    if name in SIGNS_NO_BODY or not body:
        return
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    assert refused(settings, [secret], headers, bytes(changed)) == "signature-wrong"


@every_scheme
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_of_a_signed_header_is_refused(name: str, data: st.DataObject) -> None:
    settings, secret, headers = signed(name, b'{"id": "evt_1"}')
    header = data.draw(st.sampled_from(sorted(headers.keys() - UNSIGNED)))
    value = bytearray(headers[header].encode())
    begin = value.find(b" ") + 1 if header == "authorization" else 0  # "Bearer" may be written in any case
    bit = data.draw(st.integers(begin * 8, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    changed = value.decode("latin-1")
    problem = refused(settings, [secret], {**headers, header: changed}, b'{"id": "evt_1"}')
    assert problem.startswith("signature-")


@every_scheme
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_of_the_secret_is_refused(name: str, data: st.DataObject) -> None:
    settings, secret, headers = signed(name, b"{}")
    bit = data.draw(st.integers(0, len(secret) * 8 - 1))
    changed = bytearray(secret)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        verifier = module_of(settings).verifier(settings, [bytes(changed)], WINDOW_S)
    except BadSecret:
        return
    with pytest.raises(Refusal):
        verifier(headers.get, b"{}", NOW)


@every_scheme
def test_while_a_secret_is_rotated_both_are_accepted(name: str) -> None:
    settings, old, new = SIGNING[name]
    for secret in (old, new):
        headers = module_of(settings).sign(settings, secret, b"{}", "evt_1", NOW)
        for both in ([old, new], [new, old]):
            verify(settings, both, headers, b"{}")
    assert refused(settings, [old], headers, b"{}") == "signature-wrong"


@every_scheme
def test_without_any_of_its_headers_it_is_missing(name: str) -> None:
    settings, secret, headers = signed(name, b"{}")
    for header in headers.keys() - UNSIGNED:
        for value in ({}, {header: ""}):
            kept = {key: it for key, it in headers.items() if key != header} | value
            assert refused(settings, [secret], kept, b"{}") == "signature-missing"


TIMED = {"standard_webhooks", "ed25519", "stripe", "slack", "hmac"}


@pytest.mark.parametrize("name", sorted(TIMED))
@given(age_s=st.integers(-1_000, 1_000))
def test_the_replay_window_is_exact(name: str, age_s: int) -> None:
    settings, secret, headers = signed(name, b"{}")
    if abs(age_s) <= WINDOW_S:
        verify(settings, [secret], headers, b"{}", NOW + age_s)
    else:
        assert refused(settings, [secret], headers, b"{}", now_s=NOW + age_s) == "signature-stale"


@every_scheme
@settings(max_examples=60, deadline=None)
@given(value=st.text(max_size=80), body=st.binary(max_size=40))
def test_whatever_a_header_holds_it_is_refused_and_never_an_error(name: str, value: str, body: bytes) -> None:
    settings, secret, headers = signed(name, body)
    for header in headers.keys() - UNSIGNED:
        if value != headers[header]:
            assert refused(settings, [secret], {**headers, header: value}, body).startswith("signature-")


# What only one scheme has --------------------------------------------------------------------------------------------


def test_a_public_key_in_the_settings_verifies_and_can_not_sign() -> None:
    settings = scheme("standard_webhooks", public_keys=[PUBLIC.decode()])
    headers = signed("ed25519", b"{}")[2]
    assert headers["webhook-signature"].startswith("v1a,")
    assert verify(settings, [], headers, b"{}").key == "evt_1"
    with pytest.raises(CannotSign):
        module_of(settings).sign(settings, PUBLIC, b"{}", "evt_1", NOW)


def test_any_of_several_signatures_passes_and_versions_to_come_are_passed_over() -> None:
    settings, secret, headers = signed("standard_webhooks", b"{}")
    right = headers["webhook-signature"]
    many = {**headers, "webhook-signature": f"v2,AAAA v1,{'A' * 43}= {right}"}
    assert verify(settings, [secret], many, b"{}").key == "evt_1"
    only_new = {**headers, "webhook-signature": right.replace("v1,", "v2,")}
    assert refused(settings, [secret], only_new, b"{}") == "signature-malformed"


def test_an_id_can_not_lend_its_end_to_the_time() -> None:
    """``a`` at time 1 with the body ``2.x`` is signed like ``a.1`` at time 2 with the body ``x``."""
    settings, secret, headers = signed("standard_webhooks", f"{NOW + 9}.5".encode())
    shifted = {**headers, "webhook-id": f"evt_1.{NOW}", "webhook-timestamp": str(NOW + 9)}
    assert refused(settings, [secret], shifted, b"5") == "signature-malformed"


def test_headers_of_two_families_are_not_mixed() -> None:
    settings, secret, headers = signed("standard_webhooks", b"{}")
    mixed = {**headers, "svix-signature": headers["webhook-signature"]}
    del mixed["webhook-signature"]
    assert refused(settings, [secret], mixed, b"{}") == "signature-missing"


@pytest.mark.parametrize("secret", [b"", b"whsec_", b"whsec_AAAA", b"whsec_" + b"A" * 400, b"\xff" * 32, b"whpk_AAAA"])
def test_a_secret_that_can_not_be_used_is_told_without_showing_it(secret: bytes) -> None:
    with pytest.raises(BadSecret) as caught:
        module_of(scheme("standard_webhooks")).verifier(scheme("standard_webhooks"), [secret], WINDOW_S)
    assert len(secret) < 10 or repr(secret)[2:-1] not in str(caught.value)


def test_stripe_takes_any_v1_and_knows_the_event_by_its_id() -> None:
    settings, secret, headers = signed("stripe", b'{"object": "event", "id": "evt_7"}')
    time, right = headers["stripe-signature"].split(",")
    several = {"stripe-signature": f"{time},v0={'0' * 64},v1={'0' * 64},{right}"}
    assert verify(settings, [secret], several, b'{"object": "event", "id": "evt_7"}').key == "evt_7"
    twice = {"stripe-signature": f"t=1,{headers['stripe-signature']}"}
    assert refused(settings, [secret], twice, b'{"object": "event", "id": "evt_7"}') == "signature-malformed"


def test_the_secret_of_stripe_is_taken_as_it_is() -> None:
    settings, _, headers = signed("stripe", b"{}")
    assert refused(settings, [base64.b64decode(b"one=")], headers, b"{}") == "signature-wrong"


def test_slack_events_are_known_by_their_id_and_the_challenge_is_proven_first() -> None:
    event = b'{"type": "event_callback", "event_id": "Ev1"}'
    settings, secret, headers = signed("slack", event)
    assert verify(settings, [secret], headers, event) == Verified("Ev1")
    challenge = b'{"type": "url_verification", "challenge": "3eZbrw1a"}'
    headers = signed("slack", challenge)[2]
    assert verify(settings, [secret], headers, challenge) == Verified(challenge="3eZbrw1a")
    assert refused(settings, [b"other"], headers, challenge) == "signature-wrong"


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"id": 7}', b'{"id": ""}', b"{", b"\xff", b"[" * 100_000])
def test_a_body_without_an_id_has_no_key(body: bytes) -> None:
    settings, secret, headers = signed("stripe", body)
    assert verify(settings, [secret], headers, body) == Verified()


@pytest.mark.parametrize(
    ("options", "path", "code"),
    [
        ({"template": "{timestamp}", "timestamp_header": "T"}, ".template", "unsigned-body"),
        ({"template": "{body}{body}"}, ".template", "unsigned-body"),
        ({"template": "{body}{url}"}, ".template", "unknown-place"),
        ({"template": "{timestamp}.{body}"}, ".timestamp_header", "unsigned-time"),
        ({"timestamp_header": "X-Time"}, ".timestamp_header", "unsigned-time"),
        ({"template": "{id}.{body}"}, ".id_header", "missing"),
    ],
)
def test_a_template_that_proves_less_than_it_seems_to_is_a_fault(options: Any, path: str, code: str) -> None:
    settings = scheme("hmac", secrets=["S"], header="X-Sign", **options)
    assert [(fault.path, fault.code) for fault in module_of(settings).faults(settings)] == [(path, code)]


def test_basic_asks_for_credentials() -> None:
    settings = scheme("basic", secrets=["S"], username="me")
    with pytest.raises(Refusal) as caught:
        verify(settings, [b"x"], {}, b"")
    assert caught.value.headers["www-authenticate"].startswith("Basic ")


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=4))
def test_a_code_made_ready_is_the_code(key: bytes, pieces: list[bytes]) -> None:
    mac = hmac_sha256(key)
    assert mac(*pieces) == mac(*pieces) == hmac.digest(key, b"".join(pieces), "sha256")
