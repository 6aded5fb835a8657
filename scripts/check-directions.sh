#!/bin/sh
# Dependencies point one way: agent-cli -> formats -> protocol <- daemon. Fails where cargo says otherwise.
set -eu

cd "$(dirname "$0")/.."
faults=0

# reaches PACKAGE: the packages that end up in its programs or are run to build them, one name a line.
reaches() {
    cargo tree --quiet --package "$1" --all-features --edges normal,build --target all --prefix none \
        --format '{p}' | cut -d ' ' -f 1 | sort -u
}

# forbid PACKAGE WHY NAME...
forbid() {
    package=$1
    why=$2
    shift 2
    reached=$(reaches "$package")
    # An empty answer would forbid nothing.
    echo "$reached" | grep -qx "$package"
    for name in "$@"; do
        if echo "$reached" | grep -qx "$name"; then
            echo "error: $package reaches $name: $why" >&2
            echo "hint: cargo tree -p $package --all-features --edges normal,build -i $name" >&2
            faults=$((faults + 1))
        fi
    done
}

forbid chanceryd "the keeper understands no format" chancery-formats sequoia-openpgp chancery
for clerk in chancery chancery-formats; do
    forbid "$clerk" "clerks touch no token" cryptoki cryptoki-sys chanceryd
done
forbid chancery-formats "it knows no socket" tokio chancery
forbid chancery-protocol "it knows neither token nor format" \
    cryptoki cryptoki-sys chancery-formats sequoia-openpgp chanceryd chancery
for package in chancery-audit chancery-linux chancery-softhsm chancery-tests chancery-fuzz; do
    forbid "$package" "nothing depends on the programs" chanceryd chancery
done

[ "$faults" = 0 ] || exit 1
echo "dependencies point one way; chanceryd reaches $(($(reaches chanceryd | wc -l) - 1)) packages"
