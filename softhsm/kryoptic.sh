#!/bin/sh
# Builds Kryoptic, a PKCS#11 software token written in Rust, to take SoftHSM's place in the tests. From the crate
# registry alone: Kryoptic needs a newer OpenSSL than Debian 12 has, so that of the openssl-src crate is linked into it.
#
# usage: kryoptic.sh     then: CHANCERY_TEST_MODULE=<the path it prints> cargo nextest run
#
# It runs at the lowest priority, takes about five minutes on two idle cores, and is done once.
set -eu

kryoptic=1.5.4
openssl=400.0.2

here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
mkdir -p "$target/kryoptic"
work=$(cd "$target/kryoptic" && pwd)
# Another version is another file.
module=$work/libkryoptic_pkcs11-$kryoptic.so

say() {
    echo "kryoptic.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

if [ -f "$module" ]; then
    echo "$module"
    exit 0
fi
for need in perl:perl make:make cc:gcc clang:libclang-dev; do
    command -v "${need%:*}" >/dev/null || fail "no ${need%:*}; install it: apt-get install perl make gcc clang libclang-dev"
done
renice -n 19 -p $$ >/dev/null

# A package that wants both crates, so that cargo fetches their sources with everything they need.
say "fetching sources"
mkdir -p "$work/recipe/src"
: >"$work/recipe/src/lib.rs"
cat >"$work/recipe/Cargo.toml" <<EOF
[package]
name = "recipe"
edition = "2024"

[dependencies]
kryoptic = { version = "=$kryoptic", default-features = false, features = ["standard", "pqc"] }
# Links OpenSSL statically when asked for without its feature \`dynamic\`.
ossl = { version = "=$kryoptic", features = ["ossl-sys"] }
openssl-src = "=$openssl"

[workspace]
EOF
(cd "$work/recipe" && cargo vendor --quiet "$work/vendor" >/dev/null) || fail "cargo could not fetch the sources"

if [ ! -f "$work/openssl/libcrypto.a" ]; then
    say "building OpenSSL ($(sed -n 's/^version = "[^+]*+\(.*\)"/\1/p' "$work/vendor/openssl-src/Cargo.toml" | head -n 1))"
    rm -rf "$work/openssl"
    cp -r "$work/vendor/openssl-src/openssl" "$work/openssl"
    # openssl-src leaves out what only tests, manuals and loadable modules need.
    (cd "$work/openssl" &&
        ./Configure no-shared no-module no-legacy no-apps no-docs no-tests no-dso -fPIC &&
        make -j2 build_libs) >"$work/openssl.log" 2>&1 || fail "OpenSSL does not build: $(tail -n 3 "$work/openssl.log")"
fi

say "building Kryoptic $kryoptic"
cp -r "$work/vendor/kryoptic" "$work/source.new"
rm -rf "$work/source"
mv "$work/source.new" "$work/source"
# Alone it is no member of the workspace above it, and its own manifest leaves the choice of OpenSSL to the builder.
sed -i '/^\[dependencies.ossl\]/a features = ["ossl-sys"]' "$work/source/Cargo.toml"
printf '\n[workspace]\n' >>"$work/source/Cargo.toml"
cp "$work/recipe/Cargo.lock" "$work/source/Cargo.lock"
(cd "$work/source" &&
    KRYOPTIC_OPENSSL_SOURCES=$work/openssl CARGO_TARGET_DIR=$work/build \
        cargo build --release --no-default-features --features standard,pqc) >"$work/kryoptic.log" 2>&1 ||
    fail "Kryoptic does not build: $(tail -n 3 "$work/kryoptic.log")"
mv "$work/build/release/libkryoptic_pkcs11.so" "$module"
# Half a gigabyte that nobody needs any more.
rm -rf "$work/build" "$work/openssl" "$work/recipe" "$work/source" "$work/vendor"
say "built; use it with: CHANCERY_TEST_MODULE=$module"
echo "$module"
