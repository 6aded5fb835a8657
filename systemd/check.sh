#!/bin/sh
# Checks the unit files, alone and with each drop-in, with systemd's own tools. Needs no running systemd and changes
# nothing outside a temporary folder.
# usage: check.sh
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

fail() {
    echo "systemd/check.sh: $*" >&2
    exit 1
}

command -v systemd-analyze >/dev/null || fail "no systemd-analyze; install it: apt-get install systemd"

# A root of its own: what the units mention has to exist, and nothing of the host's shall be read.
"$here/install.sh" "$root" >/dev/null
for program in usr/sbin/chanceryd bin/sh; do
    install -D -m 755 /bin/true "$root/$program"
done
units="$root/usr/lib/systemd/system"
for target in sysinit basic sockets multi-user shutdown network-online nss-user-lookup time-sync; do
    printf '[Unit]\nDescription=stands in for the real one\n' >"$units/$target.target"
done
printf '[Socket]\nListenStream=/run/pcscd/pcscd.comm\n' >"$units/pcscd.socket"
cp "$units/chanceryd.service" "$units/pcscd.service"

verify() {
    said=$(systemd-analyze verify --man=no --root="$root" chanceryd.service chanceryd.socket chanceryd-admin.socket 2>&1) ||
        fail "$1: $said"
    [ -z "$said" ] || fail "$1: $said"
}

verify "the units"
# The threshold is in tenths.
said=$(systemd-analyze security --offline=true --root="$root" --no-pager --threshold=15 chanceryd.service) ||
    fail "chanceryd.service is exposed more than 1.5: $(echo "$said" | grep -v '^✓')"
exposure=$(echo "$said" | sed -n 's/.*exposure level for [^ ]*: \([0-9.]*\) .*/\1/p')
[ -n "$exposure" ] || fail "systemd-analyze security does not say how exposed chanceryd.service is"
echo "chanceryd.service: verified, exposure $exposure"

for example in "$here"/examples/*.conf; do
    install -D -m 644 -t "$units/chanceryd.service.d" "$example"
    verify "$example"
    rm -r "$units/chanceryd.service.d"
    echo "examples/$(basename "$example"): verified"
done

# A copy of an id would show one event's explanation under another.
ids=$(sed -n 's/^-- //p' "$here/chancery.catalog")
[ "$(echo "$ids" | sort -u | wc -l)" = "$(grep -c '^# [A-Z_]*$' "$here/chancery.catalog")" ] ||
    fail "chancery.catalog: every entry needs its own id and its name in the line before it"
journalctl --update-catalog --root="$root" || fail "chancery.catalog cannot be read"
echo "chancery.catalog: $(echo "$ids" | wc -l) messages"

mkdir "$root/etc"
said=$(systemd-sysusers --root="$root" 2>&1) || fail "sysusers.d/chancery.conf: $said"
grep -q '^chancery:' "$root/etc/passwd" && grep -q '^chancery-admin:' "$root/etc/group" || fail "sysusers.d made no user"
systemd-tmpfiles --root="$root" --create || fail "tmpfiles.d/chancery.conf"
[ "$(stat -c %a "$root/etc/chancery/keys.d")" = 750 ] || fail "tmpfiles.d made no keys.d"
echo "sysusers.d, tmpfiles.d: applied"
