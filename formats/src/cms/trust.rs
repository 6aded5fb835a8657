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
    path(signer, embedded, anchors)?.last().copied()
}

/// The whole way, from `signer` to one of `anchors`, which may be the signer itself.
pub(crate) fn path<'a>(
    signer: &'a Certificate,
    embedded: &'a [Certificate],
    anchors: &'a [Certificate],
) -> Option<Vec<&'a Certificate>> {
    /// Most certificates on the way; longer ones are nobody's.
    const MAX_DEPTH: usize = 8;
    let mut at = signer;
    let mut path = vec![signer];
    for _ in 0..MAX_DEPTH {
        if let Some(found) = anchors.iter().find(|anchor| *anchor == at || anchor.issued(at)) {
            if found != at {
                path.push(found);
            }
            return Some(path);
        }
        at = embedded.iter().find(|issuer| *issuer != at && issuer.issued(at))?;
        path.push(at);
    }
    None
}
