//! Verification against given certificates. A convenience; openssl and the kernel are the judges.

use chancery_protocol::Hash;

use super::Content;
use crate::cms::{self, DATA, SignerId, VerifyError, anchor, embedded, signing_certificate};
use crate::x509::{Certificate, Subject};

/// A signature that was read. Nobody has verified it.
#[derive(Debug, Clone)]
pub struct Signature(cms::Signature);

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key signed.
    pub subject: Subject,
    /// Which of the given certificates vouches for it: the signer's, or one of its issuers'.
    pub anchor: Subject,
    /// The hash of the file that was signed.
    pub hash: Hash,
    /// How the signature names its certificate.
    pub signer: SignerId,
    /// When the signer says to have signed, in seconds since 1970.
    pub signing_time: Option<u64>,
}

impl Signature {
    /// Reads a signature that holds no content, as [`open`](super::open) gives it.
    pub fn decode(cms: &[u8]) -> Result<Self, VerifyError> {
        let signature = cms::Signature::decode(cms)?;
        if signature.content_type != DATA {
            return Err(VerifyError::Malformed("is over content of another kind than a file's (id-data)"));
        }
        Ok(Self(signature))
    }

    /// By which the file has to be read.
    pub const fn hash(&self) -> Hash {
        self.0.hash
    }

    /// Verifies it over a file: its signer has to be among the `certificates`, or issued by one of them, by way of those
    /// that the signature holds. Certificates count whatever their dates say.
    pub fn verify(&self, content: &Content, certificates: &[Certificate]) -> Result<Verified, VerifyError> {
        let Self(signature) = self;
        let embedded = embedded(signature);
        let signer = embedded.iter().chain(certificates).find(|one| signature.names(one));
        let signer = signer.ok_or_else(|| VerifyError::NoSigner(signature.signer()))?;
        let anchor = anchor(signer, &embedded, certificates)
            .ok_or_else(|| VerifyError::UnknownSigner(signature.signer()))?;
        signature.check_over(signer, &content.digest)?;
        if let Some(attributes) = &signature.attributes {
            signing_certificate::check(attributes, signer)?;
        }
        Ok(Verified {
            subject: signer.subject(),
            anchor: anchor.subject(),
            hash: signature.hash,
            signer: signature.signer_id(),
            signing_time: signature.attributes.as_ref().and_then(cms::Attributes::signing_time),
        })
    }
}
