//! Our packages beside those of rpmsign: the same bytes.
#![cfg(feature = "rpm")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chancery_formats::openpgp::SigningKey;
use chancery_formats::rpm::{Error, Existing, Options, Package, Prepared, SignatureKind};
use chancery_protocol::{Algorithm, Hash};
use support::gpg::Gpg;
use support::header::{signature_data, with_signature_header};
use support::rpm::{BUILDS, build, packages, rpmsign, write_out};
use support::{have, parsed, write};
use tempfile::TempDir;

const RSA: u32 = 268;
const DSA: u32 = 267;
const PGP: u32 = 1002;
const GPG: u32 = 1005;

#[test]
fn packages_come_out_byte_for_byte_as_from_rpmsign() {
    if !have(&["rpm", "rpmbuild", "rpmsign", "gpg", "gpgconf"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut packages = packages(folder.path());
    packages.push(without_reserved_space(&packages[0]));
    for (name, algorithm) in
        [("rsa2048", Algorithm::Rsa2048), ("rsa4096", Algorithm::Rsa4096), ("ed25519", Algorithm::Ed25519)]
    {
        let gpg = Gpg::new();
        let certificate = gpg.generate(name);
        let key =
            SigningKey::from_certificate(&parsed(&certificate), &support::gpg_public(&certificate)).unwrap();
        for original in &packages {
            for v3 in [false, true] {
                let also = if v3 { vec![SignatureKind::V3] } else { vec![] };
                let action: &[&str] = if v3 { &["--addsign", "--rpmv3"] } else { &["--addsign"] };
                let theirs = original.with_extension("theirs");
                fs::copy(original, &theirs).unwrap();
                rpmsign(&gpg, action, &theirs);
                compare(&key, algorithm, original, &theirs, &also);

                // Signed once more, with the other signature gone, and once without any.
                let again = original.with_extension("again");
                fs::copy(&theirs, &again).unwrap();
                rpmsign(&gpg, &["--delsign"], &again);
                let edited = Package::open(&theirs).unwrap().0.without_signatures().unwrap();
                assert_same(&write_out(&edited, &theirs), &again, original);
            }
        }
    }
}

/// Puts the signatures that rpmsign got from gpg into the original, and expects rpmsign's file.
fn compare(key: &SigningKey, algorithm: Algorithm, original: &Path, theirs: &Path, also: &[SignatureKind]) {
    let mut expected = fs::read(theirs).unwrap();
    let (header_tag, whole_tag) = if algorithm == Algorithm::Ed25519 { (DSA, GPG) } else { (RSA, PGP) };
    let wanted = if also.is_empty() { vec![header_tag] } else { vec![header_tag, whole_tag] };
    let packets: Vec<_> = wanted.iter().map(|&tag| signature_data(&expected, tag).unwrap()).collect();
    let signatures: Vec<_> = packets.iter().map(|bytes| support::packet(bytes)).collect();
    let raw: Vec<_> = signatures.iter().map(|signature| support::raw(signature.mpis(), algorithm)).collect();
    let hash = *Hash::ALL
        .iter()
        .find(|hash| format!("{}", signatures[0].hash_algo()) == hash.as_str().to_uppercase())
        .unwrap();

    let created = support::created(&signatures[0]);
    let options = Options { hash: Some(hash), also: also.to_vec(), existing: Existing::Replace };
    let (package, file) = Package::open(original).unwrap();
    let Prepared::Pending(pending) = package.prepare(&options, key, created, &file).unwrap() else {
        panic!("not signed by this key before")
    };
    let edited =
        pending.finish(&raw).unwrap_or_else(|error| panic!("{} {also:?}: {error}", original.display()));
    let ours = write_out(&edited, original);

    // gpg writes a packet's header in the legacy format, of the same length: the one difference there may be.
    for (packet, tag) in packets.iter().zip(wanted) {
        let new = signature_data(&fs::read(&ours).unwrap(), tag).unwrap();
        assert_eq!(new.len(), packet.len());
        let header = if packet[0] == 0x88 { 2 } else { 3 };
        assert_eq!(new[header..], packet[header..]);
        let at = expected.windows(packet.len()).position(|window| window == &packet[..]).unwrap();
        expected[at..at + header].copy_from_slice(&new[..header]);
    }
    let expected = write(original.parent().unwrap(), "expected", &expected);
    assert_same(&ours, &expected, original);

    let in_place = original.with_extension("inplace");
    fs::copy(original, &in_place).unwrap();
    let file = File::options().read(true).write(true).open(&in_place).unwrap();
    if edited.fits_in_place() {
        edited.write_in_place(&file).unwrap();
        assert_same(&in_place, &expected, original);
    } else {
        assert!(matches!(edited.write_in_place(&file), Err(Error::DoesNotFit)));
        assert_same(&in_place, original, original);
    }
}

/// Compares byte for byte, but for one thing: when a file has to grow or shrink, rpmsign 4.18 makes a new lead with the
/// architecture of the machine that signs, even for noarch. We keep the lead, as rpmsign does from 6.0 on.
fn assert_same(ours: &Path, theirs: &Path, original: &Path) {
    let (ours, mut theirs) = (fs::read(ours).unwrap(), fs::read(theirs).unwrap());
    assert_eq!(ours.len(), theirs.len(), "{}", original.display());
    if !original.to_string_lossy().contains("-1.0-1.x86_64.") {
        let architecture_and_name = 8..76;
        theirs[architecture_and_name.clone()].copy_from_slice(&ours[architecture_and_name]);
    }
    let different = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    assert_eq!(different, None, "{}: first different byte", original.display());
}

/// The package with its reserved space taken out, as an old rpm would have built it.
fn without_reserved_space(original: &Path) -> PathBuf {
    let package = with_signature_header(&fs::read(original).unwrap(), |tag| tag != 1008);
    write(original.parent().unwrap(), "bare-1.0-1.x86_64.rpm", package)
}

#[test]
fn signing_anew_with_another_key_comes_out_as_from_rpmsign() {
    if !have(&["rpm", "rpmbuild", "rpmsign", "gpg", "gpgconf"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let keys = [
        ("rsa2048", Algorithm::Rsa2048),
        ("rsa4096", Algorithm::Rsa4096),
        ("ed25519", Algorithm::Ed25519),
        ("rsa2048", Algorithm::Rsa2048),
    ];
    let keys = keys.map(|(name, algorithm)| {
        let gpg = Gpg::new();
        let certificate = gpg.generate(name);
        let key =
            SigningKey::from_certificate(&parsed(&certificate), &support::gpg_public(&certificate)).unwrap();
        (gpg, key, algorithm)
    });
    for recipe in BUILDS {
        let original = build(folder.path(), recipe);
        for (first, ..) in &keys {
            for (second, key, algorithm) in keys.iter().filter(|(gpg, ..)| gpg.home() != first.home()) {
                // The signature grows, shrinks or keeps its length.
                let signed = original.with_extension("first");
                fs::copy(&original, &signed).unwrap();
                rpmsign(first, &["--addsign"], &signed);
                let theirs = original.with_extension("second");
                fs::copy(&signed, &theirs).unwrap();
                rpmsign(second, &["--resign"], &theirs);
                compare(key, *algorithm, &signed, &theirs, &[]);
            }
        }
    }
}
