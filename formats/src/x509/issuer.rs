//! Who issued a certificate (RFC 5280, section 6.1.3), as far as Secure Boot asks: names and signatures, not dates.

use chancery_protocol::{Algorithm, Hash, Scheme};
use der::asn1::ObjectIdentifier;
use der::{Reader, SliceReader};
use x509_cert::ext::pkix::BasicConstraints;

use super::Certificate;
use super::signer::{ecdsa_with, rsa_with};
use crate::raw::{self, Input};

impl Certificate {
    /// Whether this is an authority that issued `other`: it bears the issuer's name, and its key signed. The algorithm stands
    /// beside what is signed, and in it; both have to be the same (RFC 5280, section 4.1.1.2).
    pub fn issued(&self, other: &Self) -> bool {
        let said = self.parsed().tbs_certificate();
        let constraints = said.get_extension::<BasicConstraints>();
        let authority = matches!(constraints, Ok(Some((_, constraints))) if constraints.ca);
        authority
            && said.subject() == other.parsed().tbs_certificate().issuer()
            && other.parsed().signature_algorithm() == other.parsed().tbs_certificate().signature()
            && self.signed(other).is_some_and(|signed| signed)
    }

    /// Whether this key signed `other`; `None` if that cannot be told here.
    fn signed(&self, other: &Self) -> Option<bool> {
        let algorithm = self.public_key().algorithm()?;
        let hash = signed_with(other.parsed().signature_algorithm().oid, algorithm)?;
        let scheme = Scheme::over_digest(algorithm, hash);
        let input = Input::of(scheme, signed_part(other.as_der())?.to_vec()).ok()?;
        let value = raw::of_value(algorithm, other.parsed().signature().as_bytes()?)?;
        Some(raw::verify(self.public_key(), scheme, &input, &value).is_ok())
    }
}

/// The hash by which keys of this algorithm make signatures of this name.
fn signed_with(name: ObjectIdentifier, algorithm: Algorithm) -> Option<Hash> {
    let named = |hash| match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => ecdsa_with(hash),
        _ => rsa_with(hash),
    };
    Hash::ALL.iter().copied().find(|&hash| named(hash) == name)
}

/// The DER of what a certificate says, its TBSCertificate, as it was signed.
fn signed_part(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    let signed = reader.sequence(|certificate| {
        let signed = certificate.tlv_bytes()?;
        while !certificate.is_finished() {
            certificate.tlv_bytes()?;
        }
        Ok::<_, der::Error>(signed)
    });
    signed.ok()
}
