//! What the variables hold: EFI_SIGNATURE_LISTs (UEFI, section 32.4.1).

use chancery_protocol::{Digest, Hash};

use der::Decode;

use super::{Error, Guid, Malformed};
use crate::openpgp::hash_algorithm;
use crate::x509::{Certificate, Subject};

/// EFI_CERT_X509_GUID, EFI_CERT_SHA256_GUID, EFI_CERT_SHA384_GUID and EFI_CERT_SHA512_GUID.
const X509: Guid = Guid::new(0xa5c059a1_94e4_4aa7_87b5_ab155c2bf072);
const SHA256: Guid = Guid::new(0xc1c41626_504c_4092_aca9_41f936934328);
const SHA384: Guid = Guid::new(0xff3e5307_9fd0_48c9_85f1_8ad56c701e01);
const SHA512: Guid = Guid::new(0x093e0fae_a6c4_4f50_9f1b_d41e2b89c19a);

/// SignatureType, SignatureListSize, SignatureHeaderSize, SignatureSize.
const HEADER: usize = 16 + 3 * 4;
/// SignatureOwner, before the data of each signature.
const OWNER: usize = 16;

/// One entry of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Who signs.
    Certificate(Box<Certificate>),
    /// One image, by its Authenticode digest ([`pe::digest`](crate::pe::digest)).
    Image(Digest),
}

impl Entry {
    fn kind(&self) -> Guid {
        match self {
            Self::Certificate(_) => X509,
            Self::Image(digest) => match digest.hash() {
                Hash::Sha256 => SHA256,
                Hash::Sha384 => SHA384,
                Hash::Sha512 => SHA512,
            },
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::Certificate(certificate) => certificate.as_der(),
            Self::Image(digest) => digest.bytes(),
        }
    }
}

/// The lists that hold `entries`, of which `owner` tells whose they are. Certificates have a list each, as their lengths
/// differ; digests of one kind that follow one another share theirs.
pub fn lists(entries: &[Entry], owner: Guid) -> Result<Vec<u8>, Error> {
    let together = |one: &Entry, next: &Entry| matches!((one, next), (Entry::Image(one), Entry::Image(next)) if one.hash() == next.hash());
    let mut lists = Vec::new();
    for list in entries.chunk_by(together) {
        let Some(first) = list.first() else { continue };
        let signature = OWNER + first.data().len();
        lists.extend(first.kind().as_bytes());
        for number in [HEADER + list.len() * signature, 0, signature] {
            lists.extend(u32::try_from(number).map_err(|_| Error::TooLarge)?.to_le_bytes());
        }
        for entry in list {
            lists.extend(owner.as_bytes());
            lists.extend(entry.data());
        }
    }
    Ok(lists)
}

/// An EFI_SIGNATURE_LIST as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignatureList {
    /// What its entries are.
    pub kind: Guid,
    /// Whose entries they are, and their data, all of one length.
    pub entries: Vec<(Guid, Vec<u8>)>,
}

/// An entry that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// A certificate, whatever its key.
    Certificate {
        /// Whose it is.
        subject: Subject,
        /// SHA-256 of its DER.
        fingerprint: Vec<u8>,
    },
    /// The digest of an image.
    Image(Hash),
}

impl SignatureList {
    /// What an entry is, if it is of a kind that is known here, and readable.
    pub fn known(&self, data: &[u8]) -> Option<Known> {
        let hash = |hash: Hash| (data.len() == hash.digest_len()).then_some(Known::Image(hash));
        match self.kind {
            X509 => {
                let parsed = x509_cert::Certificate::from_der(data).ok()?;
                let subject = Subject::of(parsed.tbs_certificate().subject().clone());
                Some(Known::Certificate { subject, fingerprint: sha256(data)? })
            }
            SHA256 => hash(Hash::Sha256),
            SHA384 => hash(Hash::Sha384),
            SHA512 => hash(Hash::Sha512),
            _ => None,
        }
    }

    pub(super) fn is_of_certificates(&self) -> bool {
        self.kind == X509
    }
}

fn sha256(data: &[u8]) -> Option<Vec<u8>> {
    let mut context = hash_algorithm(Hash::Sha256).context().ok()?.for_digest();
    context.update(data);
    context.into_digest().ok()
}

/// Reads the lists that fill `value`, which stands at `at` in its file.
pub(super) fn read(value: &[u8], at: usize) -> Result<Vec<SignatureList>, Malformed> {
    let mut lists = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let at = at + value.len() - rest.len();
        let bad = |why: String| Malformed { at, why };
        let Some((header, _)) = rest.split_first_chunk::<HEADER>() else {
            return Err(bad(format!(
                "a signature list has a header of {HEADER} bytes, and {} are left",
                rest.len()
            )));
        };
        let [kind @ .., l0, l1, l2, l3, h0, h1, h2, h3, s0, s1, s2, s3] = *header;
        let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize;
        let [list, more, one] = [[l0, l1, l2, l3], [h0, h1, h2, h3], [s0, s1, s2, s3]].map(number);
        // A header of its own is defined for no kind.
        let entries = list.checked_sub(HEADER).filter(|_| more == 0 && one > OWNER);
        let entries = entries.filter(|entries| entries.is_multiple_of(one));
        let Some(entries) = entries else {
            return Err(bad(format!(
                "a signature list of {list} bytes would have a header of {more} more bytes and entries of {one} bytes"
            )));
        };
        let Some((entries, after)) = rest.get(HEADER..).and_then(|rest| rest.split_at_checked(entries))
        else {
            return Err(bad(format!(
                "a signature list would have {list} bytes, and {} are left",
                rest.len()
            )));
        };
        let entry = |entry: &[u8]| {
            let (owner, data) = entry.split_first_chunk::<OWNER>()?;
            Some((Guid::of_bytes(*owner), data.to_vec()))
        };
        lists.push(SignatureList {
            kind: Guid::of_bytes(kind),
            entries: entries.chunks(one).filter_map(entry).collect(),
        });
        rest = after;
    }
    Ok(lists)
}
