#!/bin/sh
# Installs what the project needs: Python packages from uv.lock into .venv, Node packages of the tests where Node is.
# Quiet and fast when nothing changed. Prints one line of cause and remedy when something is missing.
set -eu
cd "$(dirname "$0")/.."
UV_VERSION=0.13.9

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "resit: needs Python 3.11 or newer as '$python' (on Debian: apt install python3 python3-venv)" >&2; exit 1; }

stamp() { cat pyproject.toml uv.lock scripts/setup.sh tests/node/package-lock.json tests/node/browser.mjs 2>/dev/null | cksum; }
state=.venv/.setup
if [ -x .venv/bin/resit ] && [ "$(cat $state 2>/dev/null || true)" = "$(stamp) $(command -v node || echo no-node)" ]; then exit 0; fi

if [ ! -x .uv/bin/uv ]; then
  if ! "$python" -m venv .uv >/dev/null 2>&1 || [ ! -x .uv/bin/pip ]; then
    rm -rf .uv
    echo "resit: Python has no venv module (on Debian: apt install python3-venv)" >&2; exit 1
  fi
  .uv/bin/pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi
# Compiled once here, so that each start is quick also where Python may not write its caches.
UV_PYTHON_DOWNLOADS=never .uv/bin/uv sync --frozen --quiet --system-certs --compile-bytecode --python "$python"
.venv/bin/python -m compileall -q src
# What the tests' own suites run in.
UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv-suites .uv/bin/uv sync --frozen --quiet --system-certs --compile-bytecode \
  --python "$python" --only-group suites --no-install-project

if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then
  (cd tests/node && npm ci --silent --no-audit --no-fund --ignore-scripts)
  node tests/node/browser.mjs >/dev/null || echo "resit: no Chromium of its own: tests of the page look for an installed one" >&2
else
  echo "resit: no Node.js found: Playwright suites and the type check are left out" >&2
fi
echo "$(stamp) $(command -v node || echo no-node)" > $state
