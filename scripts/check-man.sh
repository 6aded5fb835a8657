#!/bin/sh
# The man pages in docs/man are those that the program writes.
set -eu

cd "$(dirname "$0")/.."
program=${CARGO_TARGET_DIR:-target}/${CHANCERY_PROFILE:-debug}/chancery
written=$(mktemp -d)
trap 'rm -rf "$written"' EXIT
"$program" man "$written" >/dev/null
if ! diff -ru docs/man "$written"; then
    echo "error: docs/man is not what the program writes" >&2
    echo "hint: $program man docs/man" >&2
    exit 1
fi
echo "man pages: in step, $(find docs/man -type f | wc -l) pages"
