#!/bin/sh
# pyright strict; it runs on Node, which `make setup` looked for.
set -eu
cd "$(dirname "$0")/.."
if [ ! -x tests/node/node_modules/.bin/pyright ]; then
  [ -n "${CI:-}" ] && { echo "types: Node.js is needed in CI" >&2; exit 1; }
  echo "types: left out, no Node.js" >&2; exit 0
fi
exec tests/node/node_modules/.bin/pyright --warnings
