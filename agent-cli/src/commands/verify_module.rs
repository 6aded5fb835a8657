//! `chancery verify module`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::module::{VerifyError, verify};
use chancery_formats::x509::{Certificate, Profile};

use crate::args::{Global, VerifyModule};
use crate::certificates::trusted;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::module::{Source, failure};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyModule, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(trusted(global, &args.certificates, Profile::Module).await?);
    files::each(terminal, args.files, |path| {
        let certificates = Arc::clone(&certificates);
        blocking(move || one(&certificates, &path))
    })
    .await
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
