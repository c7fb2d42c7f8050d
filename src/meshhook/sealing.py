"""Sealing of secrets: AES-256-GCM under a data key, which is itself sealed under a key-encryption key. Pure but for nonces.

Every nonce is 96 random bits (NIST SP 800-38D, section 8.2.2: safe for 2^32 seals under one key, far more than a project has).
What a seal belongs to is authenticated with it, so a row that is copied to another name, version or project does not open.

No key and no value is in the ``repr`` of anything here, nor in the message of an error.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meshhook.errors import VaultError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class SealingKey:
    """One AES-256 key. ``id`` is a fingerprint that tells keys apart and tells nothing else about them."""

    __slots__ = ("_cipher", "id", "raw")

    def __init__(self, raw: bytes) -> None:
        """Take a key of 32 bytes."""
        assert len(raw) == KEY_BYTES, "a key has 32 bytes"
        self.raw: Final = raw
        self.id: Final = hashlib.sha256(b"meshhook key fingerprint\0" + raw).hexdigest()[:16]
        self._cipher = AESGCM(raw)

    def __repr__(self) -> str:
        return f"SealingKey({self.id})"

    @staticmethod
    def make() -> SealingKey:
        """A new random key."""
        return SealingKey(os.urandom(KEY_BYTES))

    def seal(self, value: bytes, belongs_to: bytes) -> bytes:
        """``value`` sealed; the same value gives another seal each time."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, belongs_to)

    def open(self, sealed: bytes, belongs_to: bytes) -> bytes:
        """The value in a seal.

        Raises:
            VaultError: it was sealed by another key, belongs to something else, or was changed.
        """
        if len(sealed) >= _NONCE_BYTES + _TAG_BYTES:
            try:
                return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], belongs_to)
            except InvalidTag:
                pass
        raise VaultError(
            f"The key {self.id} does not open what is stored: it was changed, or belongs to another place. "
            "Restore the tables data_keys and secrets from a backup, or set the secret anew."
        ) from None


def secret_place(project_id: int, name: str, version: int) -> bytes:
    """What the seal of a secret belongs to."""
    return f"meshhook secret\0{project_id}\0{name}\0{version}".encode()


def data_key_place(project_id: int, version: int) -> bytes:
    """What the seal of a data key belongs to."""
    return f"meshhook data key\0{project_id}\0{version}".encode()
