//! How a signature names the certificate of its signer (RFC 5652, section 5.3).

use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use cms::signed_data::SignerIdentifier;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::x509::Certificate;

/// How a signature names the certificate of its signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignerId {
    /// By its issuer and serial number, as most tools do it, and as Authenticode and modinfo want it.
    #[default]
    IssuerAndSerialNumber,
    /// By its subject key identifier: `-keyid` of openssl, `-k` of the kernel's sign-file.
    SubjectKeyIdentifier,
}

impl SignerId {
    /// The name of `certificate`; `None` if it bears none of this kind.
    pub(crate) fn of(self, certificate: &Certificate) -> Option<SignerIdentifier> {
        Some(match self {
            Self::IssuerAndSerialNumber => {
                SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(certificate))
            }
            Self::SubjectKeyIdentifier => {
                SignerIdentifier::SubjectKeyIdentifier(certificate.key_identifier()?)
            }
        })
    }

    /// How `name` names.
    pub(crate) const fn used_by(name: &SignerIdentifier) -> Self {
        match name {
            SignerIdentifier::IssuerAndSerialNumber(_) => Self::IssuerAndSerialNumber,
            SignerIdentifier::SubjectKeyIdentifier(_) => Self::SubjectKeyIdentifier,
        }
    }

    /// The version of a SignerInfo that names so.
    pub(crate) const fn version(self) -> CmsVersion {
        match self {
            Self::IssuerAndSerialNumber => CmsVersion::V1,
            Self::SubjectKeyIdentifier => CmsVersion::V3,
        }
    }
}

/// The name of `certificate` (RFC 5652, section 10.2.4).
pub(crate) fn issuer_and_serial_number(certificate: &Certificate) -> IssuerAndSerialNumber {
    let said = certificate.parsed().tbs_certificate();
    IssuerAndSerialNumber { issuer: said.issuer().clone(), serial_number: said.serial_number().clone() }
}

/// Whether `name` is one of `certificate`, whose key may be of any kind.
pub(super) fn names(name: &SignerIdentifier, certificate: &x509_cert::Certificate) -> bool {
    let said = certificate.tbs_certificate();
    match name {
        SignerIdentifier::IssuerAndSerialNumber(name) => {
            name.issuer == *said.issuer() && name.serial_number == *said.serial_number()
        }
        SignerIdentifier::SubjectKeyIdentifier(identifier) => {
            let own = said.get_extension::<SubjectKeyIdentifier>();
            matches!(own, Ok(Some((_, own))) if own == *identifier)
        }
    }
}

/// `name` for people.
pub(super) fn shown(name: &SignerIdentifier) -> String {
    match name {
        SignerIdentifier::IssuerAndSerialNumber(name) => {
            format!("`{}`, serial number {}", name.issuer, hex::encode(name.serial_number.as_bytes()))
        }
        SignerIdentifier::SubjectKeyIdentifier(identifier) => {
            format!("the key with identifier {}", hex::encode(identifier.0.as_bytes()))
        }
    }
}
