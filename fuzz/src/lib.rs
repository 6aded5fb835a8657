//! What the fuzz targets do with their input: one function for each decoder that meets bytes from outside.
//!
//! A function ends quietly whether the decoder takes the bytes or refuses them, and panics where a promise is broken:
//! what was decoded has to encode to something that decodes to the same. The functions are an ordinary library, so
//! that `fuzz/tests/seeds.rs` can walk every seed without a fuzzer. `make fuzz` runs the targets.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a fuzzer is told")]

use std::io::{self, Cursor, Write};

use bytes::BytesMut;
use chancery_audit::Verifier;
use chancery_formats::cms::file as cms;
use chancery_formats::module::{self, Compression, Module};
use chancery_formats::openpgp::{Certificate, verify_detached, verify_message};
use chancery_formats::pe::{self, Entry, Existing, Image};
use chancery_formats::rpm::Package;
use chancery_formats::timestamp::{self, Kind, Request, Trust};
use chancery_formats::variable::{SignatureList, SignedUpdate, Variable};
use chancery_formats::x509::{self, Subject};
use chancery_protocol::frame::{self, Frame};
use chancery_protocol::{Hash, KeyName, Message, PublicKey, admin, agent, hello};

/// Feeds bytes to a decoder.
pub type Decode = fn(&[u8]);

/// The decoders, with the names of their targets and of their folders in `fuzz/seeds`.
pub const DECODERS: [(&str, Decode); 23] = [
    ("frame", frame),
    ("hello", hello),
    ("agent_request", agent_request),
    ("agent_response", agent_response),
    ("admin_request", admin_request),
    ("admin_response", admin_response),
    ("key_name", key_name),
    ("public_key", public_key),
    ("audit_trail", audit_trail),
    ("openpgp_certificate", openpgp_certificate),
    ("openpgp_signature", openpgp_signature),
    ("openpgp_message", openpgp_message),
    ("rpm", rpm),
    ("x509_certificate", x509_certificate),
    ("x509_subject", x509_subject),
    ("module", module),
    ("module_compressed", module_compressed),
    ("pe", pe),
    ("pe_signature", pe_signature),
    ("cms", cms),
    ("pe_attributes", pe_attributes),
    ("variable", variable),
    ("timestamp", timestamp),
];

/// A stream of frames, as a socket hands it over; written again, they are the bytes that were read.
pub fn frame(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    let mut again = BytesMut::new();
    while let Ok(Some(frame)) = Frame::take(&mut buffer) {
        frame::put(&mut again, frame.version, frame.kind, frame.id, &frame.body);
    }
    assert!(data.starts_with(&again), "frames change on their way");
}

/// Both directions of the hello exchange.
pub fn hello(data: &[u8]) {
    message::<hello::FromClient>(data);
    message::<hello::FromDaemon>(data);
}

/// What the daemon reads on the agents' socket.
pub fn agent_request(data: &[u8]) {
    message::<agent::Request>(data);
}

/// What agents read.
pub fn agent_response(data: &[u8]) {
    message::<agent::Response>(data);
}

/// What the daemon reads on the operator's socket.
pub fn admin_request(data: &[u8]) {
    message::<admin::Request>(data);
}

/// What operators read.
pub fn admin_response(data: &[u8]) {
    message::<admin::Response>(data);
}

/// A key's name, on the wire and on the command line.
pub fn key_name(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(name) = text.parse::<KeyName>() {
        assert_eq!(name.as_str(), text, "a name changes when it is read");
    }
}

/// A SubjectPublicKeyInfo, which a token or a daemon hands over.
pub fn public_key(data: &[u8]) {
    let Ok(key) = PublicKey::from_spki(data) else { return };
    let der = key.to_spki().unwrap_or_else(|error| panic!("a key that was read cannot be written: {error}"));
    let again = PublicKey::from_spki(&der)
        .unwrap_or_else(|error| panic!("a key that was written cannot be read: {error}"));
    assert!(again == key, "a key changes on its way");
}

/// A file of an audit trail.
pub fn audit_trail(data: &[u8]) {
    let mut verifier = Verifier::new(None);
    if verifier.file("trail", data).is_ok() {
        let _ = verifier.finish();
    }
}

