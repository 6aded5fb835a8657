//! Signed packages, judged by rpm and compared with what rpmsign makes.
#![cfg(feature = "rpm")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chancery_formats::rpm::{
    Edited, Error, Existing, Format, Kind, Options, Package, Prepared, SignatureKind, verify,
};
use chancery_protocol::{Algorithm, Hash};
use support::header::{self, signature_data, with_signature_header};
use support::rpm::{BUILDS, Build, Database, build, packages, query, samples, write_out};
use support::{NOW, SoftKey, have, write};
use tempfile::TempDir;

/// Seconds of a year.
const YEAR: u32 = 31_536_000;

const RSA: u32 = 268;
const DSA: u32 = 267;
const OPENPGP: u32 = 278;
const PGP: u32 = 1002;

/// Prepares and finishes with a software key; `None` if the package was signed already.
fn edit(path: &Path, key: &SoftKey, options: &Options) -> Result<Option<Edited>, Error> {
    let (package, file) = Package::open(path)?;
    match package.prepare(options, &key.signing, NOW, &file)? {
        Prepared::AlreadySigned(_) => Ok(None),
        Prepared::Pending(pending) => {
            let raw = key.sign_all(&pending.digests());
            pending.finish(&raw).map(Some)
        }
    }
}

fn sign(path: &Path, key: &SoftKey, options: &Options) -> PathBuf {
    write_out(&edit(path, key, options).unwrap().unwrap(), path)
}

fn tags(path: &Path) -> Vec<u32> {
    Package::open(path).unwrap().0.signatures().iter().map(|signature| signature.tag).collect()
}

#[test]
fn rpm_finds_every_signed_package_good_and_every_flipped_bit_bad() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let packages = packages(folder.path());
    for algorithm in [Algorithm::Rsa2048, Algorithm::Rsa4096, Algorithm::Ed25519] {
        let key = SoftKey::new(algorithm);
        let home = TempDir::new().unwrap();
        let users = ["Packages <rpm@example.org>", "Old name <old@example.org>"];
        let certificate = key.certificate_for(&users, Some(YEAR));
        let database = Database::with(home.path(), &certificate.to_armored().unwrap());
        for original in &packages {
            for hash in [Hash::Sha256, Hash::Sha512] {
                let options = Options { hash: Some(hash), ..Options::default() };
                let signed = sign(original, &key, &options);
                let (good, said) = database.check(&signed);
                let name = format!("/{} Signature, key ID", hash.as_str().to_uppercase());
                assert!(good && said.contains(&name), "{algorithm} {original:?}: {said}");
                let ours = verify(&signed, std::slice::from_ref(&certificate)).unwrap();
                assert!(ours.is_signed(), "{ours}");
                for line in said.lines().skip(1) {
                    assert!(ours.to_string().contains(line.trim()), "rpm: {said}\nours: {ours}");
                }
            }
            let signed = sign(original, &key, &Options::default());
            let bytes = fs::read(&signed).unwrap();
            let package = Package::open(&signed).unwrap().0;
            let payload = usize::try_from(package.payload_offset()).unwrap();
            for at in [payload - 1, payload, bytes.len() - 1] {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                let path = write(home.path(), "flipped.rpm", &flipped);
                let (good, said) = database.check(&path);
                assert!(!good, "{at}: {said}");
                let ours = verify(&path, std::slice::from_ref(&certificate));
                assert!(ours.is_err() || !ours.unwrap().is_signed());
            }
        }
    }
}

#[test]
fn a_file_keeps_its_size_while_there_is_reserved_space() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let key = SoftKey::new(Algorithm::Rsa4096);
    for recipe in BUILDS {
        let original = build(folder.path(), recipe);
        let edited = edit(&original, &key, &Options::default()).unwrap().unwrap();
        assert_eq!(edited.fits_in_place(), recipe.reserved > 0, "{recipe:?}");
        let signed = write_out(&edited, &original);
        let (before, after) = (fs::metadata(&original).unwrap().len(), fs::metadata(&signed).unwrap().len());
        assert_eq!(before == after, recipe.reserved > 0, "{recipe:?}");
    }
}

