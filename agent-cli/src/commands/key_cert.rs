//! `chancery key cert`

use chancery_formats::openpgp::Certificate;
use chancery_protocol::CertificateKind;
use serde_json::json;

use crate::args::{Global, KeyCert, Output};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::key::{no_certificate, pem};
use crate::output;
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: KeyCert, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.output == Output::Stdout {
        terminal.keep_stdout_for_product();
    }
    let client = daemon::agent(global).await?;
    let kind = if args.openpgp { CertificateKind::Openpgp } else { CertificateKind::X509 };
    let stored = client.describe(&args.name).await.map(|key| key.certificates);
    let stored = stored.map_err(|error| daemon::failure(error, &Asked::about(&args.name)))?;
    if !stored.contains(&kind.code()) {
        return Err(no_certificate(&args.name, kind));
    }
    let bytes = client.certificate(&args.name, kind).await;
    let bytes = bytes.map_err(|error| daemon::failure(error, &Asked::about(&args.name)))?;
    let bytes = match kind {
        CertificateKind::Openpgp if !args.no_armor => {
            let armored = Certificate::parse(&bytes).and_then(|certificate| certificate.to_armored());
            armored.map_err(|error| {
                Failure::new(Exit::Failed, format!("the stored certificate: {}", chain(&error)))
            })?
        }
        CertificateKind::X509 if args.armor => pem("CERTIFICATE", &bytes)?.into_bytes(),
        _ => bytes,
    };
    output::deliver(&args.output, &bytes, terminal)?;
    if let Output::File(path) = &args.output {
        terminal.news(
            format_args!("{}: {kind} certificate of key `{}`", path.display(), args.name),
            &json!({ "file": path.to_string_lossy(), "key": args.name.as_str(), "certificate": kind.as_str() }),
        );
    }
    Ok(Exit::Done)
}
