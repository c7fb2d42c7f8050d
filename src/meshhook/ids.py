"""Run ids: UUIDv7 (RFC 9562, section 5.7) whose 12 ``rand_a`` bits carry the shard of the run.

So a run id always knows where its rows live, and ids of one moment lie side by side in the index.
"""

from __future__ import annotations

import hashlib
import random
import uuid
import zlib
from datetime import datetime
from typing import Final

SHARDS_MAX: Final = 4096
_random: Final = random.SystemRandom()
_getrandbits: Final = random.Random(_random.getrandbits(256)).getrandbits  # unique, not secret: no system call each


def make_run_id(shard: int, unix_ms: int) -> str:
    """A new run id of ``shard``, made at ``unix_ms``."""
    text = f"{unix_ms:012x}7{shard:03x}{0x8000000000000000 | _getrandbits(62):016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_run_id(run_id: str, path: str, now: datetime) -> str:
    """The id of the run that the step ``path`` of a run starts at ``now``: in the same shard, and always the same."""
    digest = int.from_bytes(hashlib.sha256(f"{run_id}/{path}".encode()).digest()[:8])
    unix_ms = max(0, int(now.timestamp() * 1000))
    value = unix_ms << 80 | 0x7 << 76 | shard_of(run_id) << 64 | 0x2 << 62 | digest >> 2
    return str(uuid.UUID(int=value))


def shard_of(run_id: str | uuid.UUID) -> int:
    """The shard a run id carries.

    Raises:
        ValueError: it is no UUIDv7.
    """
    value = run_id if isinstance(run_id, uuid.UUID) else uuid.UUID(run_id)
    if (value.int >> 76) & 0xF != 7:
        raise ValueError(f"{run_id} is no run id: it is not a UUID of version 7")
    return (value.int >> 64) & 0xFFF


def unix_ms_of(run_id: str | uuid.UUID) -> int:
    """When a run id was made, in ms of Unix time."""
    value = run_id if isinstance(run_id, uuid.UUID) else uuid.UUID(run_id)
    return value.int >> 80


def shard_for_key(endpoint_id: int, key: str, shards: int) -> int:
    """Where the deliveries with one dedupe key of one endpoint live, so that they meet."""
    return zlib.crc32(f"{endpoint_id}:{key}".encode()) % shards if shards > 1 else 0


def any_shard(shards: int) -> int:
    """A random shard, for a delivery without a key."""
    return _getrandbits(32) % shards if shards > 1 else 0
