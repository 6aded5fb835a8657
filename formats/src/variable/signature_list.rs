//! What the variables hold: EFI_SIGNATURE_LISTs (UEFI, section 32.4.1).

use chancery_protocol::{Digest, Hash};

use super::{Error, Guid};
use crate::x509::Certificate;

/// EFI_CERT_X509_GUID, EFI_CERT_SHA256_GUID, EFI_CERT_SHA384_GUID and EFI_CERT_SHA512_GUID.
const X509: Guid = Guid::new(0xa5c0_59a1, 0x94e4, 0x4aa7, [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);
const SHA256: Guid = Guid::new(0xc1c4_1626, 0x504c, 0x4092, [0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28]);
const SHA384: Guid = Guid::new(0xff3e_5307, 0x9fd0, 0x48c9, [0x85, 0xf1, 0x8a, 0xd5, 0x6c, 0x70, 0x1e, 0x01]);
const SHA512: Guid = Guid::new(0x093e_0fae, 0xa6c4, 0x4f50, [0x9f, 0x1b, 0xd4, 0x1e, 0x2b, 0x89, 0xc1, 0x9a]);

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
