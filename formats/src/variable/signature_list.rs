//! What the variables hold: EFI_SIGNATURE_LISTs (UEFI, section 32.4.1).

use chancery_protocol::{Digest, Hash};

use super::{Error, Guid};
use crate::x509::Certificate;

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
