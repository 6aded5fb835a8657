//! A self-signed certificate for a key of the token, in its two phases.

use std::time::Duration;

use chancery_protocol::{Hash, PublicKey, Scheme};
use der::DateTime;
use der::asn1::BitString;
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::{self, Time};

use super::error::library;
use super::signer::Signer;
use super::{Certificate, Error, Profile, Serial, Subject};
use crate::raw::{self, Input};

/// When a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when.
    pub not_before: u64,
    /// Until when; `None` for a certificate that does not expire (RFC 5280, section 4.1.2.5: 99991231235959Z).
    pub not_after: Option<u64>,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// Whose key it is; of a self-signed certificate also who says so.
    pub subject: Subject,
    /// What the key is for.
    pub profile: Profile,
    /// When it is valid.
    pub validity: Validity,
    /// Its serial number.
    pub serial: Serial,
    /// The hash of its signature; `None` for the one that suits the key.
    pub hash: Option<Hash>,
}

/// A certificate that lacks its signature: sign [`input`](Self::input) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[must_use]
pub struct PendingCertificate {
    signer: Signer,
    builder: CertificateBuilder<SelfSigned>,
    input: Input,
}

/// Prepares a self-signed certificate. The same input gives the same bytes to sign.
pub fn prepare_certificate(
    key: &PublicKey,
    options: &CertificateOptions,
) -> Result<PendingCertificate, Error> {
    let what = "prepare a certificate";
    let signer = Signer::new(key, options.hash)?;
    let profile = SelfSigned { subject: options.subject.name().clone(), profile: options.profile };
    let serial = SerialNumber::new(options.serial.bytes()).map_err(library(what))?;
    let validity = validity(options.validity)?;
    let mut builder =
        CertificateBuilder::new(profile, serial, validity, signer.spki()?).map_err(library(what))?;
    let message = builder.finalize(&signer).map_err(library(what))?;
    let input = Input::of(signer.scheme, message)?;
    Ok(PendingCertificate { signer, builder, input })
}

impl PendingCertificate {
    /// What is to be signed.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.signer.scheme
    }

    /// The certificate, once `raw` has been checked against its own key.
    pub fn finish(self, raw: &[u8]) -> Result<Certificate, Error> {
        let what = "assemble a certificate";
        let signature = checked(&self.signer, &self.input, raw)?;
        let certificate = self.builder.assemble(signature, &self.signer).map_err(library(what))?;
        Certificate::of(&certificate)
    }
}

/// A raw signature as a certificate or request holds it, once it has been checked.
pub(super) fn checked(signer: &Signer, input: &Input, raw: &[u8]) -> Result<BitString, Error> {
    raw::verify(&signer.key, signer.scheme, input, raw)?;
    let what = "write a signature";
    let value = raw::to_value(signer.algorithm, raw).map_err(library(what))?;
    BitString::from_bytes(&value).map_err(library(what))
}

fn validity(asked: Validity) -> Result<time::Validity, Error> {
    let bad = |not_after| Error::Validity { not_before: asked.not_before, not_after };
    let time = |seconds: u64| {
        DateTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::from).map_err(|_| bad(seconds))
    };
    let not_after = match asked.not_after {
        Some(end) if end <= asked.not_before => return Err(bad(end)),
        Some(end) => time(end)?,
        None => Time::INFINITY,
    };
    Ok(time::Validity::new(time(asked.not_before)?, not_after))
}

/// What the library's builder asks of a profile.
struct SelfSigned {
    subject: Name,
    profile: Profile,
}

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        _issuer: SubjectPublicKeyInfoRef<'_>,
        _said: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(self.profile.extensions(key, &self.subject)?)
    }
}
