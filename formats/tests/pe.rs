//! Authenticode signatures in PE images, judged by sbverify, pesign, osslsigncode and the crate authenticode.
#![cfg(feature = "pe")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Cursor;
use std::process::Command;

use authenticode::authenticode_digest;
use chancery_formats::pe::{
    Attributes, Entry, Error, Existing, Image, Options, PageHashes, Pages, VerifyError, attach, digest,
    prepare, remove, signature_of, signatures, verify,
};
use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::{Algorithm, Hash};
use object::read::pe::{PeFile32, PeFile64};
use support::openssl::OpenSslKey;
use support::pe::{
    finish, images, issued, osslsigncode, pesign, pesign_digest, sbsign, sbverify, sign, small,
    takes_sbsigns_lengths,
};
use support::{have, run, try_run, write};

const PLAIN: Options = Options {
    hash: Hash::Sha256,
    existing: Existing::Replace,
    attributes: Attributes::Authenticode,
    signing_time: None,
    page_hashes: PageHashes::Leave,
};
const JUDGES: [&str; 5] = ["openssl", "sbsign", "sbverify", "pesign", "osslsigncode"];

fn read(image: &[u8]) -> (Image, Cursor<&[u8]>) {
    let mut file = Cursor::new(image);
    (Image::read(&mut file).unwrap(), file)
}

fn check(image: &[u8], certificates: &[Certificate]) -> Result<chancery_formats::pe::Verified, VerifyError> {
    let (read, mut file) = read(image);
    verify(&read, &mut file, certificates)
}

fn digest_of(image: &[u8], hash: Hash) -> String {
    let (read, mut file) = read(image);
    hex::encode(digest(&read, &mut file, hash).unwrap().bytes())
}

#[test]
fn every_judge_accepts_every_image_signed_with_every_kind_of_key() {
    if !have(&JUDGES) {
        return;
    }
    let images = images();
    for algorithm in
        [Algorithm::Rsa2048, Algorithm::Rsa3072, Algorithm::Rsa4096, Algorithm::P256, Algorithm::P384]
    {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Efi);
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        for image in &images {
            let what = format!("{algorithm}, {}", image.name);
            let signed = sign(&key, &certificate, &[], &PLAIN, &image.bytes);
            let path = write(key.folder(), "signed.efi", &signed);
            let (good, said) = sbverify(&path, &cert);
            assert!(good && said.contains("Signature verification OK"), "{what}: {said}");
            let (good, said) = osslsigncode(&path, &cert);
            assert!(good && said.contains("Number of verified signatures: 1\nSucceeded"), "{what}: {said}");
            assert_eq!(pesign(&path), ["Test modules"], "{what}");
            let verified = check(&signed, std::slice::from_ref(&certificate)).unwrap();
            assert_eq!((verified.subject, verified.anchor), (certificate.subject(), certificate.subject()));
        }
    }
}

#[test]
fn with_rsa_every_byte_is_that_of_sbsign() {
    if !have(&JUDGES) {
        return;
    }
    let (key, ca) = (OpenSslKey::new(Algorithm::Rsa2048), OpenSslKey::new(Algorithm::Rsa4096));
    let authority = ca.certificate(Profile::Efi);
    let leaf = issued(&key, "/CN=Leaf/O=Example", &ca, &authority);
    let cert = write(key.folder(), "cert.pem", leaf.to_pem().unwrap());
    let more = write(key.folder(), "ca.pem", authority.to_pem().unwrap());
    for image in images() {
        for chain in [&[][..], std::slice::from_ref(&authority)] {
            let path = write(key.folder(), "theirs.efi", &image.bytes);
            let mut before = image.bytes.clone();
            // Unsigned, and then on top of what sbsign made.
            for _ in 0..2 {
                sbsign(&key, &cert, chain.first().map(|_| more.as_path()), &path);
                let theirs = fs::read(&path).unwrap();
                let (read, mut file) = read(&theirs);
                let all = signatures(&read, &mut file).unwrap();
                let signing_time = all.last().unwrap().as_ref().unwrap().signing_time;
                assert!(signing_time.is_some());
                let options = Options {
                    attributes: Attributes::Sbsign,
                    existing: Existing::Append,
                    signing_time,
                    ..PLAIN
                };
                let ours = sign(&key, &leaf, chain, &options, &before);
                assert!(ours == theirs, "{}, {} in the chain", image.name, chain.len());
                before = theirs;
            }
        }
    }
}