/// OpenPGP certificates, armored or binary, and everything that is asked of one.
pub fn openpgp_certificate(data: &[u8]) {
    let _ = Certificate::parse(data);
    for certificate in Certificate::parse_all(data).unwrap_or_default() {
        let _ =
            (certificate.fingerprint(), certificate.key_id(), certificate.created(), certificate.expires());
        let _ = (certificate.user_ids(), certificate.subkeys());
        let _ = certificate.to_armored();
        let Ok(bytes) = certificate.to_binary() else { continue };
        // Where no signature of the certificate is good, nothing of it is written.
        if bytes.is_empty() {
            continue;
        }
        let again = Certificate::parse(&bytes)
            .unwrap_or_else(|error| panic!("a certificate that was written cannot be read: {error}"));
        assert_eq!(again.fingerprint(), certificate.fingerprint(), "a certificate changes on its way");
    }
}

/// A detached signature, armored or binary. No certificate is known, so that none is good.
pub fn openpgp_signature(data: &[u8]) {
    assert!(verify_detached(&[], data, &b"data"[..]).is_err(), "a signature by nobody is good");
}

/// An inline or cleartext signed message. No certificate is known, so that none is good.
pub fn openpgp_message(data: &[u8]) {
    assert!(verify_message(&[], Cursor::new(data), &mut io::sink()).is_err(), "a message by nobody is good");
}

/// An RPM package: lead, headers, what they say, and the package without its signatures.
pub fn rpm(data: &[u8]) {
    let mut original = Cursor::new(data);
    let Ok(package) = Package::parse(&mut original) else { return };
    let _ = (package.identity().to_string(), package.kind(), package.format(), package.covers_payload());
    let _ = (package.signatures(), package.header_digest());
    assert!(package.payload_offset() <= data.len() as u64, "the payload begins behind the file's end");
    let Some(edited) = package.without_signatures() else { return };
    let mut output = Vec::new();
    let written = edited
        .write_to(&mut original, &mut output)
        .unwrap_or_else(|error| panic!("a package that was read cannot be written: {error}"));
    assert_eq!(written, output.len() as u64, "the length of what was written is not true");
    let again = Package::parse(&mut output.as_slice())
        .unwrap_or_else(|error| panic!("a package that was written cannot be read: {error}"));
    assert!(again.signatures().is_empty(), "a signature is left");
    let (payload, same) = (package.payload_offset(), again.payload_offset());
    assert_eq!(data.get(at(payload)..), output.get(at(same)..), "the payload changes");
}

/// X.509 certificates, DER or PEM, and everything that is asked of one.
pub fn x509_certificate(data: &[u8]) {
    let Ok(certificate) = x509::Certificate::parse(data) else { return };
    let _ = (certificate.subject().to_string(), certificate.subject().common_name());
    let _ = (certificate.serial(), certificate.not_after(), certificate.profile(), certificate.fingerprint());
    let again = x509::Certificate::parse(certificate.as_der())
        .unwrap_or_else(|error| panic!("a certificate that was written cannot be read: {error}"));
    assert!(again == certificate, "a certificate changes on its way");
    let pem = certificate.to_pem().unwrap_or_else(|error| panic!("DER is there, and no PEM: {error}"));
    assert!(
        x509::Certificate::parse(pem.as_bytes()).is_ok_and(|again| again == certificate),
        "PEM changes it"
    );
}

/// The subject of a certificate, on the command line.
pub fn x509_subject(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(subject) = text.parse::<Subject>() {
        assert!(!subject.to_string().is_empty(), "a subject is empty");
    }
}

/// A kernel module: where its contents end, and its last signature. No certificate is known, so that none is good.
pub fn module(data: &[u8]) {
    let mut file = Cursor::new(data);
    let Ok(module) = Module::read(&mut file) else { return };
    let (contents, len) = (module.contents_len(), data.len() as u64);
    assert!(contents > 0 && contents <= len && module.file_len() == len, "the contents end behind the file");
    assert_eq!(module.last_signature().is_some(), contents < len, "signatures are counted wrong");
    assert!(module::verify(&module, &mut file, &[]).is_err(), "a signature by nobody is good");
    let mut rest = Cursor::new(&data[..at(contents)]);
    let again = Module::read(&mut rest)
        .unwrap_or_else(|error| panic!("a module without signatures is none: {error}"));
    assert_eq!(again.signatures(), 0, "a signature is left");
}

