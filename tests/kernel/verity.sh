# shellcheck shell=sh disable=SC2154
# dm-verity and fs-verity: what the kernel under test is given, signed by `chancery sign cms`, and what it has to say of it.
# Sourced by run.sh.

# pack_verity: into the initramfs, with the kernel's own tools and their libraries.
pack_verity() {
    step "signing a root hash for dm-verity, and files for fs-verity"
    verity=$root/verity
    mkdir -p "$verity" "$root/run" "$root/tmp" "$root/mnt" "$root/sys"
    seq 200000 >"$verity/image"
    truncate --size 2M "$verity/image"
    veritysetup format "$verity/image" "$verity/image.tree" --root-hash-file="$verity/roothash" >/dev/null
    printf %s "$(tr '0-9a-f' '1-9a-f0' <"$verity/roothash")" >"$kernel/another-roothash"
    bare="--no-attributes --no-certificates"
    # shellcheck disable=SC2086 # two options
    {
        chancery --quiet sign cms --key modules $bare -o "$verity/signed.p7s" "$verity/roothash"
        chancery --quiet sign cms --key modules-ec $bare -o "$verity/signed-ec.p7s" "$verity/roothash"
        chancery --quiet sign cms --key modules $bare -o "$verity/another.p7s" "$kernel/another-roothash"
        chancery --quiet sign cms --key stranger $bare -o "$verity/stranger.p7s" "$verity/roothash"
    }
    seq 9999 >"$verity/file"
    seq 9998 >"$kernel/another-file"
    verity_signature modules "$verity/file" "$verity/signed.sig"
    verity_signature modules-ec "$verity/file" "$verity/signed-ec.sig"
    verity_signature modules "$kernel/another-file" "$verity/another.sig"
    verity_signature stranger "$verity/file" "$verity/stranger.sig"
    for key in modules modules-ec; do
        openssl x509 -in "$tree/certs/$key.pem" -outform DER -out "$verity/$key.der"
    done
    rm -f "$verity/disk"
    mke2fs -q -t ext4 -O verity,^has_journal -b 4096 "$verity/disk" 8M >/dev/null
    cp "$here/verity-init.sh" "$verity/init.sh"
    for tool in veritysetup fsverity keyctl; do
        carry "$(command -v "$tool")"
    done
}

# verity_signature KEY FILE SIGNATURE: the line of docs/integrations/cms.md.
verity_signature() {
    fsverity digest --for-builtin-sig --compact "$2" | xxd -r -p |
        chancery sign cms --key "$1" --pkcs7 --no-attributes --no-certificates >"$3"
}

# carry PROGRAM: into the initramfs, with its libraries.
carry() {
    cp "$1" "$root/bin/"
    ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp --dereference "$library" "$root$library"
    done
}

judge_verity() {
    verdict dm-verity-signed opened
    verdict dm-verity-signed-ec opened
    verdict dm-verity-unsigned "refused: Required key not available"
    verdict dm-verity-another "refused: Key was rejected by service"
    verdict dm-verity-stranger "refused: Required key not available"
    verdict fs-verity-signed enabled
    verdict fs-verity-signed-ec enabled
    verdict fs-verity-unsigned "refused: Operation not permitted"
    verdict fs-verity-another "refused: Key was rejected by service"
    verdict fs-verity-stranger "refused: Required key not available"
}
