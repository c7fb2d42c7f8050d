#!/bin/sh
# Write requirements.lock (what runs MeshHook) and requirements-dev.lock (that, the suite and the tools): every version
# and hash, for Python 3.11 to 3.14 on Linux and macOS. The resolver lives in a throw-away venv.
set -eu

python=$1
shift
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT INT TERM
"$python" -I -m venv "$tools"
"$tools/bin/pip" install --quiet uv

compile() {
    output=$1
    shift
    "$tools/bin/uv" pip compile --quiet --universal --generate-hashes --only-binary=:all: \
        --custom-compile-command "make lock" --output-file "$output" "$@" pyproject.toml
}
compile requirements-dev.lock "$@" --extra proof --extra locust --group dev
# Constrained by the first, so that what is tested is what is run.
compile requirements.lock "$@" --constraint requirements-dev.lock --group build
