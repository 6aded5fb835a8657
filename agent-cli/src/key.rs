//! A key as the daemon describes it, checked at the door.

use std::path::Path;

use chancery_formats::openpgp::{Certificate, SigningKey};
use chancery_formats::{ssh, x509};
use chancery_protocol::agent::{Agent, KeyDescription};
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, CertificateKind, Format, KeyName, PublicKey, Scheme};

use crate::args::{self, Global};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// A key: what it is and what this user may do with it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: KeyName,
    pub(crate) description: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: PublicKey,
    /// DER of the SubjectPublicKeyInfo.
    pub(crate) spki: Vec<u8>,
    pub(crate) schemes: Vec<Scheme>,
    pub(crate) formats: Vec<Format>,
    /// Seconds since 1970.
    pub(crate) created: Option<u32>,
    /// Seconds since 1970.
    pub(crate) not_after: Option<u64>,
    pub(crate) uri: Option<String>,
    pub(crate) certificates: Vec<CertificateKind>,
}

impl Key {
    /// Asks the daemon for the key `name`.
    pub(crate) async fn fetch(client: &Client<Agent>, name: &KeyName) -> Result<Self, Failure> {
        let description = client.describe(name).await;
        Self::of(description.map_err(|error| daemon::failure(error, &Asked::about(name)))?)
    }

    /// Words of a newer daemon that are unknown here are left out of the lists.
    pub(crate) fn of(described: KeyDescription) -> Result<Self, Failure> {
        let name = described.name;
        let unknown = |what: String| {
            Failure::new(
                Exit::Failed,
                format!("key `{name}` is of a kind that this chancery does not know: {what}"),
            )
            .hint("update chancery to the version of the daemon")
        };
        let algorithm = Algorithm::from_code(described.algorithm)
            .ok_or_else(|| unknown(format!("algorithm {}", described.algorithm)))?;
        let public = PublicKey::from_spki(&described.public_key).map_err(|bad| unknown(bad.to_string()))?;
        if public.algorithm() != Some(algorithm) {
            return Err(unknown(format!("its public key is not one of {algorithm}")));
        }
        Ok(Self {
            name,
            description: described.description,
            algorithm,
            public,
            spki: described.public_key.into_vec(),
            schemes: described.schemes.into_iter().filter_map(Scheme::from_code).collect(),
            formats: described.formats.into_iter().filter_map(Format::from_code).collect(),
            created: described.created,
            not_after: described.not_after,
            uri: described.uri,
            certificates: described.certificates.into_iter().filter_map(CertificateKind::from_code).collect(),
        })
    }

    /// Refuses early, before an artifact is read, what the daemon would refuse later.
    pub(crate) fn serves(&self, format: Format, scheme: Scheme) -> Result<(), Failure> {
        let refused = |what: String| {
            Failure::new(Exit::Refused, format!("key `{}` does not serve {what} for you", self.name))
                .hint(format!("`chancery key show {}` lists what it serves", self.name))
        };
        if !self.formats.contains(&format) {
            return Err(refused(format!("format {format}")));
        }
        if !self.schemes.contains(&scheme) {
            let failure = refused(format!("scheme {scheme}"));
            return Err(match scheme.hash() {
                Some(_) => failure,
                // Such schemes sign messages, which a policy has to allow on its own.
                None => failure.hint(format!(
                    "the operator lets it sign whole messages with `inputs = [\"digest\", \"message\"]` in keys.d/{}.toml",
                    self.name
                )),
            });
        }
        Ok(())
    }

