//! `chancery verify efi`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::pe::verify;
use chancery_formats::x509::{Certificate, Profile};

use crate::args::{Global, VerifyEfi};
use crate::certificates::trusted;
use crate::efi::{Source, not_good};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(trusted(global, &args.certificates, Profile::Efi).await?);
    files::each(terminal, args.files, |path| {
        let certificates = Arc::clone(&certificates);
        blocking(move || one(&certificates, &path))
    })
    .await
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
