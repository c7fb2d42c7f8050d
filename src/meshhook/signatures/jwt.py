"""``jwt``: a signed JSON Web Token in ``Authorization: Bearer``. It proves who sends and until when, not what.

The key is a secret (a shared key as it is, a PEM public key, a JWK or a JWK Set), stands in the settings, or is fetched from a
JWKS URL by whoever uses this. Which algorithms are taken is said in the settings, never by the token, and a key serves only
algorithms of its own kind: a public key is never taken for a shared one.

Source: RFC 7515, 7517, 7519; RFC 8725 (best practices).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry

from meshhook.errors import Fault, Refusal
from meshhook.signatures.scheme import (
    BadSecret,
    CannotSign,
    Headers,
    Scheme,
    SecretName,
    Verified,
    Verify,
    asking,
    malformed,
    required,
    stale,
    wrong,
)

Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
]
_HEADER: Final = "authorization"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TOKEN_MAX: Final = 8_192
_KEYS_MAX: Final = 100
_AGE_MAX_S: Final = 10**10  # numbers of a token may have any length
_KINDS: Final = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_UNUSED_BITS: Final = {0: "", 2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""What the last character of base64url may be, by the length of the text modulo 4, when its unused bits are zero."""


class Jwt(Scheme, frozen=True, kw_only=True, tag="jwt"):
    """A JSON Web Token."""

    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)]
    secrets: Annotated[tuple[SecretName, ...], msgspec.Meta(max_length=10)] = ()
    public_keys: Annotated[
        tuple[str, ...], msgspec.Meta(max_length=10, description="PEM or JWK as text. Public keys are no secrets.")
    ] = ()
    jwks_url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s]{1,2000}$")] | None = None
    issuer: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)] | None = None
    audience: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)] | None = None
    leeway_s: Annotated[int, msgspec.Meta(ge=0, le=600, description="What clocks may differ.")] = 30


Settings = Jwt


class _Registry(jws.JWSRegistry):
    """Takes the one algorithm it is for. Headers that are not known are ignored, as RFC 7515, section 4, demands."""

    max_header_length = max_payload_length = max_signature_length = _TOKEN_MAX

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        """The algorithm, without the warning that its name is out of fashion (``EdDSA``; RFC 9864): who sends it chose it."""
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRIES: Final = {algorithm: _Registry(algorithm) for algorithm in get_args(Algorithm)}


class UnknownKey(Refusal):
    """A token names a key that is not known: a set of keys may have been renewed since it was fetched."""


def faults(settings: Jwt) -> Iterator[Fault]:
    if not settings.secrets and not settings.public_keys and settings.jwks_url is None:
        yield Fault("", "missing", "`secrets`, `public_keys` or `jwks_url` must say which keys sign")
    shared = [algorithm.startswith("HS") for algorithm in settings.algorithms]
    if any(shared) and not all(shared):
        yield Fault(
            ".algorithms", "mixed-algorithms", "shared keys (HS…) and public keys are not mixed in one endpoint"
        )
    if any(shared) and (settings.public_keys or settings.jwks_url is not None):
        yield Fault(
            ".algorithms", "public-shared-key", "HS… needs a shared key from `secrets`: public keys are no secrets"
        )
    for index, text in enumerate(settings.public_keys):
        try:
            if any(key.key_type == "oct" or key.is_private for key in _keys(text.encode())):
                yield Fault(f".public_keys[{index}]", "not-public", "this is no public key; put it into a secret")
        except BadSecret as error:
            yield Fault(f".public_keys[{index}]", "bad-key", str(error))


def verifier(settings: Jwt, secrets: Sequence[bytes], window_s: float) -> Verify:
    """``secrets`` are the values of ``settings.secrets`` and, when there is a ``jwks_url``, the document found there."""
    texts = [*secrets, *(text.encode() for text in settings.public_keys)]
    kinds = {_KINDS[algorithm[:2]] for algorithm in settings.algorithms}
    keys = [key for text in texts for key in _keys(text) if key.key_type in kinds]

    def verify(headers: Headers, body: bytes, now_s: float) -> Verified:
        with asking('Bearer realm="meshhook"'):
            token = _token(required(headers, _HEADER))
            _check_claims(settings, _proven(token, settings.algorithms, keys), now_s)
        return Verified()

    return verify


