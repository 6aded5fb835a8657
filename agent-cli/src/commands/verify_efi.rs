//! `chancery verify efi`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::pe::verify;
use chancery_formats::x509::Certificate;
use chancery_protocol::CertificateKind;

use crate::args::{Global, VerifyEfi};
use crate::daemon;
use crate::efi::{Source, certificates_of, not_good};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::key::{Key, no_certificate};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(certificates(global, &args).await?);
    files::each(terminal, args.files, |path| {
        let certificates = Arc::clone(&certificates);
        blocking(move || one(&certificates, &path))
    })
    .await
}

async fn certificates(global: &Global, args: &VerifyEfi) -> Result<Vec<Certificate>, Failure> {
    let mut certificates = Vec::new();
    for path in &args.cert {
        certificates.append(&mut certificates_of(path)?);
    }
    if args.key.is_empty() {
        return Ok(certificates);
    }
    let client = daemon::agent(global).await?;
    for name in &args.key {
        let certificate = Key::fetch(&client, name).await?.x509(&client).await?;
        certificates.push(certificate.ok_or_else(|| no_certificate(name, CertificateKind::X509))?);
    }
    Ok(certificates)
}

fn one(certificates: &[Certificate], path: &Path) -> Result<Done, Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    let verified = verify(image, plain, certificates).map_err(|error| not_good(path, &error))?;
    let (subject, anchor) = (verified.subject.to_string(), verified.anchor.to_string());
    let by = if subject == anchor { String::new() } else { format!(", vouched for by `{anchor}`") };
    Ok(Done::new(Deed::Verified)
        .text(format!("signature of `{subject}` over {}{by}", verified.hash))
        .detail("subject", subject)
        .detail("anchor", anchor)
        .detail("hash", verified.hash.as_str())
        .detail("signatures", source.image.entries().count()))
}
