#!/bin/busybox sh
# shellcheck shell=dash
# The first and only process of the kernel under test: tries each module, says on the console what became of it, and
# resets the machine, which ends it (qemu -no-reboot). What the kernel says of a module stands between its `try` and its verdict.
/bin/busybox --install -s /bin
mount -t proc proc /proc

for module in /modules/*.ko; do
    name=$(basename "$module" .ko)
    echo "kernel-test: try $name"
    if said=$(insmod "$module" 2>&1); then
        # What is loaded is told by the kernel, not by insmod.
        while read -r loaded _; do
            [ "$loaded" != test_module ] || echo "kernel-test: $name: loaded"
        done </proc/modules
        rmmod test_module
    else
        echo "kernel-test: $name: refused: ${said##*: }"
    fi
done
. /verity/init.sh
echo "kernel-test: end"
reboot -f
