#!/bin/sh
# Builds and runs the fuzz targets on stable Rust: LLVM's coverage pass, which rustc can be asked for, and libFuzzer's
# runtime. Without a sanitizer: the workspace forbids unsafe code, so that what can go wrong is a panic, an overflow,
# a hang or memory without end, all of which libFuzzer sees.
#
# usage: fuzz.sh build
#        fuzz.sh run SECONDS [TARGET...]        inputs that broke something are left in target/fuzz/findings
set -eu

cd "$(dirname "$0")/.."
# Its own folder: these flags would build everything else anew.
out=${CARGO_TARGET_DIR:-target}/fuzz
# Named, so that the flags are kept from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')

build() {
    # Optimised, with the checks of a debug build.
    RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares" \
        CARGO_PROFILE_DEV_OPT_LEVEL=2 CARGO_PROFILE_DEV_INCREMENTAL=false \
        cargo build ${CI:+--locked} --target-dir "$out" --target "$host" \
        --package chancery-fuzz --features targets --bins
}

run() {
    seconds=$1
    shift
    mkdir -p "$out/findings"
    failed=
    # shellcheck disable=SC2046 # one word for each target
    [ $# -gt 0 ] || set -- $(targets)
    for target in "$@"; do
        corpus=$out/corpus/$target
        mkdir -p "$corpus"
        seed "$target" "$corpus"
        echo "== $target, $seconds seconds"
        # A package of 72 KiB is the longest seed; frames have 64 KiB.
        log=$out/$target.log
        if "$out/$host/debug/fuzz-$(echo "$target" | tr _ -)" "$corpus" \
            -max_total_time="$seconds" -max_len=131072 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
            -artifact_prefix="$out/findings/$target-" >"$log" 2>&1 </dev/null; then
            grep -E '^Done|new_units_added|peak_rss' "$log"
        else
            tail -n 30 "$log"
            failed="$failed $target"
        fi
    done
    if [ -n "$failed" ]; then
        echo "error: broken:$failed; the inputs are in $out/findings" >&2
        echo "hint: copy an input to fuzz/seeds/TARGET; \`cargo nextest run -p chancery-fuzz\` then runs it" >&2
        exit 1
    fi
}

# Puts the target's seeds into its corpus: its own, and the golden messages and sample packages that are meant for it.
# fuzz/tests/seeds.rs takes the same.
seed() {
    [ ! -d "fuzz/seeds/$1" ] || cp "fuzz/seeds/$1"/* "$2"
    case $1 in
    frame) cp protocol/vectors/*.bin "$2" ;;
    rpm) cp tests/samples/*.rpm "$2" ;;
    hello | agent_* | admin_*)
        for vector in "protocol/vectors/${1%%_*}"-*.bin; do
            # The message type, then the body.
            { tail -c +6 "$vector" | head -c 1; tail -c +13 "$vector"; } >"$2/$(basename "$vector")"
        done
        ;;
    esac
}

targets() {
    for file in fuzz/targets/*.rs; do
        basename "$file" .rs
    done
}

case "${1:-}" in
build) build ;;
run)
    build
    shift
    run "$@"
    ;;
*)
    echo "usage: fuzz.sh build | run SECONDS [TARGET...]" >&2
    exit 2
    ;;
esac
