//! The way up from a signer to a certificate that is trusted, by names and signatures. Dates do not count here.

use super::Signature;
use crate::x509::Certificate;

/// The certificates that a signature holds, as far as their keys are known here.
pub(crate) fn embedded(signature: &Signature) -> Vec<Certificate> {
    signature.certificates().iter().filter_map(|der| Certificate::parse(der).ok()).collect()
}

/// The one of `anchors` that the way up from `signer` reaches, by way of the `embedded` ones.
pub(crate) fn anchor<'a>(
    signer: &'a Certificate,
    embedded: &'a [Certificate],
    anchors: &'a [Certificate],
) -> Option<&'a Certificate> {
    /// Most certificates on the way; longer ones are nobody's.
    const MAX_DEPTH: usize = 8;
    let mut at = signer;
    for _ in 0..MAX_DEPTH {
        let found = anchors.iter().find(|anchor| *anchor == at || anchor.issued(at));
        if found.is_some() {
            return found;
        }
        at = embedded.iter().find(|issuer| *issuer != at && issuer.issued(at))?;
    }
    None
}
