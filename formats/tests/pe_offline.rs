//! What is signed of an image, in a file of its own, and the signature that is made of it: compared with what sbsign signs,
//! judged by openssl and sbverify.
#![cfg(feature = "pe")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Cursor;

use chancery_formats::pe::{
    Attributes, Existing, Image, OfflineError, Options, PageHashes, SignedAttributes, assemble, signatures,
};
use chancery_formats::raw::Input;
use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::{Algorithm, Hash};
use support::openssl::OpenSslKey;
use support::pe::{sbsign, sbverify, sign, small};
use support::{have, write};

const PLAIN: Options = Options {
    hash: Hash::Sha256,
    existing: Existing::Append,
    attributes: Attributes::Authenticode,
    signing_time: None,
    page_hashes: PageHashes::Leave,
};

fn attributes(image: &[u8], options: &Options) -> SignedAttributes {
    let mut file = Cursor::new(image);
    SignedAttributes::of(&Image::read(&mut file).unwrap(), &mut file, options).unwrap()
}

/// The image with a signature that was made elsewhere.
fn put(
    image: &[u8],
    attributes: &SignedAttributes,
    signature: &[u8],
    certificate: &Certificate,
) -> Result<Vec<u8>, OfflineError> {
    let mut file = Cursor::new(image);
    let read = Image::read(&mut file)?;
    let both = (attributes, signature);
    let signed = assemble(&read, &mut file, both, certificate, &[], Existing::Append)?;
    let mut output = Vec::new();
    signed.edited().write_to(&mut file, &mut output)?;
    Ok(output)
}

/// The signature, in its bare form and in that of files.
fn signed(key: &OpenSslKey, certificate: &Certificate, attributes: &SignedAttributes) -> [Vec<u8>; 2] {
    let raw = key.sign(&Input::Digest(attributes.digest().unwrap()));
    let file = attributes.signature(certificate.public_key(), &raw).unwrap();
    [raw, file]
}

