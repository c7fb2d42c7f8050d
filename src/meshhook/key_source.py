"""Where the key-encryption keys come from: a file, a variable of the environment, or a command.

A source holds one key a line (or several in a row, separated by white space), each 32 bytes in base64 or hex. The first is the one
to wrap by; the others still open what they have wrapped, which is how a key is replaced without downtime. A source is read
again when a key turns up that is not known yet.
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshhook.config import PREFIX, Settings
from meshhook.errors import ConfigError
from meshhook.sealing import KEY_BYTES, SealingKey

DEFAULT_FILE: Final = "secrets.key"
KEYS_MAX: Final = 20
_SIZE_MAX_BYTES: Final = 64 * 1024
_COMMAND_S_MAX: Final = 20.0
_SETTINGS: Final = ("secrets_key_file", "secrets_key_env", "secrets_key_command")

Keys = Mapping[str, SealingKey]
"""Key-encryption keys by their fingerprint, in the order of the source."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """One place that holds keys. ``words`` says which, for people."""

    kind: str
    place: str

    @property
    def words(self) -> str:
        """The source in words."""
        return {"file": f"the file {self.place}", "env": f"the variable {self.place}"}.get(
            self.kind, "the command of secrets_key_command"
        )

    @staticmethod
    def of(settings: Settings) -> KeySource:
        """The one source that the settings name; a file in the data folder when they name none.

        Raises:
            ConfigError: they name several, or a variable that would be taken for a setting.
        """
        named = [name for name in _SETTINGS if getattr(settings, name)]
        if len(named) > 1:
            raise ConfigError(
                f"{' and '.join(named)} are both set: the key-encryption key comes from one place. Keep one."
            )
        if not named:
            return KeySource("file", str(settings.data_dir / DEFAULT_FILE))
        place = str(getattr(settings, named[0]))
        if named[0] == "secrets_key_env" and place.startswith(PREFIX):
            raise ConfigError(
                f"secrets_key_env is {place}: choose a name that does not begin with {PREFIX}, as settings do."
            )
        return KeySource(named[0].removeprefix("secrets_key_"), place)

    def load(self) -> Keys:
        """Every key of the source; none when it is a file that is not there.

        Raises:
            ConfigError: it can't be read, is readable by everybody, or holds what is no key.
        """
        match self.kind:
            case "file":
                text = _read_file(Path(self.place))
            case "env":
                text = os.environ.get(self.place, "")
                if not text.strip():
                    raise ConfigError(
                        f"secrets_key_env is {self.place}, and there is no such variable, or it is empty."
                    )
            case _:
                text = _ask_command(self.place)
        return {key.id: key for key in self._parsed(text)}

    def _parsed(self, text: str) -> list[SealingKey]:
        found = [_key_in(word) for word in text.split()[: KEYS_MAX + 1]]
        if len(found) > KEYS_MAX:
            raise ConfigError(f"{self.words} holds more than {KEYS_MAX} keys; take away those that wrap nothing.")
        # What stands there is never shown: it is a key, or nearly one.
        if None in found:
            raise ConfigError(
                f"Entry {found.index(None) + 1} in {self.words} is no key: 32 bytes in base64 or hex. "
                "Make one: openssl rand -base64 32"
            )
        return [key for key in found if key is not None]


def ensure_file(source: KeySource) -> bool:
    """Make a key file of mode 0600 with a new key where there is none; says whether it did.

    Raises:
        ConfigError: it can't be written.
    """
    path = Path(source.place)
    if source.kind != "file" or path.exists():
        return False
    try:
        write_keys(path, [SealingKey.make()])
    except OSError as error:
        raise ConfigError(f"The key file {path} can't be made: {error.strerror}.") from None
    return True


def write_keys(path: Path, keys: list[SealingKey]) -> None:
    """Put these keys into a file, all or none of them: a crash leaves the file as it was before.

    Raises:
        OSError: it can't be written.
    """
    text = "".join(base64.b64encode(key.raw).decode() + "\n" for key in keys)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123
            if path.exists():
                os.chown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        beside.unlink(missing_ok=True)


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_SIZE_MAX_BYTES)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"The key file {path} can't be read: {error.strerror}.") from None
    if mode & 0o007:
        raise ConfigError(f"The key file {path} is open to everybody on this machine (mode {mode:o}): chmod 600 {path}")
    return text.decode("ascii", "replace")


def _ask_command(command: str) -> str:
    """What the command prints. It is started without a shell, and what it says on standard error is ours to show."""
    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_COMMAND_S_MAX, check=False
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"secrets_key_command can't be started: {error}.") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"secrets_key_command gave no key within {_COMMAND_S_MAX:g} s.") from None
    if done.returncode != 0 or not done.stdout.strip():
        raise ConfigError(
            f"secrets_key_command ended with {done.returncode} and {len(done.stdout)} bytes: it must print a key."
        )
    return done.stdout[:_SIZE_MAX_BYTES].decode("ascii", "replace")


def _key_in(word: str) -> SealingKey | None:
    try:
        raw = bytes.fromhex(word) if len(word) == 2 * KEY_BYTES else _from_base64(word)
    except (ValueError, binascii.Error):
        return None
    return SealingKey(raw) if len(raw) == KEY_BYTES else None


def _from_base64(word: str) -> bytes:
    standard = word.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
