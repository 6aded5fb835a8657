//! The signature itself: CMS SignedData (RFC 5652, section 5) without content, certificates and signed attributes, as the
//! kernel's sign-file makes it.

use super::VerifyError;
use crate::cms::{DATA, Signature};

/// Reads what the kernel would take: one signer, no content, no signed attributes.
pub(super) fn decode(bytes: &[u8]) -> Result<Signature, VerifyError> {
    let bad = VerifyError::Malformed;
    let signature = Signature::decode(bytes)?;
    if signature.content.is_some() || signature.content_type != DATA {
        return Err(bad("holds contents of its own, which the kernel refuses"));
    }
    if signature.attributes.is_some() {
        return Err(bad("has signed attributes, which the kernel refuses on modules"));
    }
    Ok(signature)
}