    /// The OpenPGP certificate that is stored with the key, if one is.
    pub(crate) async fn certificate(&self, client: &Client<Agent>) -> Result<Option<Certificate>, Failure> {
        if !self.certificates.contains(&CertificateKind::Openpgp) {
            return Ok(None);
        }
        let bytes = client.certificate(&self.name, CertificateKind::Openpgp).await;
        let bytes = bytes.map_err(|error| daemon::failure(error, &Asked::about(&self.name)))?;
        let certificate = Certificate::parse(&bytes).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!(
                    "the OpenPGP certificate stored with key `{}` cannot be read: {}",
                    self.name,
                    chain(&error)
                ),
            )
        })?;
        Ok(Some(certificate))
    }

    /// The X.509 certificate that is stored with the key, if one is.
    pub(crate) async fn x509(&self, client: &Client<Agent>) -> Result<Option<x509::Certificate>, Failure> {
        if !self.certificates.contains(&CertificateKind::X509) {
            return Ok(None);
        }
        let bytes = client.certificate(&self.name, CertificateKind::X509).await;
        let bytes = bytes.map_err(|error| daemon::failure(error, &Asked::about(&self.name)))?;
        let certificate = x509::Certificate::parse(&bytes).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!(
                    "the X.509 certificate stored with key `{}` cannot be read: {}",
                    self.name,
                    chain(&error)
                ),
            )
        })?;
        Ok(Some(certificate))
    }

    /// The key as OpenPGP sees it: from its certificate where one is stored, as the certificate's word counts for
    /// verifiers, otherwise from its creation time.
    pub(crate) fn openpgp(&self, certificate: Option<&Certificate>) -> Result<SigningKey, Failure> {
        let key = match (certificate, self.created) {
            (Some(certificate), _) => SigningKey::from_certificate(certificate, &self.public),
            (None, Some(created)) => SigningKey::new(self.algorithm, &self.public, created),
            (None, None) => {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("key `{}` has no creation time, which OpenPGP needs for its fingerprint", self.name),
                )
                .hint(format!(
                    "the operator sets `created = 2026-11-23T12:00:00Z` (its own time) in keys.d/{}.toml, once and for ever",
                    self.name
                )));
            }
        };
        key.map_err(|error| Failure::new(Exit::Failed, format!("key `{}`: {}", self.name, chain(&error))))
    }

    /// The key as SSH sees it.
    pub(crate) fn ssh(&self) -> Result<ssh::SigningKey, Failure> {
        ssh::SigningKey::new(self.algorithm, &self.public)
            .map_err(|error| Failure::new(Exit::Failed, format!("key `{}`: {}", self.name, chain(&error))))
    }
}

/// The OpenPGP certificates to verify with, from files and from the daemon.
pub(crate) async fn certificates(
    global: &Global,
    from: args::Certificates,
) -> Result<Vec<Certificate>, Failure> {
    let mut certificates = Vec::new();
    for path in &from.cert {
        certificates.append(&mut certificates_of(path)?);
    }
    if from.key.is_empty() {
        return Ok(certificates);
    }
    let client = daemon::agent(global).await?;
    for name in &from.key {
        let certificate = Key::fetch(&client, name).await?.certificate(&client).await?;
        certificates.push(certificate.ok_or_else(|| no_certificate(name, CertificateKind::Openpgp))?);
    }
    Ok(certificates)
}

/// Reads the OpenPGP certificates of a file.
fn certificates_of(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    Certificate::parse_all(&bytes).map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery key cert NAME --openpgp -o FILE` writes one")
    })
}

/// A key without a certificate.
pub(crate) fn no_certificate(name: &KeyName, kind: CertificateKind) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("no {kind} certificate is stored with key `{name}`"));
    match kind {
        CertificateKind::Openpgp => failure
            .hint(format!("the operator makes it with `chancery openpgp make-cert {name} --user-id \"Name <mail@example.org>\"`")),
        CertificateKind::X509 => failure.hint(format!(
            "the operator makes it with `chancery x509 self-sign {name} --subject \"CN=...\" --profile module`, or `efi`, \
             or `code`"
        )),
    }
}

/// PEM (RFC 7468) of `der`.
pub(crate) fn pem(label: &'static str, der: &[u8]) -> Result<String, Failure> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {label} as PEM: {error}")))
}

/// The public key in a PEM file, as [`pem`] writes it.
pub(crate) fn public_key_of(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    let not_one = |why: String| {
        Failure::new(Exit::BadArtifact, format!("{}: is not a public key in PEM: {why}", path.display()))
            .hint("`chancery key show NAME --pem` writes one")
    };
    match der::pem::decode_vec(&bytes) {
        Ok(("PUBLIC KEY", der)) => PublicKey::from_spki(&der).map_err(|bad| not_one(bad.to_string())),
        Ok((label, _)) => Err(not_one(format!("it is labelled {label}, not PUBLIC KEY"))),
        Err(error) => Err(not_one(error.to_string())),
    }
}
