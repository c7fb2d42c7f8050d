"""Passwords as they are stored: scrypt (RFC 7914), with the parameters beside the hash so that they may be raised. Pure.

    $scrypt$ln=15,r=8,p=3$<salt>$<hash>

The cost is one of the equal choices of OWASP's Password Storage Cheat Sheet: 32 MiB and some 0.2 s of a core for one guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from typing import Final, NamedTuple

from meshhook.errors import Refusal

LENGTH_MIN: Final = 12
"""Guessing is slowed down to a few a minute, so this is far out of reach of a list of known passwords."""

LENGTH_MAX: Final = 256
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_STORED: Final = re.compile(r"\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


class Cost(NamedTuple):
    """What one guess costs: 128 · 2^log_n · r bytes, p times over."""

    log_n: int
    r: int
    p: int

    @property
    def bytes_max(self) -> int:
        """Memory that OpenSSL may take, with a little to spare."""
        return 128 * self.r * ((1 << self.log_n) + self.p + 2) + 2**20


COST: Final = Cost(15, 8, 3)


def check_password(password: str) -> None:
    """Refuse what may not become a password. Length alone counts, as NIST SP 800-63B has it: no rules about kinds of letters.

    Raises:
        Refusal: it is too short or too long.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise Refusal(
            400,
            "bad-password",
            "This can't be the password",
            f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters, any of them; four words and a number do well.",
        )


def hash_password(password: str, cost: Cost = COST) -> str:
    """What is stored of a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = f"ln={cost.log_n},r={cost.r},p={cost.p}", _text(salt), _text(_derived(password, salt, cost, _HASH_BYTES))
    return "$scrypt$" + "$".join(parts)


def is_password(password: str, stored: str) -> bool:
    """Whether this is the password that was stored; takes the same time however wrong it is.

    Raises:
        ValueError: what is stored was not made here.
    """
    if not (found := _STORED.fullmatch(stored)):
        raise ValueError("this is no stored password of ours")
    cost, salt, hash = Cost(*map(int, found.groups()[:3])), _bytes(found[4]), _bytes(found[5])
    return hmac.compare_digest(_derived(password[: LENGTH_MAX + 1], salt, cost, len(hash)), hash)


def _derived(password: str, salt: bytes, cost: Cost, length: int) -> bytes:
    """Two keyboards that write one letter in two ways (é, or e and an accent) mean the same password (NFKC)."""
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=2**cost.log_n, r=cost.r, p=cost.p, maxmem=cost.bytes_max, dklen=length)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
