#!/bin/sh
# Runs a command with a container engine and the tests' image. The engine is started only if none runs, and what was
# started is stopped again, whatever becomes of the command.
#
# usage: with-engine.sh COMMAND...
# environment: CHANCERY_INSTALL=1 installs docker.io and mmdebstrap if they are missing; CI=true and root do so unasked.
set -eu

cd "$(dirname "$0")/.."
engine=softhsm/container/engine.sh

if [ "${CHANCERY_INSTALL:-}" = 1 ] || [ -n "${CI:-}" ] || [ "$(id -u)" = 0 ]; then
    # Docker's own packages do as well as Debian's.
    command -v dockerd >/dev/null || scripts/apt.sh docker.io
    scripts/apt.sh mmdebstrap
elif ! command -v docker >/dev/null || ! command -v mmdebstrap >/dev/null; then
    echo "error: the container suite needs docker.io and mmdebstrap" >&2
    echo "hint: CHANCERY_INSTALL=1 make test-container installs them" >&2
    exit 1
fi

trap '$engine stop' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
$engine start
. "${CARGO_TARGET_DIR:-target}/container/engine.env"
softhsm/container/build-image.sh
# The suite skips nothing where an engine is promised.
CHANCERY_CONTAINER=1 "$@"
