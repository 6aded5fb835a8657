#!/bin/busybox sh
# shellcheck shell=dash
# In the kernel under test: opens a disk image and enables a file, each with every signature, and says on the console what
# became of it. What is good is read, too.
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
export DM_DISABLE_UDEV=1
cd /verity || exit

# attempt NAME WORD COMMAND...: says WORD if the command succeeds, or the end of what was said against it.
attempt() {
    name=$1
    word=$2
    shift 2
    echo "kernel-test: try $name"
    if said=$("$@" 2>&1); then
        echo "kernel-test: $name: $word"
    else
        echo "kernel-test: $name: refused: ${said##*: }"
    fi
}

open_image() {
    case $1 in
    unsigned) set -- "$1" ;;
    *) set -- "$1" "--root-hash-signature=$1.p7s" ;;
    esac
    name=$1
    shift
    veritysetup open image "dm-$name" image.tree "$(cat roothash)" "$@" || return
    cmp /dev/mapper/"dm-$name" image
}

enable_file() {
    cp file "/mnt/$1"
    case $1 in
    unsigned) fsverity enable "/mnt/$1" || return ;;
    *) fsverity enable "/mnt/$1" --signature="$1.sig" || return ;;
    esac
    cmp "/mnt/$1" file
}

for case in signed signed-ec unsigned another stranger; do
    attempt "dm-verity-$case" opened open_image "$case"
done

for key in modules modules-ec; do
    keyctl padd asymmetric "" %keyring:.fs-verity <"$key.der" >/dev/null
done
echo 1 >/proc/sys/fs/verity/require_signatures
mount -t ext4 -o loop disk /mnt
for case in signed signed-ec unsigned another stranger; do
    attempt "fs-verity-$case" enabled enable_file "$case"
done
