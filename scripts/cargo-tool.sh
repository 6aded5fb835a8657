#!/bin/sh
# Builds a cargo subcommand into target/tools where the machine has none.
#
# usage: cargo-tool.sh NAME VERSION [CARGO-INSTALL-OPTION...]     such as: cargo-tool.sh nextest 0.9.143
set -eu

name=$1
version=$2
shift 2
cd "$(dirname "$0")/.."
tools=${CARGO_TARGET_DIR:-target}/tools
PATH=$PWD/$tools/bin:$PATH
command -v "cargo-$name" >/dev/null && exit 0

echo "cargo-tool.sh: building cargo-$name $version into $tools; this happens once" >&2
# Without optimisation: it is built far more quickly than it is run.
exec cargo install --quiet --locked --debug --root "$tools" --version "$version" "$@" "cargo-$name" </dev/null
