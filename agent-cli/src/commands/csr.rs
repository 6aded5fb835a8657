//! `chancery x509 csr`

use chancery_formats::x509::prepare_request;
use chancery_protocol::Format;
use serde_json::json;

use super::self_sign::failure;
use crate::args::{Csr, Global, Output};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Key;
use crate::output;
use crate::signer::{Artifact, Signer};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: Csr, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.output == Output::Stdout {
        terminal.keep_stdout_for_product();
    }
    let agent = daemon::agent(global).await?;
    let key = Key::fetch(&agent, &args.name).await?;
    let pending =
        prepare_request(&key.public, &args.subject, args.digest).map_err(|error| failure(&error))?;
    key.serves(Format::X509, pending.scheme())?;
    let artifact = format!("{}.csr", key.name);
    let signer = Signer::new(agent, key.name, Format::X509, global.build_id.as_deref());
    let raw = signer.sign_input(Artifact::named(&artifact), pending.scheme(), pending.input()).await?;
    let request = pending.finish(&raw).map_err(|error| failure(&error))?;
    let bytes = if args.no_armor { request.to_der() } else { request.to_pem().map(String::into_bytes) };
    output::deliver(&args.output, &bytes.map_err(|error| failure(&error))?, terminal)?;
    terminal.news(
        format_args!("request of key `{}` for `{}` made", args.name, args.subject),
        &json!({ "key": args.name.as_str(), "result": "made", "subject": args.subject.to_string() }),
    );
    Ok(Exit::Done)
}