#[test]
fn a_package_signed_by_the_same_key_is_left_alone() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), BUILDS[0]);
    let (key, other) = (SoftKey::new(Algorithm::Rsa2048), SoftKey::new(Algorithm::Rsa2048));
    let options = Options::default();
    let signed = sign(&original, &key, &options);
    assert!(edit(&signed, &key, &options).unwrap().is_none());
    assert!(edit(&signed, &other, &options).unwrap().is_some());
    let stronger = Options { hash: Some(Hash::Sha512), ..options.clone() };
    assert!(edit(&signed, &key, &stronger).unwrap().is_some());
    let more = Options { also: vec![SignatureKind::V3], ..options.clone() };
    assert!(edit(&signed, &key, &more).unwrap().is_some());

    // A signature that names our key and does not fit is no reason to leave the package as it is.
    let mut bytes = fs::read(&signed).unwrap();
    let packet = signature_data(&bytes, RSA).unwrap();
    let at = bytes.windows(packet.len()).position(|window| window == &packet[..]).unwrap() + packet.len() - 1;
    bytes[at] ^= 1;
    let broken = write(folder.path(), "broken.rpm", bytes);
    assert!(edit(&broken, &key, &options).unwrap().is_some());
}

#[test]
fn other_signatures_go_or_stay_as_asked() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), BUILDS[0]);
    let (rsa, eddsa) = (SoftKey::new(Algorithm::Rsa2048), SoftKey::new(Algorithm::Ed25519));
    let keep = |also: &[SignatureKind]| Options { also: also.to_vec(), existing: Existing::Keep, hash: None };
    let first = sign(&original, &rsa, &keep(&[SignatureKind::V3, SignatureKind::V6]));
    assert_eq!(tags(&first), [OPENPGP, RSA, PGP]);
    let second = sign(&first, &eddsa, &keep(&[SignatureKind::V6]));
    assert_eq!(tags(&second), [OPENPGP, OPENPGP, RSA, DSA, PGP]);
    let third = write(folder.path(), "third.rpm", fs::read(&second).unwrap());
    let third = sign(&third, &SoftKey::new(Algorithm::Ed25519), &keep(&[]));
    assert_eq!(tags(&third), [OPENPGP, OPENPGP, RSA, DSA, PGP]);
    let replaced = sign(&third, &SoftKey::new(Algorithm::P256), &Options::default());
    assert_eq!(tags(&replaced), [DSA]);

    let certificates = [rsa.certificate(), eddsa.certificate()];
    let report = verify(&second, &certificates).unwrap();
    assert!(report.is_signed(), "{report}");
    assert!(!verify(&second, &certificates[..1]).unwrap().is_signed());
    let database = Database::with(folder.path(), &certificates[0].to_armored().unwrap());
    let (good, said) = database.check(&first);
    assert!(good && said.contains("    V4 RSA/SHA256 Signature"), "{said}");

    let bare = write_out(&Package::open(&second).unwrap().0.without_signatures().unwrap(), &second);
    assert!(tags(&bare).is_empty());
    assert!(Package::open(&bare).unwrap().0.without_signatures().is_none());
}

#[test]
fn ecdsa_goes_to_the_tag_of_dsa_and_we_verify_it() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), BUILDS[0]);
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = SoftKey::new(algorithm);
        let signed = sign(&original, &key, &Options::default());
        assert_eq!(tags(&signed), [DSA]);
        let report = verify(&signed, &[key.certificate()]).unwrap();
        assert!(report.is_signed(), "{report}");
    }
}

#[test]
fn a_package_says_what_it_is() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    for path in packages(folder.path()) {
        let package = Package::open(&path).unwrap().0;
        let (name, digest) = query(&path);
        assert_eq!(hex::encode(package.header_digest().unwrap().bytes()), digest);
        assert_eq!(package.identity().to_string(), name);
        let is_source = package.identity().arch == "src";
        assert_eq!(
            (package.kind() == Kind::Source, name.contains("source-")),
            (is_source, is_source),
            "{name}"
        );
        assert_eq!(package.format(), Format::V4);
        assert!(package.covers_payload(), "{name}");
        if name.contains("-1.0-1.") {
            assert_eq!(package.identity().epoch, Some(3));
        }
    }
}

