#!/bin/sh
# From a token to signed packages, with the tools of their consumers as judges. Everything stays under target/demo; the
# daemon ends with this script. It fails where a judge does not say what it should.
#
# usage: demo.sh
set -eu

cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
house=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/demo
. scripts/private-daemon.sh
programs

# The judges speak English here, and have nothing of this user's settings.
export LC_ALL=C
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

step() {
    say
    say "== $*"
}

# Shows a command and runs it.
run() {
    say "\$ $*"
    "$@"
}

# judge PATTERN COMMAND...: shows what a judge says. It has to end well and to say PATTERN, an extended regular
# expression that one whole line matches.
judge() {
    pattern=$1
    shift
    say "\$ $*"
    "$@" >said 2>&1 || {
        cat said
        fail "$1 refuses what it should accept"
    }
    cat said
    grep -qxE -- "$pattern" said || fail "$1 does not say: $pattern"
}

# refuse PATTERN COMMAND...: has to fail, saying PATTERN.
refuse() {
    pattern=$1
    shift
    say "\$ $*"
    if "$@" >said 2>&1; then
        cat said
        fail "$1 accepts what was changed"
    fi
    cat said
    grep -qE -- "$pattern" said || fail "$1 does not say: $pattern"
}

# Changes one bit of a file's byte at an offset.
flip() {
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # an octal escape is made
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

stop_daemon
rm -rf "$house"
mkdir -p "$house"

step "a SoftHSM token with three keys: release (RSA-4096), repo (Ed25519) and audit (P-256)"
make_house release=rsa4096 repo=ed25519 audit=p256
say "made in $house/token; the keys cannot leave it, and only chanceryd knows its PIN"

step "chanceryd, which alone talks to the token"
start_daemon
samples=$PWD/tests/samples
mkdir "$house/work"
cd "$house/work"
say "process $(cat "$house/pid"), socket $CHANCERY_SOCKET"
run chancery keys

step "OpenPGP certificates for the keys, signed inside the token"
run chancery openpgp make-cert release --user-id "Demo Packages <packages@demo.invalid>" --output release.asc
run chancery openpgp make-cert repo --user-id "Demo Repository <repository@demo.invalid>" --output repo.asc

step "packages: one made here with rpmbuild, and those of tests/samples, signed by their distributions until now"
cat >hello.spec <<'SPEC'
Name: hello
Version: 1.0
Release: 1
Summary: Says hello
License: MIT
BuildArch: noarch
%description
Says hello.
%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\necho hello\n' >%{buildroot}/usr/bin/hello
%files
%attr(755, -, -) /usr/bin/hello
SPEC
HOME=$PWD rpmbuild -bb --quiet --define "_topdir $PWD/rpmbuild" hello.spec >rpmbuild.log 2>&1 || {
    cat rpmbuild.log
    fail "rpmbuild failed"
}
cp rpmbuild/RPMS/noarch/*.rpm .
for sample in "$samples"/*.rpm; do
    [ ! -f "$sample" ] || cp "$sample" .
done
run chancery sign rpm --key release ./*.rpm

step "rpm is the judge"
mkdir db
run rpm --dbpath "$PWD/db" --import release.asc
for package in ./*.rpm; do
    judge ' *Header V4 RSA/SHA[0-9]+ Signature, key ID [0-9a-f]+: OK' rpm --dbpath "$PWD/db" -Kv "$package"
    # Every line after the name is a digest or a signature.
    ! sed 1d said | grep -qvE ': OK$' || fail "rpm does not say OK in every line"
done
cp ./hello-*.rpm changed.rpm
flip changed.rpm $(($(stat -c %s changed.rpm) - 9))
refuse 'NOT OK|BAD' rpm --dbpath "$PWD/db" -K changed.rpm
say "(as it should: one bit of that copy was changed)"

step "a text file, signed with the Ed25519 key; gpg is the judge"
printf 'Chancery signed this.\n' >note.txt
run chancery sign openpgp --key repo --clear note.txt --output note.clear.asc
run chancery sign openpgp --key repo note.txt
run gpg --batch --quiet --import repo.asc
# As one would say with `gpg --edit-key`: this key is ours.
gpg --batch --with-colons --list-keys | awk -F: '/^fpr/ { print $10 ":6:" }' | gpg --batch --quiet --import-ownertrust
gpg --batch --quiet --check-trustdb 2>/dev/null
good='gpg: Good signature from "Demo Repository <repository@demo.invalid>" \[ultimate\]'
judge "$good" gpg --batch --verify note.clear.asc
judge "$good" gpg --batch --verify note.txt.asc note.txt
printf 'Somebody else wrote this.\n' >note.txt
refuse 'BAD signature' gpg --batch --verify note.txt.asc note.txt
say "(as it should: the file was changed)"

step "the audit trail: every signature has its record"
chancery key show audit --pem >audit.pem
# A checkpoint is sealed at the end.
stop_daemon
judge 'checkpoints [1-9][0-9]*, all good; .*' chancery audit verify --public-key audit.pem "$house/audit"
cp -r "$house/audit" audit-changed
for file in audit-changed/*.jsonl; do
    flip "$file" $(($(stat -c %s "$file") / 2))
done
refuse error chancery audit verify --public-key audit.pem audit-changed
say "(as it should: one bit of that copy was changed)"

step "all judges agree. What you would type next:"
say
say "    make sandbox                                         # a daemon of your own, which keeps running"
say "    . target/sandbox/env                                 # its sockets, and chancery in PATH"
say "    chancery sign rpm --key demo-rsa4096 PACKAGE.rpm     # any package of yours"
