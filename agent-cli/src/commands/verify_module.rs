//! `chancery verify module`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::module::{VerifyError, verify};
use chancery_formats::x509::Certificate;
use chancery_protocol::CertificateKind;

use crate::args::{Global, VerifyModule};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::key::{Key, no_certificate};
use crate::module::{Source, certificate_of, failure};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyModule, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(certificates(global, &args).await?);
    files::each(terminal, args.files, |path| {
        let certificates = Arc::clone(&certificates);
        blocking(move || one(&certificates, &path))
    })
    .await
}

async fn certificates(global: &Global, args: &VerifyModule) -> Result<Vec<Certificate>, Failure> {
    let mut certificates =
        args.cert.iter().map(|path| certificate_of(path)).collect::<Result<Vec<_>, _>>()?;
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
    let (module, plain) = source.plain();
    let verified = verify(module, plain, certificates).map_err(|error| told(path, &error))?;
    let subject = verified.subject.to_string();
    Ok(Done::new(Deed::Verified)
        .text(format!("signature of `{subject}` over {}", verified.hash))
        .detail("subject", subject)
        .detail("hash", verified.hash.as_str())
        .detail("signatures", source.module.signatures()))
}

fn told(path: &Path, error: &VerifyError) -> Failure {
    let file = path.display();
    let failed = |error: String| Failure::new(Exit::Failed, format!("{file}: {error}"));
    match error {
        VerifyError::NoSignature => {
            failed("is not signed".into()).hint(format!("`chancery sign module --key NAME {file}` signs it"))
        }
        VerifyError::UnknownSigner(_) => {
            failed(chain(error)).hint("give that certificate too, if you trust it: `--cert FILE`")
        }
        VerifyError::BadSignature(_) => failed(chain(error)).hint("do not load it; build it again"),
        VerifyError::Module(error) => failure(path, error),
        _ => failed(chain(error)),
    }
}
