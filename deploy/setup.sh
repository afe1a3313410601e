#!/bin/sh
# Makes .venv and puts uv into .venv/uv. Called by the Makefile: `sh deploy/setup.sh UV_VERSION`, in the project's folder.
# Says each step on standard error, and what to install where something is missing.
set -eu
uv_version=$1

say() { printf 'setup: %s\n' "$1" >&2; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# faust-streaming has no wheels for 3.15 yet; the same bounds stand in pyproject.toml.
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' >/dev/null 2>&1; }

find_python() {
    for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if fits "$name"; then printf '%s\n' "$name"; return; fi
    done
    fail "no Python 3.11, 3.12, 3.13 or 3.14 found; 'python3' is $(python3 --version 2>/dev/null || echo missing)." \
        "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13)," \
        "or name it: make setup PYTHON=/path/to/python3.12"
}

if [ -e .venv/.place ] && [ "$(cat .venv/.place)" != "$(pwd -P)" ]; then
    say "this folder was moved or copied: making .venv again (from the cache)"
    rm -rf .venv-uv
    mv .venv/uv .venv-uv 2>/dev/null || true # works anywhere, and needs no network then
    rm -rf .venv
fi
if [ -e .venv ] && ! fits .venv/bin/python; then
    say "the Python of .venv is gone or too old: making .venv again"
    rm -rf .venv
fi
if [ ! -e .venv ]; then
    python=$(find_python)
    say "virtual environment in .venv ($("$python" --version))"
    # Without pip: Debian ships pip's part of venv in a package of its own, and .venv itself needs none (uv fills it).
    "$python" -m venv --without-pip .venv ||
        fail "'$python -m venv' does not work. Debian, Ubuntu: apt install python3-venv"
fi
if [ -e .venv-uv ]; then
    rm -rf .venv/uv
    mv .venv-uv .venv/uv
fi

if [ "$(.venv/uv/bin/uv --version 2>/dev/null | cut -d ' ' -f 2)" != "$uv_version" ]; then
    say "uv $uv_version from the package index"
    rm -rf .venv/uv
    # The interpreter that .venv was made from: pip may be there even where ensurepip is not.
    base=$(.venv/bin/python -c 'import sys; print(sys._base_executable)')
    if "$base" -c 'import ensurepip' 2>/dev/null; then
        "$base" -m venv .venv/uv
        .venv/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
    elif "$base" -m pip --version >/dev/null 2>&1; then
        "$base" -m pip install --quiet --disable-pip-version-check --target .venv/uv "uv==$uv_version"
    else
        fail "this Python has neither pip nor ensurepip, so uv cannot be fetched." \
            "Debian, Ubuntu: apt install python3-venv; then run the same command again."
    fi
fi
pwd -P >.venv/.place