/// A compressed module; the first byte chooses how.
pub fn module_compressed(data: &[u8]) {
    /// Gives up where a decoder would go on for long.
    struct Bounded(usize);
    impl Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let Some((&choice, data)) = data.split_first() else { return };
    let compression = Compression::ALL[usize::from(choice) % Compression::ALL.len()];
    let _ = compression.decompress(data, &mut Bounded(1 << 22));
}

/// A PE image: headers, sections, signatures, and the image without them. No certificate is known, so that none is good.
pub fn pe(data: &[u8]) {
    let mut file = Cursor::new(data);
    let Ok(image) = Image::read(&mut file) else { return };
    let (contents, len) = (image.contents_len(), data.len() as u64);
    assert!(contents <= len && image.file_len() == len, "the contents end behind the file");
    assert_eq!(image.entries().next().is_some(), contents < len, "signatures are counted wrong");
    assert!(pe::verify(&image, &mut file, &[]).is_err(), "a signature by nobody is good");
    let all = pe::signatures(&image, &mut file).unwrap_or_else(|error| panic!("nothing is listed: {error}"));
    assert_eq!(all.len(), image.entries().count(), "a signature is not listed");
    let digest = |image: &Image, file: &mut Cursor<&[u8]>| {
        pe::digest(image, file, Hash::Sha256).unwrap_or_else(|error| panic!("there is no digest: {error}"))
    };
    let signed = digest(&image, &mut file);
    for entry in image.entries() {
        let Entry::SignedData(cms) = entry else { continue };
        // What is good on its own could be attached again.
        if let Ok(edited) = pe::attach(&image, &mut file, cms, Existing::Append) {
            let again = written(&edited, &mut file);
            assert!(again.starts_with(&data[..0x40]), "the MS-DOS header changes");
        }
    }
    let Ok(edited) = pe::remove(&image, &mut file) else { return };
    let output = written(&edited, &mut file);
    let mut rest = Cursor::new(output.as_slice());
    let again =
        Image::read(&mut rest).unwrap_or_else(|error| panic!("an image without signatures is none: {error}"));
    assert_eq!(again.entries().count(), 0, "a signature is left");
    assert!(digest(&again, &mut rest) == signed, "the digest changes with the signatures");
}

fn written(edited: &pe::Edited, file: &mut Cursor<&[u8]>) -> Vec<u8> {
    let mut output = Vec::new();
    let len = edited
        .write_to(file, &mut output)
        .unwrap_or_else(|error| panic!("an image that was read cannot be written: {error}"));
    assert_eq!(len, output.len() as u64, "the length of what was written is not true");
    output
}

/// A detached Authenticode signature, attached to an image that only the seeds are over.
pub fn pe_signature(data: &[u8]) {
    let mut file = Cursor::new(PE_SEED);
    let image = Image::read(&mut file).unwrap_or_else(|error| panic!("the seed is no image: {error}"));
    let Ok(edited) = pe::attach(&image, &mut file, data, Existing::Append) else { return };
    let output = written(&edited, &mut file);
    let mut file = Cursor::new(output.as_slice());
    let again = Image::read(&mut file).unwrap_or_else(|error| panic!("a signed image is none: {error}"));
    assert!(again.entries().eq([Entry::SignedData(data)]), "the signature changes");
    let all = pe::signatures(&again, &mut file).unwrap_or_default();
    assert!(all.iter().flatten().all(|one| one.matches) && all.len() == 1, "the signature is not listed");
    assert!(pe::verify(&again, &mut file, &[]).is_err(), "a signature by nobody is good");
}

/// A CMS signature, with its file or without, as text or not.
pub fn cms(data: &[u8]) {
    let text = cms::of_text(data);
    let data = text.as_ref().map_or(data, |(cms, _)| cms);
    let Ok(opened) = cms::open(&mut Cursor::new(data)) else { return };
    let file = opened.content.clone().map_or(&b""[..], |place| &data[at(place.start)..at(place.end)]);
    if opened.content.is_some() {
        let Ok(content) = cms::Content::read(Hash::Sha256, file) else { panic!("bytes cannot be read") };
        let mut again = Vec::new();
        let enclosed = cms::enclose(&opened.cms, &content, file, &mut again);
        assert!(enclosed.is_ok() && again == data, "a file that was taken out does not fit in again");
    } else {
        assert!(opened.cms == data, "a signature without a file changes");
    }
    let Ok(signature) = cms::Signature::decode(&opened.cms) else { return };
    let Ok(content) = cms::Content::read(signature.hash(), file) else { panic!("bytes cannot be read") };
    assert!(signature.verify(&content, &[]).is_err(), "a signature by nobody is good");
}

