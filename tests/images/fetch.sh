#!/bin/sh
# Fetches images as Debian signed them, out of packages that are not installed: kernels would be put into the boot menu,
# and one of these is for another processor. apt's own lists are neither used nor changed, so this needs no root.
#
#   vmlinuz-amd64, vmlinuz-arm64   kernels for clouds, the smallest, signed by Debian
#   shimx64.efi.signed             signed twice by Microsoft
#
# usage: tests/images/fetch.sh FOLDER
set -eu

[ ! -f "$1/shimx64.efi.signed" ] || exit 0
command -v apt-get >/dev/null || {
    echo "fetch.sh: this is not a Debian; put the files that tests/images/fetch.sh names into $1 by hand" >&2
    exit 0
}
echo "fetch.sh: fetching Debian's kernels and shim into $1" >&2
mkdir -p "$1"
work=$(mktemp -d "$1/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
cd "$work"

apt() {
    tool=$1
    shift
    "$tool" --quiet=2 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o Dir::State="$work/state" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User= "$@" </dev/null
}
# The package of this version that a package without one stands for.
current() {
    apt apt-cache depends "$1" | sed -n 's/.*Depends: *//p'
}
apt apt-get update
apt apt-get download "$(current linux-image-cloud-amd64:amd64)" "$(current linux-image-cloud-arm64:arm64)" shim-signed:amd64 >/dev/null
for package in ./*.deb; do
    dpkg-deb --extract "$package" unpacked
done
for processor in amd64 arm64; do
    mv unpacked/boot/vmlinuz-*-"$processor" ../vmlinuz-"$processor"
done
# The last, as its being there says that all are.
mv unpacked/usr/lib/shim/shimx64.efi.signed ..
