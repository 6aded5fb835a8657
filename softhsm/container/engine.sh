#!/bin/sh
# Starts a Docker engine for the container tests if none runs, and stops what it started.
#
# usage: engine.sh start    then: . target/container/engine.env (it sets DOCKER_HOST)
#        engine.sh stop
#
# The engine is private: its own socket, no network, its images under target/container. Nothing of the machine's own
# Docker, if there is one, is touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/container"
state=$(cd "$target/container" && pwd)
# Sockets have short paths (108 bytes), so they cannot stand under target.
run=/run/chancery-engine
socket=unix://$run/docker.sock

say() {
    echo "engine.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

answers() {
    DOCKER_HOST=$1 docker version >/dev/null 2>&1
}

start() {
    command -v docker >/dev/null && command -v dockerd >/dev/null || fail "no Docker; install it: apt-get install docker.io"
    for host in "${DOCKER_HOST:-unix:///var/run/docker.sock}" "$socket"; do
        if answers "$host"; then
            echo "export DOCKER_HOST=$host" >"$state/engine.env"
            say "an engine already runs at $host; using it"
            return
        fi
    done
    [ "$(id -u)" = 0 ] || fail "starting an engine needs root: sudo $0 start (or start Docker yourself)"

    mkdir -p "$run"
    say "no engine runs; starting one at $socket"
    dockerd --host "$socket" --data-root "$state/engine" --exec-root "$run/exec" --pidfile "$run/docker.pid" \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        >"$state/engine.log" 2>&1 </dev/null &
    pid=$!
    tries=0
    until answers "$socket"; do
        kill -0 "$pid" 2>/dev/null || fail "the engine ended; the end of $state/engine.log: $(tail -n 3 "$state/engine.log")"
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || { kill "$pid"; fail "the engine did not answer in 30 seconds; see $state/engine.log"; }
        sleep 0.2
    done
    # Only now is it ours to stop.
    echo "$pid" >"$state/engine.pid"
    echo "export DOCKER_HOST=$socket" >"$state/engine.env"
    say "started (process $pid); stop it with: $0 stop"
}

stop() {
    rm -f "$state/engine.env"
    if [ ! -f "$state/engine.pid" ]; then
        say "nothing to stop: no engine was started from here"
        return
    fi
    pid=$(cat "$state/engine.pid")
    rm -f "$state/engine.pid"
    # The number may be another process's by now.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ]; then
        say "the engine (process $pid) had already ended"
        return
    fi
    kill "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || fail "the engine (process $pid) does not end; see $state/engine.log"
        sleep 0.2
    done
    rm -rf "$run"
    say "stopped (process $pid); its images stay in $state/engine for the next start"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*) fail "usage: engine.sh start|stop" ;;
esac