#[test]
fn the_digest_is_that_of_pesign_and_of_the_crate_authenticode() {
    if !have(&JUDGES) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Efi);
    for image in images() {
        // Signed, so that its length is a multiple of eight: of other lengths, not all tools hash the padding.
        let signed = sign(&key, &certificate, &[], &PLAIN, &image.bytes);
        let path = write(key.folder(), "signed.efi", &signed);
        for &hash in Hash::ALL {
            let ours = digest_of(&signed, hash);
            assert_eq!(
                ours,
                digest_of(&image.bytes, hash),
                "{}: the signature changed the digest",
                image.name
            );
            assert_eq!(ours, authenticode_hash(&signed, hash), "{} by authenticode", image.name);
        }
        assert_eq!(digest_of(&signed, Hash::Sha256), pesign_digest(&path), "{} by pesign", image.name);
    }
}

fn authenticode_hash(image: &[u8], hash: Hash) -> String {
    match hash {
        Hash::Sha256 => authenticode_by::<sha2::Sha256>(image),
        Hash::Sha384 => authenticode_by::<sha2::Sha384>(image),
        Hash::Sha512 => authenticode_by::<sha2::Sha512>(image),
    }
}

fn authenticode_by<D: sha2::Digest + sha2::digest::Update>(image: &[u8]) -> String {
    let mut context = D::new();
    match PeFile64::parse(image) {
        Ok(parsed) => authenticode_digest(&parsed, &mut context),
        Err(_) => authenticode_digest(&PeFile32::parse(image).unwrap(), &mut context),
    }
    .unwrap();
    hex::encode(context.finalize())
}

#[test]
fn a_flipped_byte_is_noticed_by_every_judge_wherever_it_is() {
    if !have(&JUDGES) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Efi);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    for magic in [0x10b, 0x20b] {
        let image = small(magic, b"overlay, of an odd length.");
        let signed = sign(&key, &certificate, &[], &PLAIN, &image);
        let (parsed, _) = read(&signed);
        let contents = usize::try_from(parsed.contents_len()).unwrap();
        let checksum = 0x58 + 64;
        let directory = 0x58 + if magic == 0x20b { 112 } else { 96 } + 32;
        assert!(check(&signed, std::slice::from_ref(&certificate)).is_ok());
        for at in 0..contents {
            let mut flipped = signed.clone();
            flipped[at] ^= 0x80;
            let unsigned = (checksum..checksum + 4).contains(&at);
            let mut file = Cursor::new(&flipped);
            let good = Image::read(&mut file)
                .is_ok_and(|image| verify(&image, &mut file, std::slice::from_ref(&certificate)).is_ok());
            assert_eq!(good, unsigned, "{magic:#x}, byte {at:#x}");
            // The tools are processes; some places are enough for them.
            let entry = (directory..directory + 8).contains(&at);
            if at % 97 == 0 && !unsigned && !entry {
                let path = write(key.folder(), "flipped.efi", &flipped);
                assert!(!sbverify(&path, &cert).0, "{magic:#x}, byte {at:#x}");
                assert!(!osslsigncode(&path, &cert).0, "{magic:#x}, byte {at:#x}");
            }
        }
    }
}

#[test]
fn every_byte_of_a_signature_counts() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P384);
    let certificate = key.certificate(Profile::Efi);
    let signed = sign(&key, &certificate, &[], &PLAIN, &small(0x20b, b""));
    let (parsed, _) = read(&signed);
    let begin = usize::try_from(parsed.contents_len()).unwrap();
    let Some(Entry::SignedData(cms)) = parsed.entries().next() else { panic!("no signature") };
    let embedded = cms.windows(certificate.as_der().len()).position(|part| part == certificate.as_der());
    let embedded = begin + 8 + embedded.unwrap();
    for at in begin..begin + 8 + cms.len() {
        // Who has the certificate does not need the one that is embedded, in its set; nobody reads the revision; and the
        // zero behind an odd length may be counted in.
        let not_needed = (embedded - 4..embedded + certificate.as_der().len()).contains(&at)
            || (begin + 4..begin + 6).contains(&at)
            || at == begin;
        let mut flipped = signed.clone();
        flipped[at] ^= 1;
        let mut file = Cursor::new(&flipped);
        let good = Image::read(&mut file)
            .is_ok_and(|image| verify(&image, &mut file, std::slice::from_ref(&certificate)).is_ok());
        assert!(!good || not_needed, "byte {at:#x}");
    }
}