def sign(settings: Jwt, secret: bytes, body: bytes, id: str, now_s: int) -> dict[str, str]:
    algorithm = settings.algorithms[0]
    key = next((key for key in _keys(secret) if key.key_type == _KINDS[algorithm[:2]] and key.is_private), None)
    if key is None:
        raise CannotSign("only the sender has the private key; the secret here can verify but not sign")
    claims: dict[str, Any] = {"exp": now_s + 60, "iat": now_s, "jti": id}
    claims |= {} if settings.issuer is None else {"iss": settings.issuer}
    claims |= {} if settings.audience is None else {"aud": settings.audience}
    head = {"alg": algorithm} | ({} if key.kid is None else {"kid": key.kid})
    token = jws.serialize_compact(head, msgspec.json.encode(claims), key, registry=_REGISTRIES[algorithm])
    return {_HEADER: f"Bearer {token}"}


def _token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or len(token) > _TOKEN_MAX or _TOKEN.fullmatch(token) is None:
        raise malformed(_HEADER, "Bearer <JWT>")
    if not all(len(part) % 4 in _UNUSED_BITS and _is_canonical(part) for part in token.split(".")):
        raise malformed(_HEADER, "Bearer <JWT> in base64url")
    return token


def _is_canonical(part: str) -> bool:
    """Else one signature could be written in several ways."""
    allowed = _UNUSED_BITS[len(part) % 4]
    return not allowed or part[-1] in allowed


def _proven(token: str, algorithms: Sequence[str], keys: Sequence[Key]) -> bytes:
    """The claims of a token that one of the keys has signed, as they came."""
    try:
        head = jws.extract_compact(token.encode(), None, _REGISTRIES[algorithms[0]]).headers()
    except (JoseError, ValueError, RecursionError):
        raise malformed(_HEADER, "Bearer <JWT>") from None
    algorithm, kid = str(head.get("alg")), head.get("kid")
    if algorithm not in algorithms:
        raise wrong(f"The token is signed by an algorithm that is not taken here. Taken: {', '.join(algorithms)}.")
    fitting = [key for key in keys if _fits(key, algorithm, kid)]
    if not fitting:
        refusal = wrong("None of the keys of this endpoint is the one the token names.")
        raise UnknownKey(refusal.status, refusal.problem, refusal.title, refusal.detail)
    for key in fitting:
        try:
            payload = jws.deserialize_compact(token, key, registry=_REGISTRIES[algorithm]).payload
        except (JoseError, ValueError):
            continue
        assert payload is not None
        return payload
    raise wrong("None of the keys of this endpoint signed the token.")


def _fits(key: Key, algorithm: str, kid: Any) -> bool:
    if (
        key.key_type != _KINDS[algorithm[:2]]
        or key.get("alg", algorithm) != algorithm
        or key.get("use", "sig") != "sig"
    ):
        return False
    return kid is None or key.kid is None or key.kid == kid


def _check_claims(settings: Jwt, payload: bytes, now_s: float) -> None:
    try:
        claims = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise malformed(_HEADER, "Bearer <JWT>, its claims a JSON object") from None
    checks: dict[str, Any] = {"exp": {"essential": True}}
    checks |= {} if settings.issuer is None else {"iss": {"essential": True, "value": settings.issuer}}
    checks |= {} if settings.audience is None else {"aud": {"essential": True, "value": settings.audience}}
    try:
        JWTClaimsRegistry(now=int(now_s), leeway=settings.leeway_s, **checks).validate(claims)
    except ExpiredTokenError:
        age_s = int(now_s) - int(claims["exp"])
        raise stale(min(age_s, _AGE_MAX_S), settings.leeway_s) from None
    except (JoseError, TypeError, ValueError) as error:
        raise wrong(
            f"The token is signed, but its claims do not fit: {getattr(error, 'description', error)}."
        ) from None


def _keys(text: bytes) -> list[Key]:
    """The keys in a PEM, a JWK, a JWK Set, or a shared key as it is. What joserfc warns of, such as RSA below 2,048 bits or a
    public key as a shared one, is refused.
    """
    stripped = text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)
            if stripped.startswith(b"-----BEGIN"):
                return [_pem_key(stripped)]
            if stripped.startswith(b"{"):
                return _jwk_keys(stripped)
            return [OctKey.import_key(text)]
    except (JoseError, SecurityWarning, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadSecret(
            "it is no PEM, JWK or JWK Set that can be read, or a key too short: a shared one needs 14 bytes, RSA 2,048 bits"
        ) from None


def _pem_key(text: bytes) -> Key:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(text)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("neither RSA, EC nor Ed25519")


def _jwk_keys(text: bytes) -> list[Key]:
    document = msgspec.json.decode(text, type=dict[str, Any])
    found = document.get("keys", [document])
    keys = []
    for one in found[:_KEYS_MAX]:
        try:
            keys.append(JWKRegistry.import_key(one))
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            if "keys" not in document:
                raise
            # RFC 7517, section 5: a set may hold keys for others, which are passed over
    return keys
