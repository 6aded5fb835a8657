#!/bin/sh
# Builds the EFI programs of this folder with gnu-efi.
# usage: tests/efi/build.sh FOLDER
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
for program in hello steps; do
    gcc -I /usr/include/efi -I /usr/include/efi/x86_64 -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fpic \
        -fno-stack-protector -fshort-wchar -mno-red-zone -DGNU_EFI_USE_MS_ABI -maccumulate-outgoing-args \
        -c "$here/$program.c" -o "$program.o"
    ld -nostdlib -znocombreloc -shared -Bsymbolic -T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o "$program.o" \
        /usr/lib/libefi.a /usr/lib/libgnuefi.a -o "$program.so"
    objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel -j .rela -j '.rel.*' -j '.rela.*' -j .reloc \
        --target efi-app-x86_64 "$program.so" "$program.efi"
    rm "$program.o" "$program.so"
done
