#!/bin/sh
# A daemon to play with: chanceryd on a private SoftHSM token under target/sandbox.
#
# usage: sandbox.sh start    then: . target/sandbox/env
#        sandbox.sh stop
set -eu

cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
house=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/sandbox
. scripts/private-daemon.sh

keys="demo-rsa4096 demo-p256 demo-ed25519"

start() {
    programs
    if daemon_runs; then
        say "the sandbox runs already"
    else
        # A house that was left half made is made anew.
        if [ ! -f "$house/made" ]; then
            rm -rf "$house"
            say "making a SoftHSM token in $house with the keys $keys, and one for the audit trail"
            make_house demo-rsa4096=rsa4096 demo-p256=p256 demo-ed25519=ed25519 audit=p256
            touch "$house/made"
        fi
        start_daemon
    fi
    mkdir -p "$house/certs"
    for key in $keys; do
        # Made once and kept by the daemon, so that a second start writes the same.
        chancery --quiet openpgp make-cert "$key" --user-id "Chancery sandbox $key <$key@sandbox.invalid>" \
            --output "$house/certs/$key.asc"
        chancery --quiet key show "$key" --pem >"$house/certs/$key.pem"
    done
    chancery --quiet key show audit --pem >"$house/certs/audit.pem"
    cat >"$house/env" <<ENV
# To be sourced: chancery and chanceryd of this repository, and the sandbox's sockets.
export CHANCERY_SOCKET='$CHANCERY_SOCKET'
export CHANCERY_ADMIN_SOCKET='$CHANCERY_ADMIN_SOCKET'
case ":\$PATH:" in *:'$bin':*) ;; *) export PATH='$bin':"\$PATH" ;; esac
ENV
    say
    say "chanceryd runs (process $(cat "$house/pid")) and keeps running. To use it:"
    say
    say "    . $(shown "$house/env")"
    say "    chancery keys"
    say "    chancery sign rpm --key demo-rsa4096 PACKAGE.rpm"
    say "    chancery audit verify --public-key $(shown "$house/certs/audit.pem") $(shown "$house/audit")"
    say
    say "Certificates and public keys are in $(shown "$house/certs"), the daemon's log in $(shown "$house/log")."
    say "Stop it with: make sandbox-stop"
}

stop() {
    if daemon_runs; then
        stop_daemon
        say "the sandbox's chanceryd has ended; its token and keys stay in $(shown "$house")"
    else
        rm -f "$house/pid"
        say "the sandbox does not run"
    fi
}

# A path as seen from here.
shown() {
    echo "${1#"$PWD"/}"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*) fail "usage: sandbox.sh start|stop" ;;
esac
