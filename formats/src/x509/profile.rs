//! What certificates are for, told by their extensions (RFC 5280, section 4.2).

use std::fmt;
use std::str::FromStr;

use der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::Error;

/// id-kp-codeSigning (RFC 5280, section 4.2.1.12).
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Linux kernel modules: what the kernel's own certs/default_x509.genkey says, and codeSigning. No authority: since
    /// Linux 6.4 such a certificate can be let into keyrings that hold signing keys alone.
    Module,
    /// UEFI Secure Boot and shim's machine owner keys: an authority, as `openssl req -x509` and distributions make
    /// them, since some firmware takes only such as the end of a chain; codeSigning.
    Efi,
    /// Programs and other files by CMS or Authenticode: for signing code alone, and critically so.
    Code,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Module, Self::Efi, Self::Code];

    /// The one spelling of this profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Efi => "efi",
            Self::Code => "code",
        }
    }

    /// The extensions of a self-signed certificate for this key, in the order of the kernel's genkey file.
    pub(super) fn extensions(
        self,
        key: SubjectPublicKeyInfoRef<'_>,
        subject: &Name,
    ) -> Result<Vec<Extension>, der::Error> {
        let (authority, usage) = match self {
            Self::Module | Self::Code => (None, KeyUsages::DigitalSignature.into()),
            Self::Efi => (Some(0), KeyUsages::DigitalSignature | KeyUsages::KeyCertSign | KeyUsages::CRLSign),
        };
        let identifier = key_identifier(key)?;
        let issuer =
            AuthorityKeyIdentifier { key_identifier: Some(identifier.clone()), ..Default::default() };
        let mut extensions = vec![
            critical(&BasicConstraints { ca: authority.is_some(), path_len_constraint: authority }, subject)?,
            critical(&KeyUsage(usage), subject)?,
            (&ExtendedKeyUsage(vec![CODE_SIGNING])).to_extension(subject, &[])?,
            (&SubjectKeyIdentifier(identifier)).to_extension(subject, &[])?,
            (&issuer).to_extension(subject, &[])?,
        ];
        extensions[2].critical = self == Self::Code;
        Ok(extensions)
    }
}

/// The SHA-1 of the key's bits (RFC 5280, section 4.2.1.2, method 1), as openssl and the kernel's tools make it: a name,
/// not a seal.
fn key_identifier(key: SubjectPublicKeyInfoRef<'_>) -> Result<OctetString, der::Error> {
    SubjectKeyIdentifier::try_from(key).map(|identifier| identifier.0)
}

fn critical<'a, E>(extension: &'a E, subject: &Name) -> Result<Extension, der::Error>
where
    &'a E: ToExtension<Error = der::Error>,
{
    let mut extension = extension.to_extension(subject, &[])?;
    extension.critical = true;
    Ok(extension)
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|profile| profile.as_str() == text);
        found.ok_or_else(|| Error::UnknownProfile(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_parsed_from_its_own_spelling() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse::<Profile>().unwrap(), profile);
        }
        assert!("tls".parse::<Profile>().is_err());
    }
}
