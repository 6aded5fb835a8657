//! Verification against given certificates, as the kernel does it. A convenience; the kernel and openssl are the judges.

use std::io::{Read, Seek};

use chancery_protocol::{Digest, Hash};

use super::cms::decode;
use super::sign::digest_of;
use super::{Error, Existing, Module, Signed, SignerId, VerifyError};
use crate::x509::{Certificate, Subject};

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key signed.
    pub subject: Subject,
    /// The hash of the module that was signed.
    pub hash: Hash,
    /// How the signature names its certificate.
    pub signer: SignerId,
}

/// Verifies the last signature of `module`, which was read from `file`. Certificates count whatever their dates say, as
/// they do for the kernel.
pub fn verify(
    module: &Module,
    file: &mut (impl Read + Seek),
    certificates: &[Certificate],
) -> Result<Verified, VerifyError> {
    let signature = module.last_signature().ok_or(VerifyError::NoSignature)?;
    check(signature, module.signed_len(), file, certificates).map(|(verified, _)| verified)
}

/// The signature of `module` alone, if it is the only one, has this form and is good: what signing again would give.
pub fn signature_of(
    module: &Module,
    file: &mut (impl Read + Seek),
    certificate: &Certificate,
    hash: Hash,
    form: SignerId,
) -> Result<Option<Verified>, Error> {
    let (1, Some(signature)) = (module.signatures(), module.last_signature()) else { return Ok(None) };
    let same = decode(signature).is_ok_and(|signature| {
        signature.hash == hash && signature.signer_id() == form && signature.names(certificate)
    });
    if !same {
        return Ok(None);
    }
    match verify(module, file, std::slice::from_ref(certificate)) {
        Ok(verified) => Ok(Some(verified)),
        Err(VerifyError::Module(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Verifies a signature that lies apart from `module`, such as `sign-file -d` writes, so that it can be appended.
pub fn verify_detached(
    signature: &[u8],
    module: &Module,
    file: &mut (impl Read + Seek),
    certificate: &Certificate,
    existing: Existing,
) -> Result<Signed, VerifyError> {
    let len = match existing {
        Existing::Replace => module.contents_len(),
        Existing::Stack => module.file_len(),
    };
    let (_, digest) = check(signature, len, file, std::slice::from_ref(certificate))?;
    Ok(Signed::new(signature.to_vec(), digest, len))
}

fn check(
    signature: &[u8],
    len: u64,
    file: &mut (impl Read + Seek),
    certificates: &[Certificate],
) -> Result<(Verified, Digest), VerifyError> {
    let signature = decode(signature)?;
    let certificate = certificates.iter().find(|certificate| signature.names(certificate));
    let certificate = certificate.ok_or_else(|| VerifyError::UnknownSigner(signature.signer()))?;
    let digest = digest_of(file, len, signature.hash)?;
    signature.check_over(certificate, &digest)?;
    let verified =
        Verified { subject: certificate.subject(), hash: signature.hash, signer: signature.signer_id() };
    Ok((verified, digest))
}
