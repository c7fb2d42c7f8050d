"""How senders prove who they are. One file a scheme: its settings, how a delivery is verified, and how one is signed.

A module of a scheme has:

- ``Settings``: a struct, tagged with the name of the scheme;
- ``faults(settings)``: what the struct alone can't see, as ``Fault`` with paths below the settings (``.header``);
- ``verifier(settings, secrets, window_s)``: a ``Verify``; raises ``BadSecret`` for a secret that can't be used;
- ``sign(settings, secret, body, id, now_s)``: the headers a sender would send; raises ``BadSecret``, ``CannotSign``.

All of it is pure: secrets, keys and the time come from outside. Raw bytes are verified before anything parses them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

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
from meshhook.signatures.basic import Basic
from meshhook.signatures.generic_hmac import GenericHmac
from meshhook.signatures.github import GitHub
from meshhook.signatures.jwt import Jwt
from meshhook.signatures.scheme import Scheme
from meshhook.signatures.shopify import Shopify
from meshhook.signatures.slack import Slack
from meshhook.signatures.standard_webhooks import StandardWebhooks
from meshhook.signatures.static_token import Token
from meshhook.signatures.stripe import Stripe

Signature = StandardWebhooks | GitHub | Stripe | Slack | Shopify | GenericHmac | Jwt | Basic | Token

SCHEMES: Final[dict[str, ModuleType]] = {
    "standard_webhooks": standard_webhooks,
    "github": github,
    "stripe": stripe,
    "slack": slack,
    "shopify": shopify,
    "hmac": generic_hmac,
    "jwt": jwt,
    "basic": basic,
    "token": static_token,
}


def bearing_header(settings: Scheme | None) -> str | None:
    """The header that holds a secret itself, in lower case, whatever it is called: it must not be stored."""
    return settings.header.lower() if isinstance(settings, Token) else None


def module_of(settings: Scheme) -> ModuleType:
    """The scheme that settings are for."""
    return SCHEMES[str(settings.__struct_config__.tag)]
