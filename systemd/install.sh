#!/bin/sh
# Installs the unit files and what belongs to them; the program itself is not among them.
# usage: install.sh [DESTDIR]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
lib="${1:-}/usr/lib"

install -D -m 644 -t "$lib/systemd/system" "$here"/chanceryd.service "$here"/chanceryd.socket \
    "$here"/chanceryd-admin.socket
install -D -m 644 -t "$lib/sysusers.d" "$here"/sysusers.d/chancery.conf
install -D -m 644 -t "$lib/tmpfiles.d" "$here"/tmpfiles.d/chancery.conf
install -D -m 644 -t "$lib/systemd/catalog" "$here"/chancery.catalog
install -D -m 644 -t "${1:-}/usr/share/doc/chancery/examples" "$here"/examples/*.conf
echo "installed Chancery's unit files under ${1:-/}"