#[test]
fn all_hashes_and_curves_are_accepted_where_the_judges_know_them() {
    if !have(&JUDGES) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Code);
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        for &hash in Hash::ALL {
            for attributes in [Attributes::Authenticode, Attributes::Sbsign] {
                let options = Options { hash, attributes, signing_time: Some(support::NOW.into()), ..PLAIN };
                let signed = sign(&key, &certificate, &[], &options, &small(0x10b, b"x"));
                let path = write(key.folder(), "signed.exe", &signed);
                if attributes == Attributes::Authenticode || takes_sbsigns_lengths() {
                    let (good, said) = osslsigncode(&path, &cert);
                    assert!(good && said.contains("Succeeded"), "{algorithm}, {hash}: {said}");
                }
                // sbverify knows no other hash.
                assert_eq!(sbverify(&path, &cert).0, hash == Hash::Sha256, "{algorithm}, {hash}");
                let verified = check(&signed, std::slice::from_ref(&certificate)).unwrap();
                assert_eq!(verified.hash, hash);
            }
        }
    }
}

#[test]
fn signatures_are_kept_replaced_and_removed() {
    if !have(&JUDGES) {
        return;
    }
    let keys = [OpenSslKey::new(Algorithm::Rsa2048), OpenSslKey::new(Algorithm::P256)];
    let certificates = keys.each_ref().map(|key| key.certificate(Profile::Efi));
    let image = small(0x20b, b"12345678");
    let once = sign(&keys[0], &certificates[0], &[], &PLAIN, &image);
    let append = Options { existing: Existing::Append, ..PLAIN };
    let twice = sign(&keys[1], &certificates[1], &[], &append, &once);
    let path = write(keys[0].folder(), "twice.efi", &twice);
    for (key, certificate) in keys.iter().zip(&certificates) {
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        let (good, said) = sbverify(&path, &cert);
        assert!(good, "{said}");
        assert!(check(&twice, std::slice::from_ref(certificate)).is_ok());
    }
    assert!(sign(&keys[0], &certificates[0], &[], &PLAIN, &twice) == once, "replaced");

    let (parsed, mut file) = read(&twice);
    let mut removed = Vec::new();
    remove(&parsed, &mut file).unwrap().write_to(&mut file, &mut removed).unwrap();
    // sbattach also removes them all, from the last to the first.
    run(Command::new("sbattach").arg("--remove").arg(&path));
    run(Command::new("sbattach").arg("--remove").arg(&path));
    assert!(removed == fs::read(&path).unwrap(), "removed");
    // The image had no CheckSum before.
    removed[0x58 + 64..][..4].fill(0);
    assert!(removed == image);
    let (parsed, mut file) = read(&image);
    assert!(matches!(remove(&parsed, &mut file), Err(Error::NotSigned)));
}

#[test]
fn a_detached_signature_is_attached_to_the_image_that_it_is_over_and_to_no_other() {
    if !have(&JUDGES) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Efi);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    let image = small(0x20b, b"odd");
    let (parsed, mut file) = read(&image);
    let signed = finish(&key, prepare(&parsed, &mut file, &certificate, &[], &PLAIN).unwrap());
    let put = |image: &[u8], cms: &[u8]| {
        let (parsed, mut file) = read(image);
        let mut output = Vec::new();
        attach(&parsed, &mut file, cms, Existing::Append)?.write_to(&mut file, &mut output)?;
        Ok::<_, VerifyError>(output)
    };
    let attached = put(&image, signed.cms()).unwrap();
    assert!(attached == sign(&key, &certificate, &[], &PLAIN, &image));
    // sbattach makes the same of our signature, but for what it counts in dwLength, and with it the CheckSum.
    let theirs = write(key.folder(), "theirs.efi", &image);
    let apart = write(key.folder(), "ours.p7", signed.cms());
    run(Command::new("sbattach").arg("--attach").arg(&apart).arg(&theirs));
    let theirs = fs::read(&theirs).unwrap();
    assert_eq!(attached.len(), theirs.len());
    let differ = attached.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).count();
    assert!(differ <= 1 + 4, "sbattach: {differ} bytes differ");
    let plain = write(key.folder(), "plain.efi", &image);
    run(Command::new("sbsign")
        .arg("--detached")
        .arg("--key")
        .arg(key.path())
        .arg("--cert")
        .arg(&cert)
        .arg("--output")
        .arg(&apart)
        .arg(&plain));
    let path = write(key.folder(), "attached.efi", put(&image, &fs::read(&apart).unwrap()).unwrap());
    assert!(sbverify(&path, &cert).0);

    let other = small(0x20b, b"another");
    assert!(matches!(put(&other, signed.cms()), Err(VerifyError::AnotherImage { .. })));
    assert!(matches!(put(&image, b"no signature"), Err(VerifyError::Cms(_))));
    let mut forged = signed.cms().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(put(&image, &forged), Err(VerifyError::Cms(_))));
}

