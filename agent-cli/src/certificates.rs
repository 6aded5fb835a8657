//! X.509 certificates: the one that a signature is to be by, and those that are trusted.

use std::path::{Path, PathBuf};

use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;
use chancery_protocol::{CertificateKind, KeyName};

use crate::args::{Global, X509Certificates};
use crate::daemon;
use crate::efi::certificates_of;
use crate::failure::Failure;
use crate::key::{Key, no_certificate};
use crate::module::{belongs, certificate_of};

/// The certificate that signatures by `key` are to name: the one in the file, which has to be the key's, or the one that is
/// stored with the key. An operator who has not made one would make it with this profile.
pub(crate) async fn of_signer(
    client: &Client<Agent>,
    key: &Key,
    file: Option<&Path>,
    profile: Profile,
) -> Result<Certificate, Failure> {
    let Some(path) = file else {
        return key.x509(client).await?.ok_or_else(|| missing(&key.name, profile));
    };
    let certificate = certificate_of(path)?;
    belongs(&certificate, key, &path.display().to_string())?;
    Ok(certificate)
}

/// The certificates to embed behind the signer's, from files.
pub(crate) fn chain(files: &[PathBuf], signer: &Certificate) -> Result<Vec<Certificate>, Failure> {
    let mut chain = Vec::new();
    for path in files {
        chain.append(&mut certificates_of(path)?);
    }
    chain.retain(|embedded| embedded != signer);
    Ok(chain)
}

/// The certificates to verify with, from files and from the daemon.
pub(crate) async fn trusted(
    global: &Global,
    from: &X509Certificates,
    profile: Profile,
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
        let certificate = Key::fetch(&client, name).await?.x509(&client).await?;
        certificates.push(certificate.ok_or_else(|| missing(name, profile))?);
    }
    Ok(certificates)
}

fn missing(name: &KeyName, profile: Profile) -> Failure {
    no_certificate(name, CertificateKind::X509).hint(format!(
        "the operator makes it with `chancery x509 self-sign {name} --subject \"CN=...\" --profile {}`",
        profile.as_str()
    ))
}
