# shellcheck shell=sh disable=SC2154
# A daemon of one's own: a SoftHSM token, a configuration, policy files and chanceryd, in one folder. Sourced by
# demo.sh and sandbox.sh, from the top of the repository.
#
# Whoever sources this sets `house`, the folder's absolute path, and gets: programs, make_house, start_daemon,
# stop_daemon, daemon_runs, and CHANCERY_SOCKET and CHANCERY_ADMIN_SOCKET.

# The name of a socket has at most 107 bytes, and a repository may stand deep.
sockets=$house
[ "${#house}" -le 85 ] || sockets=/tmp/chancery-$(id -u)-$(echo "$house" | cksum | cut -d ' ' -f 1)
export CHANCERY_SOCKET="$sockets/agent.sock"
export CHANCERY_ADMIN_SOCKET="$sockets/admin.sock"

say() {
    echo "$*"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

# Puts the programs that were built first in PATH.
programs() {
    target=${CARGO_TARGET_DIR:-target}
    bin=$(cd "$target/${CHANCERY_PROFILE:-debug}" 2>/dev/null && pwd) ||
        fail "nothing is built in $target/${CHANCERY_PROFILE:-debug}; build it: cargo build --workspace --bins"
    scripts/link-stand-ins.sh "$bin"
    PATH=$bin:$PATH
}

# make_house NAME=ALGORITHM...: a token with these keys, each allowed to whoever runs this. A key of the name `audit`
# seals the audit trail, and signs nothing else.
make_house() {
    mkdir -p "$house/keys.d"
    arguments=
    seal=
    for key in "$@"; do
        arguments="$arguments --key $key"
        case $key in audit=*) seal='checkpoint-key = "audit"' ;; esac
    done
    # shellcheck disable=SC2086 # a list of options
    softhsm-token create "$house/token" --label chancery $arguments >/dev/null
    # The PIN, and what the token signed, are nobody else's business.
    chmod 700 "$house"
    {
        echo 'state = "state"'
        echo '[audit]'
        echo 'directory = "audit"'
        echo "$seal"
        cat "$house/token/token.toml"
    } >"$house/chanceryd.toml"
    for key in "$@"; do
        cat >"$house/keys.d/${key%=*}.toml" <<POLICY
uri = "pkcs11:token=chancery;object=${key%=*};type=private"
description = "made by $(basename "$0")"
# SSH and X.509 sign with Ed25519 over the message itself.
inputs = ["digest", "message"]
created = $(date --utc +%Y-%m-%dT%H:%M:%SZ)

[[allow]]
who = ["user:$(id -u)"]
POLICY
    done
}

# Starts the daemon in a session of its own, so that it outlives this terminal, and returns when its token is ready.
start_daemon() {
    mkdir -p "$house/audit" "$house/state"
    [ -d "$sockets" ] || mkdir -m 700 "$sockets"
    [ -O "$sockets" ] && [ ! -L "$sockets" ] || fail "$sockets belongs to somebody else"
    setsid chanceryd --config "$house/chanceryd.toml" --socket "$CHANCERY_SOCKET" \
        --admin-socket "$CHANCERY_ADMIN_SOCKET" >"$house/log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$house/pid"
    tries=0
    # It waits a second for a daemon that does not answer yet.
    until chancery --quiet --wait 1 status >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -ge 40 ] || ! kill -0 "$pid" 2>/dev/null; then
            tail -n 5 "$house/log" >&2
            stop_daemon
            fail "chanceryd did not become ready; its last words are above, all of them in $house/log"
        fi
        sleep 0.2
    done
}

# Whether the process in the pid file is ours: the number may be another process's by now. One that has ended and that
# nobody has waited for has no command line any more.
daemon_runs() {
    [ -f "$house/pid" ] &&
        { tr '\0' '\n' <"/proc/$(cat "$house/pid")/cmdline"; } 2>/dev/null | grep -qxF "$house/chanceryd.toml"
}

# Ends the daemon, which finishes what it has begun, and waits until it has ended.
stop_daemon() {
    if daemon_runs; then
        kill "$(cat "$house/pid")"
        tries=0
        while daemon_runs; do
            tries=$((tries + 1))
            [ "$tries" -lt 150 ] || fail "chanceryd (process $(cat "$house/pid")) does not end; see $house/log"
            sleep 0.2
        done
    fi
    rm -f "$house/pid"
    [ "$sockets" = "$house" ] || rmdir "$sockets" 2>/dev/null || true
}