#[test]
fn who_is_not_known_may_be_vouched_for_by_an_issuer() {
    if !have(&JUDGES) {
        return;
    }
    let (ca, key) = (OpenSslKey::new(Algorithm::P384), OpenSslKey::new(Algorithm::Rsa2048));
    let authority = support::pe::authority(&ca, "/CN=Authority");
    let leaf = issued(&key, "/CN=Leaf", &ca, &authority);
    let image = small(0x20b, b"");
    let signed = sign(&key, &leaf, &[], &PLAIN, &image);
    let verified = check(&signed, std::slice::from_ref(&authority)).unwrap();
    assert_eq!((verified.subject, verified.anchor), (leaf.subject(), authority.subject()));
    let path = write(key.folder(), "signed.efi", &signed);
    let cert = write(key.folder(), "ca.pem", authority.to_pem().unwrap());
    let (good, said) = sbverify(&path, &cert);
    assert!(good, "{said}");
    assert!(osslsigncode(&path, &cert).0);

    // An issuer of the same name and another key vouches for nobody, and neither does who is no authority.
    let stranger = support::pe::authority(&OpenSslKey::new(Algorithm::P384), "/CN=Authority");
    assert_eq!(stranger.subject(), authority.subject());
    assert!(matches!(check(&signed, &[stranger]), Err(VerifyError::UnknownSigner(_))));
    let module = OpenSslKey::new(Algorithm::P256);
    let no_authority = module.certificate(Profile::Module);
    let below = issued(&key, "/CN=Below", &module, &no_authority);
    let signed = sign(&key, &below, &[], &PLAIN, &image);
    assert!(matches!(check(&signed, &[no_authority]), Err(VerifyError::UnknownSigner(_))));
    assert!(matches!(check(&image, &[authority]), Err(VerifyError::NoSignature)));
}

#[test]
fn foreign_signatures_are_listed_with_their_signers() {
    let path = "/usr/lib/shim/fbx64.efi.signed";
    if !support::pe::installed(path, "shim-helpers-amd64-signed") || !have(&["sbverify"]) {
        return;
    }
    let bytes = fs::read(path).unwrap();
    let (image, mut file) = read(&bytes);
    let all = signatures(&image, &mut file).unwrap();
    let [Ok(signature)] = all.as_slice() else { panic!("{all:?}") };
    assert!(signature.matches && signature.signing_time.is_some());
    let said = run(Command::new("sbverify").arg("--list").arg(path));
    // sbverify lists the issuers of signers.
    let issuer = signature.signer.split("CN=").nth(1).unwrap().split(['`', ',']).next().unwrap();
    assert!(said.contains(&format!("image signature issuers:\n - /CN={issuer}")), "{issuer}: {said}");
    assert!(
        signature.signer.contains("serial number 32a0287f841a036fa393c1e065c43ae6b2422644"),
        "{signature:?}"
    );
    let key = OpenSslKey::new(Algorithm::P256);
    let mine = key.certificate(Profile::Efi);
    let error = check(&bytes, std::slice::from_ref(&mine)).unwrap_err();
    assert!(matches!(error, VerifyError::NoSigner(_) | VerifyError::UnknownSigner(_)), "{error}");
    // And one more beside it.
    let both = sign(&key, &mine, &[], &Options { existing: Existing::Append, ..PLAIN }, &bytes);
    assert!(check(&both, &[mine]).is_ok());
    let path = write(key.folder(), "both.efi", &both);
    assert_eq!(pesign(&path).len(), 2);
    assert!(pesign(&path)[0].starts_with("Debian Secure Boot Signer"));
}

