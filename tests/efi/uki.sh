#!/bin/sh
# Makes a unified kernel image of a kernel, systemd's stub, and an initrd that says on the console that it runs and turns the
# machine off.
# usage: tests/efi/uki.sh KERNEL OUT
set -eu

stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/bin" "$work/root/dev" "$work/root/proc"
cp "$(command -v busybox)" "$work/root/bin/"
cat >"$work/root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
echo "init: runs, as $(/bin/busybox cat /proc/cmdline) says" >/dev/ttyS0
/bin/busybox poweroff -f
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"
# No answers from devices that a virtual machine has not.
printf '%s' 'console=ttyS0 panic=-1 letter=A' >"$work/cmdline"
echo 'ID=test' >"$work/osrel"

# Where the stub of this version expects nothing else (systemd-stub(7)).
objcopy --add-section .osrel="$work/osrel" --change-section-vma .osrel=0x20000 \
    --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
    --add-section .linux="$1" --change-section-vma .linux=0x2000000 \
    --add-section .initrd="$work/initrd" --change-section-vma .initrd=0x4000000 "$stub" "$2"
