//! `chancery verify rpm`

use std::path::PathBuf;
use std::sync::Arc;

use chancery_formats::openpgp::Certificate;
use chancery_formats::rpm::{Check, Outcome, Report, verify};
use serde_json::{Value, json};

use super::sign_rpm::failure;
use crate::args::{Global, VerifyRpm};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::key::certificates;
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: VerifyRpm, terminal: &Terminal) -> Result<Exit, Failure> {
    let certificates = Arc::new(certificates(global, args.certificates).await?);
    files::each(terminal, args.files, |path| one(Arc::clone(&certificates), path)).await
}

async fn one(certificates: Arc<Vec<Certificate>>, path: PathBuf) -> Result<Done, Failure> {
    let report = blocking({
        let path = path.clone();
        move || verify(&path, &certificates).map_err(|error| failure(&path, &error))
    });
    let report = report.await?;
    if report.is_signed() {
        let checks: Vec<Value> = report.checks().iter().map(check).collect();
        // As `rpm -Kv` shows it: a line for each check below the file's name.
        let lines = format!("\n{}", report.to_string().trim_end_matches('\n'));
        return Ok(Done::new(Deed::Verified).text(lines).detail("checks", checks));
    }
    Err(told(&report, &path))
}

fn told(report: &Report, path: &std::path::Path) -> Failure {
    let file = path.display();
    let signatures = || report.checks().iter().filter(|check| check.name.contains("Signature"));
    let lines = report.to_string();
    let lines = lines.trim_end_matches('\n');
    let failure = |what: &str| Failure::new(Exit::Failed, format!("{file}: {what}\n{lines}"));
    if !report.is_intact() {
        failure("is damaged or was changed").hint("do not install it; fetch it again")
    } else if signatures().next().is_none() {
        failure("is not signed").hint(format!("`chancery sign rpm --key NAME {file}` signs it"))
    } else if signatures().any(|check| check.outcome == Outcome::NoKey) {
        failure("is signed by a key that none of the given certificates holds")
            .hint("give that key's certificate too, if you trust it: `--cert FILE`")
    } else {
        failure("is signed, but the signature is not to be trusted")
    }
}

fn check(check: &Check) -> Value {
    json!({
        "check": check.name,
        "outcome": check.outcome.to_string(),
        "signer": check.signer.as_ref().map(ToString::to_string),
    })
}