#[test]
fn a_signature_is_known_again_only_as_what_signing_would_give() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let (certificate, another) = (key.certificate(Profile::Efi), key.certificate(Profile::Efi));
    let image = small(0x20b, b"");
    let once = sign(&key, &certificate, &[], &PLAIN, &image);
    let append = Options { existing: Existing::Append, ..PLAIN };
    let twice = sign(&key, &another, &[], &append, &once);
    let mut flipped = once.clone();
    flipped[0x300] ^= 1;
    let known = |image: &[u8], certificate: &Certificate, options: &Options| {
        let (read, mut file) = read(image);
        signature_of(&read, &mut file, certificate, options).unwrap().is_some()
    };
    assert!(known(&once, &certificate, &PLAIN) && known(&once, &certificate, &append));
    assert!(known(&twice, &certificate, &append) && known(&twice, &another, &append));
    assert!(!known(&twice, &certificate, &PLAIN), "there is another one to replace");
    assert!(!known(&once, &another, &append), "by another certificate");
    assert!(!known(&once, &certificate, &Options { hash: Hash::Sha384, ..PLAIN }), "by another hash");
    assert!(!known(&flipped, &certificate, &PLAIN), "of another image");
    assert!(!known(&image, &certificate, &PLAIN), "not signed");
}

#[test]
fn a_signature_of_another_key_is_not_attached_and_ed25519_is_refused() {
    if !have(&["openssl"]) {
        return;
    }
    let (key, other) = (OpenSslKey::new(Algorithm::P256), OpenSslKey::new(Algorithm::P256));
    let image = small(0x20b, b"");
    let (read, mut file) = read(&image);
    let pending = prepare(&read, &mut file, &key.certificate(Profile::Efi), &[], &PLAIN).unwrap();
    let raw = other.sign(&chancery_formats::raw::Input::Digest(pending.digest().clone()));
    assert!(matches!(pending.finish(&raw), Err(Error::Cms(_))));
    let ed25519 = OpenSslKey::new(Algorithm::Ed25519).certificate(Profile::Efi);
    let refused = prepare(&read, &mut file, &ed25519, &[], &PLAIN).unwrap_err().to_string();
    assert!(refused.contains("RSA, P-256, P-384 or P-521"), "{refused}");
}

#[test]
fn an_image_that_changes_meanwhile_is_not_written() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let image = small(0x20b, b"");
    let (read, mut file) = read(&image);
    let pending = prepare(&read, &mut file, &key.certificate(Profile::Efi), &[], &PLAIN).unwrap();
    let signed = finish(&key, pending);
    let (mut longer, mut other) = (image.clone(), image.clone());
    longer.push(0);
    other[0x60] ^= 1;
    for changed in [&longer, &other, &image[..0x3ff].to_vec()] {
        let outcome = signed.edited().write_to(&mut Cursor::new(changed), &mut Vec::new());
        assert!(matches!(outcome, Err(Error::Changed)), "{outcome:?}");
    }
}

#[test]
fn hashes_of_pages_are_those_of_osslsigncode_which_accepts_ours() {
    if !have(&JUDGES) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Code);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    let with_pages = Options { page_hashes: PageHashes::Include, ..PLAIN };
    let mut judged = Vec::new();
    for image in images() {
        let (parsed, mut file) = read(&image.bytes);
        let pending = match prepare(&parsed, &mut file, &certificate, &[], &with_pages) {
            Ok(pending) => pending,
            Err(Error::NoPages(why)) => {
                assert!(why.contains("SectionAlignment is 0x"), "{}: {why}", image.name);
                continue;
            }
            Err(error) => panic!("{}: {error}", image.name),
        };
        let mut ours = Vec::new();
        finish(&key, pending).edited().write_to(&mut file, &mut ours).unwrap();
        let path = write(key.folder(), "ours.exe", &ours);
        let (good, said) = osslsigncode(&path, &cert);
        assert!(good && said.contains("Page hash algorithm  : SHA256"), "{}: {said}", image.name);
        assert!(said.contains("Succeeded") && !said.contains("MISMATCH"), "{}: {said}", image.name);
        let Some(theirs) = osslsigncode_page_hashes(&key, &cert, &image.bytes) else { continue };
        let content = page_hashes_and_digest(&ours);
        assert!(content == page_hashes_and_digest(&theirs), "{}", image.name);
        // sbverify does not look at them, and takes no content, whoever signed it, whose length needs three bytes.
        let short = content.len() < 0xff00;
        assert_eq!(sbverify(&path, &cert).0, short, "{}", image.name);
        assert_eq!(sbverify(&write(key.folder(), "theirs.efi", &theirs), &cert).0, short, "{}", image.name);
        for signed in [&ours, &theirs] {
            let (image, mut file) = read(signed);
            let all = signatures(&image, &mut file).unwrap();
            assert_eq!(all[0].as_ref().unwrap().pages, Pages::Match);
            assert!(check(signed, std::slice::from_ref(&certificate)).is_ok());
        }
        judged.push(image.name);
    }
    assert!(
        !takes_sbsigns_lengths()
            || judged.iter().any(|name| name == "System.dll") && judged.iter().any(|name| name == "t64.exe"),
        "{judged:?}"
    );
}