/// Signed attributes in a file of their own: what was read is what is signed.
pub fn pe_attributes(data: &[u8]) {
    let Ok(attributes) = pe::SignedAttributes::decode(data) else { return };
    assert_eq!(attributes.as_der(), data, "the attributes change");
    let digest = attributes.digest().unwrap_or_else(|error| panic!("there is no digest: {error}"));
    assert_eq!(digest.hash(), attributes.hash(), "the hash changes");
    let _ = attributes.signing_time();
}

/// A signed update of a variable of UEFI firmware. No certificate is known, so that none is good for any variable.
pub fn variable(data: &[u8]) {
    let Ok(update) = SignedUpdate::decode(data) else { return };
    for variable in Variable::ALL {
        assert!(update.verify(variable, &[]).is_err(), "an update by nobody is good for {variable}");
    }
    // A header of 28 bytes for each list, and an owner of 16 for each entry.
    let entries = |list: &SignatureList| list.entries.iter().map(|(_, data)| 16 + data.len()).sum::<usize>();
    let value: usize = update.lists().iter().map(|list| 28 + entries(list)).sum();
    assert!(value < data.len(), "the lists hold more than the file");
    for list in update.lists() {
        for (_, entry) in &list.entries {
            let _ = list.known(entry);
        }
    }
}

/// What comes from a timestamp server, and a signature with a timestamp beside it. No answer is one to the request of this
/// moment, whose nonce nobody knows; a token may be one of the seed's signature.
pub fn timestamp(data: &[u8]) {
    let imprint =
        timestamp::Imprint::of(CMS_SEED).unwrap_or_else(|error| panic!("the seed is no signature: {error}"));
    let request =
        Request::for_imprint(imprint, None).unwrap_or_else(|error| panic!("there is no request: {error}"));
    assert!(request.answered(data, &Trust::Anyone, 0).is_err(), "an answer to another request is taken");
    if let Ok(token) = request.kept(data, &Trust::Anyone) {
        let stamped = timestamp::attach(CMS_SEED, &token, Kind::Cms)
            .unwrap_or_else(|error| panic!("a token of the seed does not go beside it: {error}"));
        let again = timestamp::read(&stamped, Kind::Cms, &Trust::Anyone);
        assert!(again.is_ok_and(|again| again == Some(token)), "a token changes on its way");
    }
    for kind in [Kind::Authenticode, Kind::Cms] {
        let Ok(stamped) = timestamp::is_stamped(data, kind) else { continue };
        let read = timestamp::read(data, kind, &Trust::Anyone);
        assert_eq!(stamped, !matches!(read, Ok(None)), "whether there is a timestamp is told in two ways");
        let _ = timestamp::Imprint::of(data);
    }
}

/// The signature that the tokens among the seeds of `timestamp` are of.
const CMS_SEED: &[u8] = include_bytes!("../seeds/pe_signature/p256");

/// The image that the seeds of `pe_signature` are over.
const PE_SEED: &[u8] = include_bytes!("../seeds/pe/unsigned");

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The first byte is the message type, the rest the body. What decodes, encodes to the same bytes: there is one form.
fn message<M: Message>(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    let Ok(message) = M::decode(kind, body) else { return };
    let mut out = BytesMut::new();
    // A message may have been decoded from fewer bytes than it takes to write.
    if message.put(1, 7, &mut out).is_err() {
        return;
    }
    let frame = Frame::take(&mut out);
    let Ok(Some(frame)) = frame else { panic!("a message that was written is no frame") };
    assert_eq!((frame.version, frame.kind, frame.id), (1, kind, 7), "a frame's header changes on its way");
    let Ok(again) = M::decode(frame.kind, &frame.body) else {
        panic!("a message that was written cannot be read")
    };
    let mut twice = BytesMut::new();
    assert!(again.put(1, 7, &mut twice).is_ok(), "a message that was written once cannot be written twice");
    let twice = Frame::take(&mut twice);
    assert!(
        twice.is_ok_and(|twice| twice.is_some_and(|twice| twice.body == frame.body)),
        "a message changes on its way"
    );
}
