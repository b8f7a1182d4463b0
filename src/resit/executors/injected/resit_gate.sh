#!/bin/sh
# A worker of Playwright's starts when it has a token from descriptor 4 (resit_dispatch.cjs): "$@" is its command line.
# An interrupt ends the waiting, not the worker: Playwright tells its workers itself to end.
trap : INT
read -r _ <&4
trap - INT
exec 4<&-
exec "$@"