/// The image as osslsigncode signs it with hashes of pages.
fn osslsigncode_page_hashes(key: &OpenSslKey, cert: &std::path::Path, image: &[u8]) -> Option<Vec<u8>> {
    let (plain, signed) = (write(key.folder(), "plain.exe", image), key.folder().join("theirs.exe"));
    // It writes over no file, and takes none that has more than one signature.
    let _ = fs::remove_file(&signed);
    let (parsed, mut file) = read(image);
    if parsed.entries().next().is_some() {
        let mut bare = Vec::new();
        remove(&parsed, &mut file).unwrap().write_to(&mut file, &mut bare).unwrap();
        fs::write(&plain, bare).unwrap();
    }
    let mut command = Command::new("osslsigncode");
    command.args(["sign", "-ph", "-h", "sha256", "-certs"]).arg(cert).arg("-key").arg(key.path());
    let (good, said) = try_run(command.arg("-in").arg(plain).arg("-out").arg(&signed));
    // 2.5 writes behind its buffer where an image has many pages.
    assert!(good || !takes_sbsigns_lengths(), "{said}");
    good.then(|| fs::read(signed).unwrap())
}

/// The part of SpcIndirectDataContent from the class of the hashes of pages to its end, the image's digest. Before it stand
/// flags, of which osslsigncode sets one and signtool none, and the lengths of all this.
fn page_hashes_and_digest(signed: &[u8]) -> &[u8] {
    const CLASS: [u8; 16] = *b"\xa6\xb5\x86\xd5\xb4\xa1\x24\x66\xae\x05\xa2\x17\xda\x8e\x60\xd6";
    let begin = signed.windows(16).position(|window| window == CLASS).unwrap();
    let tail = &signed[begin..];
    // The OCTET STRING behind it, and DigestInfo with SHA-256.
    let [0x04, form, ..] = tail[16..] else { panic!("no serialized data") };
    let digits = usize::from(form & 0x7f);
    let length = tail[18..18 + digits].iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let end = 18 + digits + length + 51;
    assert_eq!(tail[end - 51..][..4], [0x30, 49, 0x30, 13]);
    &tail[..end]
}

#[test]
fn hashes_of_other_pages_are_noticed() {
    if !have(&JUDGES) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Code);
    let mut image = small(0x20b, b"");
    image[0x58 + 32..][..8].copy_from_slice(b"\0\x10\0\0\0\x02\0\0");
    let with_pages = Options { page_hashes: PageHashes::Include, ..PLAIN };
    let signed = sign(&key, &certificate, &[], &with_pages, &image);
    let known = |image: &[u8], options: &Options| {
        let (read, mut file) = read(image);
        signature_of(&read, &mut file, &certificate, options).unwrap().is_some()
    };
    assert!(known(&signed, &with_pages) && !known(&signed, &PLAIN));
    assert!(!known(&sign(&key, &certificate, &[], &PLAIN, &image), &with_pages));

    // Another hash of the first page, behind its offset.
    let mut forged = signed.clone();
    let first = hash_of_first_page(&signed);
    forged[first] ^= 1;
    let error = check(&forged, std::slice::from_ref(&certificate)).unwrap_err();
    assert!(matches!(error, VerifyError::OtherPages), "{error}");
    let (read, mut file) = read(&forged);
    let all = signatures(&read, &mut file).unwrap();
    let one = all[0].as_ref().unwrap();
    assert!(one.matches && one.pages == Pages::Differ);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    let path = write(key.folder(), "forged.exe", &forged);
    let (good, said) = osslsigncode(&path, &cert);
    assert!(!good && said.contains("MISMATCH"), "{said}");
}

/// Where the hash of an image's first page stands: behind the last OCTET STRING of those around it, and its offset.
fn hash_of_first_page(signed: &[u8]) -> usize {
    const PAGE_HASHES_V2: &[u8] = b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x03\x02";
    let oid = signed.windows(PAGE_HASHES_V2.len()).position(|window| window == PAGE_HASHES_V2).unwrap();
    let set = &signed[oid + PAGE_HASHES_V2.len()..];
    let octets = set.iter().position(|&tag| tag == 0x04).unwrap();
    // Three entries of 36 bytes.
    assert_eq!(set[octets..octets + 6], [0x04, 108, 0, 0, 0, 0]);
    oid + PAGE_HASHES_V2.len() + octets + 6
}
