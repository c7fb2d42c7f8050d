"""Make `.venv` hold exactly what the lock says, and the project itself. Run by the Makefile before every target.

Standard library only, so it runs on a bare machine. It does nothing when the stamp in the venv matches; it takes a file
lock, so two `make` at once are fine; it starts again when an earlier run was interrupted or the folder was moved.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements-dev.lock"
INPUTS = (LOCK, ROOT / "pyproject.toml")

# How this machine reaches its package index. Every other PIP_* variable could change what is installed, or where.
NETWORK = {"INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "CERT", "CLIENT_CERT", "PROXY", "TRUSTED_HOST"}
NETWORK |= {"TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "CACHE_DIR", "NO_CACHE_DIR", "CONFIG_FILE", "KEYRING_PROVIDER"}
KEPT = {f"PIP_{name}" for name in NETWORK}


def main() -> None:
    refuse_other_python()
    with only_one_at_a_time():
        wanted = fingerprint()
        if installed() == wanted:
            return
        if not STAMP.exists() or not works():
            make_venv()
        STAMP.unlink(missing_ok=True)
        install_locked()
        install_project()
        STAMP.write_text(wanted)


def refuse_other_python() -> None:
    if not (3, 11) <= sys.version_info < (3, 15):
        sys.exit(f"MeshHook needs Python 3.11 to 3.14; {sys.executable} is {sys.version.split()[0]}.")


def only_one_at_a_time():  # type: ignore[no-untyped-def]
    (ROOT / "build").mkdir(exist_ok=True)
    lock = (ROOT / "build" / ".venv.lock").open("w")  # closed, and so released, by the caller's with
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def fingerprint() -> str:
    """What the venv is made of: the locks, the project's metadata, this Python, this folder (scripts name it)."""
    content = b"".join(path.read_bytes() for path in INPUTS)
    return f"{hashlib.sha256(content).hexdigest()} {sys.version_info[0]}.{sys.version_info[1]} {ROOT}"


def installed() -> str | None:
    return STAMP.read_text() if STAMP.exists() and works() else None


def works() -> bool:
    """False when the interpreter behind the venv was removed or replaced by another minor version."""
    if not PYTHON.exists():
        return False
    check = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return str(ROOT) in STAMP.read_text() and subprocess.run([PYTHON, "-I", "-c", check], **quiet).returncode == 0


def make_venv() -> None:
    say(f"making .venv with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-I", "-m", "venv", str(VENV)], env=clean(), capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        hint = "On Debian and Ubuntu: apt-get install python3-venv. Else see whether this folder can be written to."
        sys.exit(f"Cannot make .venv: {made.stdout}{made.stderr}\n{hint}")


def install_locked() -> None:
    say("installing what requirements-dev.lock names")
    command = ["install", "-qq", "--require-hashes", "--only-binary=:all:", "-r", str(LOCK)]
    if pip(*command, env=clean(KEPT)) and pip("--isolated", *command, env=clean()):
        sys.exit("The requirements could not be installed; pip says why above. Run make again when that is settled.")


def install_project() -> None:
    # The build backend came with the lock, so nothing is downloaded here.
    if pip("install", "-qq", "--no-index", "--no-deps", "--no-build-isolation", "-e", str(ROOT), env=clean()):
        sys.exit("The project itself could not be installed into .venv; pip says why above.")


def pip(*arguments: str, env: dict[str, str]) -> int:
    # Standard output belongs to what comes after.
    return subprocess.run([PYTHON, "-I", "-m", "pip", *arguments], env=env, cwd=ROOT, stdout=sys.stderr).returncode


def clean(kept: set[str] | frozenset[str] = frozenset()) -> dict[str, str]:
    """The environment without what could bend an installation."""
    bent = ("PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA", "__PYVENV_LAUNCHER__", "SETUPTOOLS_", "HATCH_")
    left = {name: value for name, value in os.environ.items() if not name.startswith(bent) or name in kept}
    return left | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def say(what: str) -> None:
    print(f"setup: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
