//! `chancery openpgp make-cert`

use chancery_formats::openpgp::{Certificate, CertificateOptions, SigningKey, prepare_certificate};
use chancery_protocol::admin::{Admin, StoreCertificate};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::{ByteBuf, CertificateKind, Format, KeyName, Reason};
use jiff::Timestamp;
use serde_json::json;

use crate::args::{Expires, Global, MakeCert, Output};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::key::Key;
use crate::output;
use crate::signer::{Artifact, Signer};
use crate::terminal::Terminal;

/// Whether the certificate was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Was {
    Made,
    Stored,
}

pub(crate) async fn run(global: &Global, args: MakeCert, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.output == Output::Stdout {
        terminal.keep_stdout_for_product();
    }
    let agent = daemon::agent(global).await?;
    let key = Key::fetch(&agent, &args.name).await?;
    let (certificate, was) = match key.certificate(&agent).await? {
        Some(certificate) => (certificate, Was::Stored),
        None => make(global, &args, &agent, &key).await?,
    };
    if was == Was::Stored {
        agree(&certificate, &args)?;
    }
    let armored = certificate.to_armored().map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
    output::deliver(&args.output, &armored, terminal)?;

    let (word, text) = match was {
        Was::Made => ("made", "made and stored"),
        Was::Stored => ("already-made", "was made before; this is the stored one"),
    };
    let fingerprint = certificate.fingerprint();
    terminal.news(
        format_args!("certificate {fingerprint} of key `{}` {text}", args.name),
        &json!({
            "key": args.name.as_str(),
            "result": word,
            "fingerprint": fingerprint.to_string(),
            "user_ids": certificate.user_ids(),
            "expires": certificate.expires(),
        }),
    );
    if was == Was::Made {
        let file = match &args.output {
            Output::File(path) => path.display().to_string(),
            Output::Stdout => "FILE".to_owned(),
        };
        terminal.hint(format_args!(
            "`rpm --import {file}` or `gpg --import {file}` where signatures are verified"
        ));
    }
    Ok(Exit::Done)
}

async fn make(
    global: &Global,
    args: &MakeCert,
    agent: &Client<Agent>,
    key: &Key,
) -> Result<(Certificate, Was), Failure> {
    // Before anything is signed, see that it can be kept.
    let admin = daemon::admin(global).await?;
    let signing_key = key.openpgp(None)?;
    let options = CertificateOptions {
        user_ids: args.user_id.clone(),
        created: signing_key.created(),
        valid_for: valid_for(args.expires, key, &signing_key)?,
        hash: signing_key.default_hash(),
    };
    let of_formats = |error: chancery_formats::openpgp::Error| Failure::new(Exit::Failed, chain(&error));
    let pending = prepare_certificate(&signing_key, &options).map_err(of_formats)?;
    key.serves(Format::OpenpgpCertificate, pending.scheme())?;
    let signer =
        Signer::new(agent.clone(), key.name.clone(), Format::OpenpgpCertificate, global.build_id.as_deref());
    let artifact = format!("{}.asc", key.name);
    let raw = signer.sign(Artifact::named(&artifact), pending.scheme(), &pending.digests()).await?;
    let certificate = pending.finish(&raw).map_err(of_formats)?;
    match store(&admin, &key.name, &certificate.to_binary().map_err(of_formats)?).await {
        Ok(_) => Ok((certificate, Was::Made)),
        // Somebody was faster: theirs counts.
        Err(ClientError::Refused(refusal)) if refusal.reason() == Reason::Exists => {
            let again = Key::fetch(agent, &key.name).await?.certificate(agent).await?;
            Ok((again.unwrap_or(certificate), Was::Stored))
        }
        Err(error) => Err(daemon::failure(error, &Asked::admin_about(&key.name))),
    }
}

async fn store(admin: &Client<Admin>, key: &KeyName, certificate: &[u8]) -> Result<String, ClientError> {
    let request = StoreCertificate {
        key: key.clone(),
        kind: CertificateKind::Openpgp.code(),
        bytes: ByteBuf::from(certificate),
    };
    admin.store_certificate(request).await
}

/// A certificate is made once: another one for the same key would have the same fingerprint and say something else.
fn agree(stored: &Certificate, args: &MakeCert) -> Result<(), Failure> {
    let user_ids = stored.user_ids();
    if user_ids == args.user_id {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("key `{}` has a certificate already, for {}", args.name, user_ids.join(", ")),
    )
    .hint(format!(
        "`chancery key cert {} --openpgp` writes it; another name needs another key (`chancery key generate`)",
        args.name
    )))
}

/// Seconds from the key's creation to the certificate's expiry.
fn valid_for(expires: Option<Expires>, key: &Key, signing_key: &SigningKey) -> Result<Option<u32>, Failure> {
    let end = match expires {
        Some(Expires::Never) => None,
        Some(expires) => Some(expires.moment(Timestamp::now()).unwrap_or(i64::MAX)),
        None => key.not_after.map(|end| i64::try_from(end).unwrap_or(i64::MAX)),
    };
    let Some(end) = end else { return Ok(None) };
    let seconds = end - i64::from(signing_key.created());
    let end_is = |what: &str| {
        Failure::new(Exit::Usage, format!("the certificate would expire {what}"))
            .hint("choose another time with `--expires`, such as `--expires 2y`")
    };
    match u32::try_from(seconds) {
        // RFC 9580, section 5.2.3.13: zero would mean never.
        Ok(0) => Err(end_is("when the key was made")),
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) if seconds < 0 => Err(end_is("before the key was made")),
        Err(_) => Err(end_is("more than 136 years after the key was made")),
    }
}
