#!/bin/sh
# Installs the Debian packages that are named and not there yet, and says what it does. With nothing missing it says
# nothing and needs neither root nor the network.
#
# usage: apt.sh PACKAGE...
set -eu

say() {
    echo "apt.sh: $*" >&2
}

command -v dpkg-query >/dev/null || {
    say "this is not a Debian; install by hand what these packages hold: $*"
    exit 0
}

missing=
for package in "$@"; do
    case "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" in
    installed) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        say "missing, and neither root nor sudo to install it; as root: apt-get install --no-install-recommends$missing"
        exit 1
    }
    as_root=sudo
fi

say "installing Debian packages${as_root:+ with sudo}:$missing"
apt() {
    # shellcheck disable=SC2086 # no word when it is empty
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 "$@" </dev/null
}
apt update
# shellcheck disable=SC2086 # a list of packages
apt install --yes --no-install-recommends $missing >/dev/null || {
    say "apt-get could not install:$missing"
    exit 1
}
