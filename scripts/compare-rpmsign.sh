#!/bin/sh
# Measures, in one run on one machine, how long it takes to sign many copies of a package with an RSA-4096 key:
#
#   gpg            rpmsign --addsign with gpg and a warm gpg-agent
#   chancery-gpg   rpmsign --addsign with chancery-gpg in gpg's place
#   sign-rpm       chancery sign rpm
#
# The sides take turns, each on fresh copies, and rpm -Kv judges every copy. Told are the medians of the rounds with the
# shortest and the longest, and how much faster than gpg the others are. The token is SoftHSM's. The programs come from
# target/release, or from target/debug if there are none, which says little about speed.
#
# usage: compare-rpmsign.sh [ROUNDS [COPIES [PACKAGE]]]     5 rounds of 100 copies of a sample package unless told
set -eu

rounds=${1:-5}
copies=${2:-100}
cd "$(dirname "$0")/.."
package=$(realpath "${3:-tests/samples/Imath-3.1.4-1.oe2303.x86_64.rpm}")
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
[ -n "${CHANCERY_PROFILE:-}" ] || [ ! -x "$target/release/chanceryd" ] || CHANCERY_PROFILE=release
export CHANCERY_PROFILE="${CHANCERY_PROFILE:-debug}"
house=$(cd "$target" && pwd)/compare-rpmsign
. scripts/private-daemon.sh
programs

export LC_ALL=C
# rpm warns where it cannot tell gpg the terminal.
export GPG_TTY=none
# gpg's sockets have short names (107 bytes).
GNUPGHOME=$(mktemp -d /tmp/chancery-gpg-XXXXXX)
export GNUPGHOME

leave() {
    stop_daemon
    gpgconf --kill all 2>/dev/null || true
    rm -rf "$GNUPGHOME"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

stop_daemon
rm -rf "$house"
mkdir -p "$house"
make_house release=rsa4096
start_daemon
mkdir "$house/bin" "$house/db" "$house/times"
# shellcheck disable=SC2154 # programs sets it
ln -s "$bin/chancery" "$house/bin/chancery-gpg"

chancery openpgp make-cert release --user-id 'Ours <ours@demo.invalid>' --output "$house/ours.asc" >/dev/null 2>&1
gpg --batch --quiet --passphrase '' --quick-gen-key 'Theirs <theirs@demo.invalid>' rsa4096 sign never 2>/dev/null
gpg --batch --armor --export theirs@demo.invalid >"$house/theirs.asc"
rpm --dbpath "$house/db" --import "$house/ours.asc" "$house/theirs.asc"

with_gpg() {
    rpmsign --define "__gpg $(command -v gpg)" --define '_gpg_name theirs@demo.invalid' --addsign "$@"
}
with_chancery_gpg() {
    rpmsign --define "__gpg $house/bin/chancery-gpg" --define '_gpg_name release' --addsign "$@"
}
with_sign_rpm() {
    chancery sign rpm --key release "$@"
}

# one SIDE: signs fresh copies with it, and prints how many milliseconds that took.
one() {
    rm -rf "$house/work"
    mkdir "$house/work"
    copy=1
    while [ "$copy" -le "$copies" ]; do
        cp "$package" "$house/work/$copy.rpm"
        copy=$((copy + 1))
    done
    # What others have written is not waited for below.
    sync
    begin=$(date +%s%N)
    "with_$1" "$house"/work/*.rpm >"$house/said" 2>&1 || {
        cat "$house/said" >&2
        fail "$1 does not sign"
    }
    end=$(date +%s%N)
    rpm --dbpath "$house/db" -Kv "$house"/work/*.rpm >"$house/judged" 2>&1 || fail "rpm refuses what $1 signed: $house/judged"
    signed=$(grep -c ' Header V4 RSA/SHA[0-9]* Signature, key ID [0-9a-f]*: OK$' "$house/judged")
    [ "$signed" = "$copies" ] || fail "rpm finds $signed of $copies packages of $1 signed: $house/judged"
    ! grep '^ ' "$house/judged" | grep -qv ': OK$' || fail "rpm does not say OK in every line about $1: $house/judged"
    echo $(((end - begin) / 1000000))
}

say "$copies copies of $(basename "$package") ($(stat -c %s "$package") bytes), $rounds rounds; programs of $bin"
sides="gpg chancery_gpg sign_rpm"
# Once without a clock: caches and the agent are warm then.
for side in $sides; do
    one "$side" >/dev/null
done
round=1
while [ "$round" -le "$rounds" ]; do
    line="round $round:"
    for side in $sides; do
        time=$(one "$side")
        echo "$time" >>"$house/times/$side"
        line="$line  $side $time ms"
    done
    say "$line"
    round=$((round + 1))
    # Another one begins.
    sides="${sides#* } ${sides%% *}"
done

# median SIDE; the lower one of two in the middle.
median() {
    sort -n "$house/times/$1" | sed -n "$(((rounds + 1) / 2))p"
}
gpg=$(median gpg)
for side in gpg chancery_gpg sign_rpm; do
    sort -n "$house/times/$side" | awk -v side="$side" -v median="$(median "$side")" -v gpg="$gpg" -v copies="$copies" '
        NR == 1 { least = $1 }
        END {
            printf "%-13s median %6d ms (%d-%d), %.2f ms a package, %.2f times as fast as gpg\n",
                side, median, least, $1, median / copies, gpg / (median ? median : 1)
        }'
done