#[test]
fn the_signatures_of_the_samples_are_listed_and_their_keys_unknown() {
    for path in samples() {
        let (package, _) = Package::open(&path).unwrap();
        let [signature] = &package.signatures()[..] else { panic!("{path:?} has one signature") };
        assert_eq!((signature.tag, &signature.algorithms[..]), (RSA, "V4 RSA/SHA256"));
        assert!(signature.key_id.is_some() && signature.created.is_some());
        let report = verify(&path, &[]).unwrap();
        assert!(report.is_intact() && !report.is_signed(), "{report}");
        assert!(report.to_string().contains(": NOKEY"), "{report}");
    }
}

#[test]
fn a_corrupt_package_is_not_signed() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), BUILDS[0]);
    let key = SoftKey::new(Algorithm::Ed25519);
    let bytes = fs::read(&original).unwrap();
    let (package, _) = Package::open(&original).unwrap();
    let payload = usize::try_from(package.payload_offset()).unwrap();
    // Somewhere in a string of the main header, and in the payload.
    let in_header = bytes.windows(7).rposition(|window| window == b"A test\0").unwrap();
    for (at, also) in [(in_header, vec![]), (payload, vec![SignatureKind::V3])] {
        let mut corrupt = bytes.clone();
        corrupt[at] ^= 1;
        let path = write(folder.path(), "corrupt.rpm", corrupt);
        let result = edit(&path, &key, &Options { also, ..Options::default() });
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{at}: {result:?}");
    }
}

#[test]
fn a_package_that_changed_meanwhile_is_left_alone() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), BUILDS[0]);
    let key = SoftKey::new(Algorithm::Ed25519);
    let first = edit(&original, &key, &Options::default()).unwrap().unwrap();
    let second = edit(&original, &SoftKey::new(Algorithm::Rsa2048), &Options::default()).unwrap().unwrap();
    let file = File::options().read(true).write(true).open(&original).unwrap();
    first.write_in_place(&file).unwrap();
    assert!(matches!(second.write_in_place(&file), Err(Error::Changed)));
    assert!(matches!(second.write_to(&file, Vec::new()), Err(Error::Changed)));
    assert_eq!(tags(&original), [DSA]);
}

/// A package of format 6 as rpm 6 lays it out, with reserved space under tag 999.
fn format_6(folder: &Path) -> PathBuf {
    let payload = b"no archive, but a payload";
    let digest = |bytes: &[u8]| {
        use sequoia_openpgp::types::HashAlgorithm;
        let mut context = HashAlgorithm::SHA256.context().unwrap().for_digest();
        context.update(bytes);
        hex::encode(context.into_digest().unwrap()) + "\0"
    };
    let payload_digest = digest(payload);
    let main = header::header(
        63,
        &[
            (1000, 6, 1, b"six\0"),
            (1001, 6, 1, b"1.0\0"),
            (1002, 6, 1, b"1\0\0\0"),
            (1022, 6, 1, b"noarch\0"),
            (1044, 6, 1, b"six-1.0-1.src.rpm\0"),
            (5092, 8, 1, payload_digest.as_bytes()),
            (5114, 4, 1, &6_u32.to_be_bytes()),
        ],
    );
    let main_digest = digest(&main);
    let mut package = header::lead();
    package.extend(header::header(62, &[(273, 6, 1, main_digest.as_bytes()), (999, 7, 4128, &[0; 4128])]));
    package.resize(package.len().next_multiple_of(8), 0);
    package.extend(main);
    package.extend(payload);
    write(folder, "six-1.0-1.noarch.rpm", package)
}

