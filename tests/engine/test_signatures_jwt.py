"""JSON Web Tokens: each algorithm with each form of key, the claims, and the attacks that tokens are known for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from meshhook.endpoint_config import parse
from meshhook.errors import EndpointConfigError, Refusal
from meshhook.signatures.jwt import _REGISTRIES, Jwt, UnknownKey, faults, sign, verifier
from meshhook.signatures.scheme import BadSecret, CannotSign

NOW = 1_700_000_000
SHARED = b"a shared key of some length that is long enough"


def _pem(key: Any) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


RSA = _pem(rsa.generate_private_key(65537, 2048))
EC = _pem(ec.generate_private_key(ec.SECP256R1()))
ED = _pem(ed25519.Ed25519PrivateKey.generate())
PAIRS = {"RS256": RSA, "PS512": RSA, "ES256": EC, "EdDSA": ED, "Ed25519": ED}


def token(key: Key, algorithm: str, claims: Any = None, **head: Any) -> dict[str, str]:
    payload = json.dumps({"exp": NOW + 60} if claims is None else claims).encode()
    text = jws.serialize_compact({"alg": algorithm, **head}, payload, key, registry=_REGISTRIES[algorithm])
    return {"authorization": f"Bearer {text}"}


def check(settings: Jwt, secrets: list[bytes], headers: dict[str, str]) -> None:
    verifier(settings, secrets, 300)(headers.get, b"", NOW)


def refused(settings: Jwt, secrets: list[bytes], headers: dict[str, str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check(settings, secrets, headers)
    assert caught.value.headers["www-authenticate"].startswith("Bearer ")
    return caught.value


def private_key(pem: bytes) -> Key:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(pem)
        except (ValueError, JoseError):
            continue
    raise AssertionError


@pytest.mark.parametrize("algorithm", PAIRS)
@pytest.mark.parametrize("form", ["pem", "jwk", "jwks", "settings"])
def test_each_algorithm_with_each_form_of_key(algorithm: str, form: str) -> None:
    private, public = PAIRS[algorithm]
    jwk = private_key(private).as_dict(private=False)
    shapes = {
        "pem": public,
        "jwk": json.dumps(jwk).encode(),
        "jwks": json.dumps({"keys": [{"kty": "new"}, jwk]}).encode(),
    }
    settings = Jwt(
        algorithms=(algorithm,), secrets=("S",), public_keys=(public.decode(),) if form == "settings" else ()
    )
    assert not list(faults(settings))
    secrets = [shapes[form]] if form != "settings" else []
    headers = sign(settings, private, b"", "id", NOW)
    check(settings, secrets, headers)
    other = OKPKey.generate_key("Ed25519") if algorithm.startswith("Ed") else type(private_key(private)).generate_key()
    assert refused(settings, secrets, token(other, algorithm)).problem == "signature-wrong"


def test_the_token_of_rfc_8037() -> None:
    """Appendix A.4 and A.5: the signature is right, its payload is no JSON, so it is a signature and no token."""
    key = b'{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    text = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    settings = Jwt(algorithms=("EdDSA",), secrets=("S",))
    assert refused(settings, [key], {"authorization": f"Bearer {text}"}).problem == "signature-malformed"
    assert refused(settings, [key], {"authorization": f"Bearer {text[:-5]}AAAAA"}).problem != "signature-missing"


def test_the_token_of_rfc_7515() -> None:
    """Appendix A.1, verified at a time at which it was valid."""
    key = b'{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}'
    text = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    verify = verifier(Jwt(algorithms=("HS256",), secrets=("S",), issuer="joe"), [key], 300)
    verify({"authorization": f"Bearer {text}"}.get, b"", 1300819379)
    with pytest.raises(Refusal, match="signature-stale"):
        verify({"authorization": f"Bearer {text}"}.get, b"", 1300819380 + 30)


def test_a_public_key_is_never_taken_for_a_shared_one() -> None:
    """The old attack: an HS256 token, signed with the text of the public RSA key."""
    forged = token(OctKey.import_key(base64.b64encode(RSA[1])), "HS256")
    plain = {"alg": "HS256"}
    signing = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (plain, {"exp": NOW + 9})
    )
    import hmac

    mac = base64.urlsafe_b64encode(hmac.digest(RSA[1], signing, "sha256")).rstrip(b"=")
    confused = {"authorization": f"Bearer {(signing + b'.' + mac).decode()}"}
    for headers in (forged, confused):
        assert refused(Jwt(algorithms=("RS256",), secrets=("S",)), [RSA[1]], headers).problem == "signature-wrong"
        assert refused(Jwt(algorithms=("HS256",), secrets=("S",)), [RSA[1]], headers).problem == "signature-wrong"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256 ", "", 7, None, ["HS256"], {"a": 1}])
def test_an_algorithm_that_is_not_listed_is_refused(algorithm: Any) -> None:
    head, claims = ({"alg": algorithm}, {"exp": NOW + 60})
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)]
    for signature in ("", "AAAA"):
        headers = {"authorization": f"Bearer {'.'.join(parts)}.{signature}"}
        assert refused(Jwt(algorithms=("HS256",), secrets=("S",)), [SHARED], headers).status == 401


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({}, "signature-wrong"),
        ({"exp": NOW - 30}, "signature-stale"),
        ({"exp": -(10**300)}, "signature-stale"),
        ({"exp": "soon"}, "signature-wrong"),
        ({"exp": True}, "signature-wrong"),
        ({"exp": NOW + 60, "nbf": NOW + 31}, "signature-wrong"),
        ({"exp": NOW + 60, "iss": "them"}, "signature-wrong"),
        ({"exp": NOW + 60, "iss": "us"}, "signature-wrong"),
        ({"exp": NOW + 60, "iss": "us", "aud": ["them"]}, "signature-wrong"),
        ({"exp": NOW + 60, "iss": ["us"], "aud": "you"}, "signature-wrong"),
        ([], "signature-malformed"),
        ("text", "signature-malformed"),
    ],
)
def test_claims_that_do_not_fit_are_refused(claims: Any, problem: str) -> None:
    settings = Jwt(algorithms=("HS256",), secrets=("S",), issuer="us", audience="you")
    if isinstance(claims, dict) and len(claims) == 1:
        claims = {"iss": "us", "aud": "you", **claims}
    assert refused(settings, [SHARED], token(OctKey.import_key(SHARED), "HS256", claims)).problem == problem


@pytest.mark.parametrize("claims", [{"aud": "you"}, {"aud": ["me", "you"]}, {"nbf": NOW + 30, "aud": "you"}])
def test_claims_that_fit_are_accepted(claims: dict[str, Any]) -> None:
    settings = Jwt(algorithms=("HS256",), secrets=("S",), issuer="us", audience="you")
    claims = {"exp": NOW - 29, "iss": "us", **claims}
    check(settings, [SHARED], token(OctKey.import_key(SHARED), "HS256", claims))


def test_the_key_a_token_names_is_the_one_that_counts() -> None:
    one, two = (ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}) for kid in ("one", "two"))
    settings = Jwt(algorithms=("ES256",), jwks_url="https://keys.example/jwks")
    keys = json.dumps({"keys": [one.as_dict(private=False)]}).encode()
    check(settings, [keys], token(one, "ES256", kid="one"))
    assert refused(settings, [keys], token(two, "ES256", kid="one")).problem == "signature-wrong"
    assert isinstance(refused(settings, [keys], token(two, "ES256", kid="two")), UnknownKey)
    check(
        settings,
        [json.dumps({"keys": [k.as_dict(private=False) for k in (one, two)]}).encode()],
        token(two, "ES256", kid="two"),
    )
    encryption = json.dumps({"keys": [{**one.as_dict(private=False), "use": "enc"}]}).encode()
    assert isinstance(refused(settings, [encryption], token(one, "ES256", kid="one")), UnknownKey)


def test_a_critical_header_that_is_not_understood_is_refused() -> None:
    head = {"alg": "HS256", "crit": ["x"], "x": 1}
    import hmac

    signing = b".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (head, {"exp": NOW + 9}))
    mac = base64.urlsafe_b64encode(hmac.digest(SHARED, signing, "sha256")).rstrip(b"=")
    headers = {"authorization": f"Bearer {(signing + b'.' + mac).decode()}"}
    assert refused(Jwt(algorithms=("HS256",), secrets=("S",)), [SHARED], headers).status == 401


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"algorithms": ["HS256", "RS256"], "secrets": ["S"]}, "mixed-algorithms"),
        ({"algorithms": ["HS256"], "jwks_url": "https://keys.example/"}, "public-shared-key"),
        ({"algorithms": ["RS256"]}, "missing"),
        ({"algorithms": ["RS256"], "public_keys": [RSA[0].decode()]}, "not-public"),
        ({"algorithms": ["RS256"], "public_keys": ["-----BEGIN nonsense"]}, "bad-key"),
        ({"algorithms": ["none"], "secrets": ["S"]}, "wrong-value"),
        ({"algorithms": [], "secrets": ["S"]}, "wrong-value"),
        ({"algorithms": ["RS256"], "jwks_url": "file:///etc/passwd"}, "wrong-value"),
    ],
)
def test_settings_that_would_open_the_door_are_faults(options: Any, code: str) -> None:
    with pytest.raises(EndpointConfigError) as caught:
        parse(json.dumps({"signature": {"scheme": "jwt", **options}}))
    assert code in [fault.code for fault in caught.value.faults]


@pytest.mark.parametrize(
    "secret", [b"short", b"{}", b'{"kty":"oct","k":"AA"}', b'{"keys": 7}', b"-----BEGIN x", b"{" * 9_000]
)
def test_a_key_that_can_not_be_used_is_told(secret: bytes) -> None:
    with pytest.raises(BadSecret):
        verifier(Jwt(algorithms=("HS256",), secrets=("S",)), [secret], 300)


def test_a_weak_rsa_key_is_no_key() -> None:
    weak = _pem(rsa.generate_private_key(65537, 1024))[1]
    with pytest.raises(BadSecret):
        verifier(Jwt(algorithms=("RS256",), secrets=("S",)), [weak], 300)


def test_a_public_key_can_not_sign() -> None:
    with pytest.raises(CannotSign):
        sign(Jwt(algorithms=("ES256",), secrets=("S",)), EC[1], b"", "id", NOW)
