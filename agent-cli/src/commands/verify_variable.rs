//! `chancery verify efi-variable`

use std::sync::Arc;

use chancery_formats::variable::VerifyError;
use chancery_formats::x509::Profile;

use crate::args::{Global, VerifyVariable};
use crate::certificates::trusted;
use crate::commands::show_variable::{read, time};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyVariable, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(trusted(global, &args.certificates, Profile::Efi).await?);
    let variable = args.variable;
    files::each(terminal, vec![args.file], |path| {
        let certificates = Arc::clone(&certificates);
        blocking(move || {
            let update = read(&path)?;
            let told = |error: &VerifyError| {
                Failure::new(Exit::Failed, format!("{}: {}", path.display(), chain(error))).hint(next(error))
            };
            let verified = update.verify(variable, &certificates).map_err(|error| told(&error))?;
            let what = if verified.append { "adds to" } else { "replaces" };
            let (subject, anchor) = (verified.subject.to_string(), verified.anchor.to_string());
            let by = if subject == anchor { String::new() } else { format!(", vouched for by `{anchor}`") };
            Ok(Done::new(Deed::Verified)
                .text(format!("signature of `{subject}`{by}: {what} {variable}, made {}", time(&update)))
                .detail("subject", subject)
                .detail("anchor", anchor)
                .detail("variable", variable.as_str())
                .detail("append", verified.append)
                .detail("time", time(&update)))
        })
    })
    .await
}

fn next(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::NoSigner(_) | VerifyError::Hash(_) => {
            "sign it with `chancery sign efi-variable`, which writes what firmware takes"
        }
        VerifyError::UnknownSigner(_) => {
            "PK's owner signs for PK and KEK, KEK's for the databases: give that certificate with `--cert FILE`"
        }
        VerifyError::PlatformKey => {
            "name the variable that it is meant for, or sign PK with one `--add-cert`"
        }
        _ => "name the variable that it is meant for, or sign it again",
    }
}