#[test]
fn a_package_of_format_6_takes_any_number_of_signatures_and_gives_their_room_back() {
    let folder = TempDir::new().unwrap();
    let original = format_6(folder.path());
    let package = Package::open(&original).unwrap().0;
    assert_eq!((package.format(), package.kind()), (Format::V6, Kind::Binary));
    let keys = [Algorithm::Rsa2048, Algorithm::P384, Algorithm::Ed25519].map(SoftKey::new);
    let keep = Options { existing: Existing::Keep, ..Options::default() };
    let mut signed = original.clone();
    for (number, key) in keys.iter().enumerate() {
        let edited = edit(&signed, key, &keep).unwrap().unwrap();
        assert!(edited.fits_in_place());
        signed = write(
            folder.path(),
            &format!("signed{number}.rpm"),
            fs::read(write_out(&edited, &signed)).unwrap(),
        );
        assert_eq!(tags(&signed), vec![OPENPGP; number + 1]);
    }
    let report = verify(&signed, &keys.each_ref().map(SoftKey::certificate)).unwrap();
    assert!(report.is_signed(), "{report}");
    for key in &keys {
        assert!(edit(&signed, key, &keep).unwrap().is_none());
    }
    // What is missing is added, and what is there is not added again.
    let v4 = Options { also: vec![SignatureKind::V4], ..keep };
    let both = sign(&signed, &keys[0], &v4);
    assert_eq!(tags(&both), [OPENPGP, OPENPGP, OPENPGP, RSA]);

    let bare = write_out(&Package::open(&signed).unwrap().0.without_signatures().unwrap(), &signed);
    assert_eq!(fs::read(bare).unwrap(), fs::read(&original).unwrap());

    let both = Options { also: vec![SignatureKind::V4], ..Options::default() };
    assert_eq!(tags(&sign(&original, &keys[0], &both)), [OPENPGP, RSA]);
    let v3 = Options { also: vec![SignatureKind::V3], ..Options::default() };
    assert!(matches!(edit(&original, &keys[0], &v3), Err(Error::NoV3InFormat6)));
}

#[test]
fn a_package_without_payload_digest_gets_a_signature_over_its_payload_too() {
    if !have(&["rpmbuild", "rpm"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let original = build(folder.path(), Build { name: "old", ..BUILDS[0] });
    // Rename the payload digests in the index to tags that nobody knows, and make the header's digests anew.
    let mut bytes = fs::read(&original).unwrap();
    let main = usize::try_from(Package::open(&original).unwrap().0.payload_offset()).unwrap();
    let start = header::signature_header(&bytes).1;
    for (tag, other) in [(5092_u32, 5892_u32), (5093, 5893), (5097, 5897)] {
        let header = &bytes[start..main];
        let at =
            (16..header.len()).step_by(16).find(|&at| header[at..].starts_with(&tag.to_be_bytes())).unwrap();
        bytes[start + at..start + at + 4].copy_from_slice(&other.to_be_bytes());
    }
    let package = with_signature_header(&bytes, |tag| tag == 1008);
    let old = write(folder.path(), "old.rpm", package);

    assert!(!Package::open(&old).unwrap().0.covers_payload());
    let key = SoftKey::new(Algorithm::Rsa2048);
    let signed = sign(&old, &key, &Options::default());
    assert_eq!(tags(&signed), [RSA, PGP]);
    let database = Database::with(folder.path(), &key.certificate().to_armored().unwrap());
    let (_, said) = database.check(&signed);
    assert!(said.contains("Header V4 RSA/SHA256 Signature, key ID"), "{said}");
    let whole = said.lines().find(|line| line.trim().starts_with("V4 RSA/SHA256 Signature")).unwrap();
    assert!(whole.ends_with(": OK"), "{said}");

    // Over the header alone, a signature says nothing of such a payload, and the MD5 beside it is anybody's.
    let bytes = fs::read(&signed).unwrap();
    let main = &bytes[header::signature_header(&bytes).1..];
    let mut md5 = sequoia_openpgp::types::HashAlgorithm::MD5.context().unwrap().for_digest();
    md5.update(main);
    let md5 = md5.into_digest().unwrap();
    let packet = signature_data(&bytes, RSA).unwrap();
    let length = packet.len().try_into().unwrap();
    let mut half = header::lead();
    half.extend(header::header(62, &[(RSA, 7, length, &packet), (1004, 7, 16, &md5)]));
    half.resize(half.len().next_multiple_of(8), 0);
    half.extend(main);
    let half = write(folder.path(), "half.rpm", half);
    let certificates = [key.certificate()];
    let report = verify(&half, &certificates).unwrap();
    assert!(report.is_intact() && !report.is_signed(), "{report}");
    assert!(verify(&signed, &certificates).unwrap().is_signed());
}

#[test]
fn what_is_pending_can_go_to_another_thread() {
    fn is_send<T: Send + Sync + 'static>() {}
    is_send::<Package>();
    is_send::<Prepared>();
    is_send::<Edited>();
    is_send::<Error>();
}