#[test]
fn what_is_to_be_signed_is_what_sbsign_signs() {
    if !have(&["openssl", "sbsign"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let cert = write(key.folder(), "cert.pem", key.certificate(Profile::Efi).to_pem().unwrap());
    let image = small(0x20b, b"odd");
    let path = write(key.folder(), "theirs.efi", &image);
    sbsign(&key, &cert, None, &path);
    let theirs = fs::read(&path).unwrap();
    let mut file = Cursor::new(&theirs);
    let read = Image::read(&mut file).unwrap();
    let signing_time = signatures(&read, &mut file).unwrap()[0].as_ref().unwrap().signing_time;
    let ours = attributes(&image, &Options { attributes: Attributes::Sbsign, signing_time, ..PLAIN });
    // In the signature they have the tag of their field (RFC 5652, section 5.4).
    let field = [&[0xa0], &ours.as_der()[1..]].concat();
    assert!(theirs.windows(field.len()).any(|window| window == field));
    assert_eq!(SignedAttributes::decode(ours.as_der()).unwrap(), ours);
    assert_eq!(ours.signing_time(), signing_time);
}

#[test]
fn a_signature_that_was_made_elsewhere_gives_the_image_that_is_signed_at_once() {
    if !have(&["openssl", "sbverify"]) {
        return;
    }
    let image = small(0x10b, b"12345");
    for (algorithm, hash) in [
        (Algorithm::Rsa2048, Hash::Sha256),
        (Algorithm::Rsa2048, Hash::Sha512),
        (Algorithm::P256, Hash::Sha256),
        (Algorithm::P521, Hash::Sha384),
    ] {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Efi);
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        let options = Options { hash, ..PLAIN };
        let attributes = attributes(&image, &options);
        for signature in signed(&key, &certificate, &attributes) {
            let assembled = put(&image, &attributes, &signature, &certificate).unwrap();
            if algorithm == Algorithm::Rsa2048 {
                assert!(assembled == sign(&key, &certificate, &[], &options, &image), "{hash}");
            }
            let path = write(key.folder(), "assembled.efi", &assembled);
            // sbverify knows no other hash.
            assert_eq!(sbverify(&path, &cert).0, hash == Hash::Sha256, "{algorithm}, {hash}");
        }
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    if !have(&["openssl"]) {
        return;
    }
    let (key, other) = (OpenSslKey::new(Algorithm::P256), OpenSslKey::new(Algorithm::P256));
    let (mine, theirs) = (key.certificate(Profile::Efi), other.certificate(Profile::Efi));
    let (image, another) = (small(0x20b, b"one"), small(0x20b, b"another"));
    let of_image = attributes(&image, &PLAIN);
    let [raw, file] = signed(&key, &mine, &of_image);
    let refused =
        |image: &[u8], attributes: &SignedAttributes, signature: &[u8], certificate: &Certificate| {
            put(image, attributes, signature, certificate).unwrap_err()
        };
    assert!(matches!(refused(&another, &of_image, &raw, &mine), OfflineError::AnotherImage { .. }));
    assert!(matches!(refused(&image, &of_image, &raw, &theirs), OfflineError::BadSignature(_)));
    assert!(matches!(refused(&image, &of_image, &file[1..], &mine), OfflineError::NotASignature(_)));
    // The same image at another time is another thing to sign.
    let later = attributes(&image, &Options { signing_time: Some(1_800_000_000), ..PLAIN });
    assert!(matches!(refused(&image, &later, &raw, &mine), OfflineError::BadSignature(_)));
    assert!(of_image.signature(theirs.public_key(), &raw).is_err());
}

#[test]
fn only_attributes_of_images_are_read() {
    let image = small(0x20b, b"");
    let good = attributes(&image, &Options { signing_time: Some(1_800_000_000), ..PLAIN }).as_der().to_vec();
    assert!(SignedAttributes::decode(&good).is_ok());
    for end in 0..good.len() {
        assert!(SignedAttributes::decode(&good[..end]).is_err(), "cut at {end}");
    }
    let why = |bytes: &[u8]| SignedAttributes::decode(bytes).unwrap_err().to_string();
    let set = "it is no set of attributes";
    assert!(why(&[&good[..], &[0]].concat()).contains(set), "more behind it");
    assert!(why(&vec![0; 65 * 1024]).contains("it is too long"));
    // Each member has a length of one byte, as they are short.
    let members = |bytes: &[u8]| {
        let begin = if bytes[1] < 0x80 { 2 } else { 3 };
        let mut rest = &bytes[begin..];
        let mut all = Vec::new();
        while let [_, len, ..] = rest {
            let (one, more) = rest.split_at(2 + usize::from(*len));
            all.push(one.to_vec());
            rest = more;
        }
        all
    };
    let again = |all: &[Vec<u8>]| {
        let inner = all.concat();
        let len = u8::try_from(inner.len()).unwrap();
        let head = if len < 0x80 { vec![0x31, len] } else { vec![0x31, 0x81, len] };
        [head, inner].concat()
    };
    let all = members(&good);
    assert_eq!(again(&all), good);
    let mut reversed = all.clone();
    reversed.reverse();
    assert!(why(&again(&reversed)).contains(set), "in another order, over which OpenSSL verifies nothing");
    let mut twice = all.clone();
    twice.insert(0, all[0].clone());
    assert!(why(&again(&twice)).contains(set), "one that is there twice");
    let position =
        |oid: &[u8]| all.iter().position(|one| one.windows(oid.len()).any(|part| part == oid)).unwrap();
    // id-contentType and id-messageDigest (RFC 5652, section 11).
    for (oid, told) in [
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03], "its content type is not"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04], "it has no digest"),
    ] {
        let mut without = all.clone();
        without.remove(position(oid));
        assert!(why(&again(&without)).contains(told));
    }
}
