#!/bin/sh
# The proof on a real kernel. Builds a small one that loads nothing but modules with a good signature by a certificate in
# its keyring (MODULE_SIG_FORCE), with certificates of keys in a token; installs a module with `make modules_install`,
# where chancery-sign-file stands in place of scripts/sign-file; boots it in qemu, and lets it load modules, and open images
# by dm-verity and enable files by fs-verity, which `chancery sign cms` signed (verity.sh).
#
# The tree and what is built in it stay in target/kernel: a second run builds what the new certificates change.
# usage: tests/kernel/run.sh    (make test-kernel)
set -eu

cd "$(dirname "$0")/../.."
mkdir -p "${CARGO_TARGET_DIR:-target}/kernel"
kernel=$(cd "${CARGO_TARGET_DIR:-target}/kernel" && pwd)
house=$kernel/house
here=$PWD/tests/kernel
. scripts/private-daemon.sh
. tests/kernel/verity.sh

# The kernel's make is none of the one that called this.
unset MAKEFLAGS MAKELEVEL MFLAGS

tree=$kernel/linux
source=/usr/src/linux-source-6.1.tar.xz
# What qemu may take, in seconds: a second where KVM works, a few without it.
KVM_PATIENCE=20
TCG_PATIENCE=120

begin=$(date +%s)
step() {
    say "test-kernel: $(($(date +%s) - begin)) s: $*"
}

# in_tree TARGET...: make, whose words are told only if it fails.
in_tree() {
    make --silent -C "$tree" -j "$(nproc)" "$@" >"$kernel/make.log" 2>&1 || {
        tail -n 30 "$kernel/make.log" >&2
        fail "make $* failed; all of it is in $kernel/make.log"
    }
}

unpack() {
    [ -f "$source" ] || fail "there is no $source; install linux-source-6.1"
    version=$(dpkg-query --show linux-source-6.1 2>/dev/null || stat --format %Y "$source")
    [ "$(cat "$kernel/version" 2>/dev/null)" != "$version" ] || return 0
    step "unpacking $source"
    rm -rf "$tree" "$kernel/version" "$kernel/config"
    mkdir "$tree"
    # Two thirds are sources that this configuration never builds; Kconfig and Makefiles of all are needed.
    tar --extract --file "$source" --directory "$tree" --strip-components 1 --exclude '*/arch/[!x]*/*.[chS]' --exclude '*.dts*' \
        --exclude '*/drivers/gpu/*.[ch]' --exclude '*/drivers/media/*.[ch]' --exclude '*/drivers/net/*.[ch]' \
        --exclude '*/drivers/staging/*.[ch]' --exclude '*/sound/*.[ch]' --exclude '*/Documentation/*.rst' \
        --exclude '*/tools/testing/*' --exclude '*/tools/perf/*'
    echo "$version" >"$kernel/version"
}

configure() {
    ! cmp -s "$here/config" "$kernel/config" || return 0
    step "configuring"
    in_tree KCONFIG_ALLCONFIG="$here/config" allnoconfig
    # An option whose needs are not met is dropped without a word.
    grep -v '^#' "$here/config" | grep . | while read -r option; do
        grep -qxF "$option" "$tree/.config" || fail "the kernel's configuration has not $option"
    done
    cp "$here/config" "$kernel/config"
}

# The keys, each with its certificate in the tree; the configuration names two of them.
certify() {
    step "making a token with keys, starting chanceryd, and making certificates"
    ! daemon_runs || stop_daemon
    rm -rf "$house"
    make_house modules=rsa3072 modules-ec=p384 stranger=rsa2048
    start_daemon
    for key in modules modules-ec stranger; do
        chancery --quiet x509 self-sign "$key" --subject "CN=chancery test $key" --profile module --expires never \
            -o "$tree/certs/$key.pem"
    done
}

# install_modules FOLDER LINE: `make modules_install` with the words that docs/integrations/kernel-modules.md gives to it
# in its first or second line; the first names a key and its certificate, the second takes those of the configuration.
install_modules() {
    step "make modules_install with chancery-sign-file, as line $2 of docs/integrations/kernel-modules.md has it"
    sign=$(sed -n "s/^make modules_install cmd_sign='\(.*\)'\$/\1/p" docs/integrations/kernel-modules.md | sed -n "$2p")
    [ -n "$sign" ] || fail "docs/integrations/kernel-modules.md has no such line"
    sign=$(echo "$sign" | sed "s| modules /srv/modules.pem | modules-ec $tree/certs/modules-ec.pem |")
    in_tree modules_install INSTALL_MOD_PATH="$1" "cmd_sign=$sign"
    signed=$(find "$1" -name test_module.ko)
    [ -n "$signed" ] || fail "modules_install installed no module"
}

