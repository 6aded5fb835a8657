#!/bin/sh
# Boots a machine whose firmware (OVMF) can do Secure Boot, and prints what comes on its console. It tries to boot from
# each folder of FOLDER/disks, in the order of their names, until a program turns it off. The firmware's variables are
# kept in FOLDER/variables.fd; where there is none they begin empty, in setup mode.
#
# A disk's place in the order, from 1, is its PCI slot; by that the firmware names it on the console.
# usage: tests/efi/boot.sh FOLDER
set -eu

# What qemu may take, in seconds; without KVM a boot takes about five, and one of a kernel fifteen.
PATIENCE=150
firmware=/usr/share/OVMF

fail() {
    echo "error: $*" >&2
    exit 1
}

cd "$1"
[ -f variables.fd ] || cp "$firmware/OVMF_VARS_4M.fd" variables.fd
rm -f console.raw ./*.img
slot=0
set --
for folder in disks/*/; do
    slot=$((slot + 1))
    # In sectors of 512 bytes, with room for the file system.
    size=$(($(du -s --apparent-size --block-size=512 "$folder" | cut -f 1) + 2048))
    mformat -C -T "$size" -i "$slot.img" ::
    mcopy -s -i "$slot.img" "$folder"* ::
    set -- "$@" -drive "if=none,id=disk$slot,format=raw,file=$slot.img" \
        -device "virtio-blk-pci,drive=disk$slot,addr=$(printf %x "$slot"),bootindex=$slot"
done

# Secure Boot's variables can be written in system management mode alone (smm, secure); qemu has that mode without KVM too.
timeout --kill-after=5 "$PATIENCE" qemu-system-x86_64 -machine q35,smm=on,accel=tcg -cpu max -m 512 -nodefaults -no-reboot \
    -display none -serial file:console.raw -global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1 \
    -drive "if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.secboot.fd" \
    -drive if=pflash,format=raw,unit=1,file=variables.fd "$@" </dev/null >qemu.log 2>&1 || {
    tail -n 20 qemu.log console.raw >&2
    fail "the machine was not turned off in $PATIENCE seconds; its console is in $PWD/console.raw"
}
# Without what moves the cursor and sets colours.
sed 's/\x1b\[[0-9;=?]*[A-Za-z]//g' console.raw | tr -d '\r'
