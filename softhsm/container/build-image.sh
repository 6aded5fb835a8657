#!/bin/sh
# Makes the image chancery-systemd:test, Debian 12 with systemd and SoftHSM, from Debian's packages; no registry has it.
# It is made once: the root file system is kept under target/container, and the engine keeps the image.
#
# usage: build-image.sh     with an engine running (engine.sh start; . target/container/engine.env)
set -eu

image=chancery-systemd:test
suite=bookworm
# What the daemon under test needs beside itself. dbus: systemctl talks through it. util-linux's setpriv and runuser
# are in every Debian.
packages=systemd,dbus,libssl3,softhsm2

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/container"
state=$(cd "$target/container" && pwd)

say() {
    echo "build-image.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

command -v docker >/dev/null || fail "no Docker; install it: apt-get install docker.io"
docker version >/dev/null 2>&1 || fail "no Docker engine answers; start one: $here/engine.sh start"

# The image is named after this file as well, so that a change here makes a new one.
recipe=$(sha256sum "$0" | cut -c 1-16)
if [ "$(docker image inspect --format '{{index .Config.Labels "chancery.recipe"}}' "$image" 2>/dev/null)" = "$recipe" ]; then
    say "$image is there already"
    exit 0
fi

rootfs=$state/rootfs-$recipe.tar
if [ ! -f "$rootfs" ]; then
    command -v mmdebstrap >/dev/null || fail "no mmdebstrap; install it: apt-get install mmdebstrap"
    rm -f "$state"/rootfs-*
    # This machine's own mirror, where its sources are Debian 12's; else the default one.
    sources=
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ -z "$sources" ] && grep -q "^[^#]*\b$suite\b" "$file" 2>/dev/null; then
            sources=$file
        fi
    done
    say "making the root file system from ${sources:-the default mirror}: half a minute to two"
    # Nobody reads manuals in it.
    mmdebstrap --quiet --format=tar --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$rootfs.part" ${sources:+"$sources"} || fail "mmdebstrap failed; is Debian's mirror reachable?"
    mv "$rootfs.part" "$rootfs"
fi
docker import --change "LABEL chancery.recipe=$recipe" --change 'ENV container=docker' \
    --change 'CMD ["/lib/systemd/systemd"]' "$rootfs" "$image" >/dev/null
say "made $image"