# The modules that the kernel will be given, as initramfs.
pack() {
    root=$kernel/root
    installed=$kernel/installed
    rm -rf "$root" "$installed"
    mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/modules"
    unsigned=$tree/lib/test_module.ko

    cp "$unsigned" "$root/modules/unsigned.ko"
    cp "$unsigned" "$root/modules/stranger.ko"
    chancery-sign-file sha512 stranger "$tree/certs/stranger.pem" "$root/modules/stranger.ko"
    install_modules "$installed/ec" 1
    cp "$signed" "$root/modules/signed-ec.ko"
    install_modules "$installed/rsa" 2
    cp "$signed" "$root/modules/signed.ko"
    # A byte in the middle of the module becomes another one.
    cp "$signed" "$root/modules/flipped.ko"
    at=$(($(stat --format %s "$unsigned") / 2))
    byte=$(od -An -tu1 -j "$at" -N 1 "$signed" | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$root/modules/flipped.ko" bs=1 seek="$at" conv=notrunc status=none
    [ "$(cmp -l "$signed" "$root/modules/flipped.ko" | wc -l)" = 1 ] || fail "not one byte differs"

    pack_verity
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp "$here/init.sh" "$root/init"
    chmod 755 "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$kernel/initramfs"
}

# boot ACCELERATOR SECONDS: the console's text; fails unless the machine came to its end.
boot() {
    step "booting in qemu with $1"
    rm -f "$kernel/console.raw"
    timeout --kill-after=5 "$2" qemu-system-x86_64 -accel "$1" -cpu max -m 256 -nic none -display none -monitor none \
        -serial "file:$kernel/console.raw" -no-reboot -kernel "$tree/arch/x86/boot/bzImage" -initrd "$kernel/initramfs" \
        -append "console=ttyS0 panic=-1 dm_verity.require_signatures=1" </dev/null >"$kernel/qemu.log" 2>&1 || true
    tr -d '\r' <"$kernel/console.raw" >"$kernel/console"
    grep -q '^kernel-test: end' "$kernel/console"
}

run() {
    # A machine within a machine has a /dev/kvm that may not work.
    if [ -w /dev/kvm ]; then
        ! boot kvm "$KVM_PATIENCE" || return 0
        step "KVM does not work here"
    fi
    boot tcg "$TCG_PATIENCE" || {
        tail -n 20 "$kernel/console" "$kernel/qemu.log" >&2
        fail "the kernel did not come to its end; its console is in $kernel/console"
    }
}

# verdict NAME VERDICT [MESSAGE]: what init says of a module, and the kernel's own words before it; none without.
verdict() {
    between=$(sed -n "/^kernel-test: try $1\$/,/^kernel-test: $1: /p" "$kernel/console")
    said=$(echo "$between" | sed -n "s/^kernel-test: $1: //p")
    reason=$(echo "$between" | sed -n 's/.*\] \(Loading of .*\)/\1/p' | sort -u)
    if [ "$said" != "$2" ] || [ "$reason" != "${3:-}" ]; then
        echo "$between" >&2
        fail "$1: expected \`$2\` and from the kernel \`${3:-nothing}\`"
    fi
    say "  $1: $said${reason:+ ($reason)}"
}

judge() {
    for key in modules modules-ec; do
        grep -q "Loaded X.509 cert 'chancery test $key: " "$kernel/console" || fail "the kernel has not loaded the certificate of $key"
    done
    rejected="refused: Key was rejected by service"
    verdict signed loaded
    verdict signed-ec loaded
    verdict unsigned "$rejected" "Loading of unsigned module is rejected"
    verdict flipped "$rejected"
    verdict stranger "$rejected" "Loading of module with unavailable key is rejected"
    # The module itself says so once for each time that it ran.
    ran=$(grep -c 'test_module: Hello, world' "$kernel/console")
    [ "$ran" = 2 ] || fail "the module ran $ran times, not 2"
    judge_verity
}

programs
trap 'stop_daemon' EXIT
trap 'exit 143' INT TERM
unpack
configure
certify
step "building the kernel"
in_tree bzImage modules
pack
stop_daemon
run
judge
step "exactly what has a good signature by a trusted key was loaded, opened and enabled"
