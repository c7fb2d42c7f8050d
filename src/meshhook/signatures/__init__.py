"""How senders prove who they are. One file a scheme: its settings, how a delivery is verified, and how one is signed.

A module of a scheme has:

- ``Settings``: a struct, tagged with the name of the scheme;
- ``faults(settings)``: what the struct alone can't see, as ``Fault`` with paths below the settings (``.header``);
- ``verifier(settings, secrets, window_s)``: a ``Verify``; raises ``BadSecret`` for a secret that can't be used;
- ``sign(settings, secret, body, id, now_s)``: the headers a sender would send; raises ``CannotSign``.

All of it is pure: secrets, keys and the time come from outside. Raw bytes are verified before anything parses them.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from meshhook.signatures import github
from meshhook.signatures.github import GitHub

Signature = GitHub

SCHEMES: Final[dict[str, ModuleType]] = {"github": github}
