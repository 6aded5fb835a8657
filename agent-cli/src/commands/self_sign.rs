//! `chancery x509 self-sign`

use chancery_formats::x509::{Certificate, CertificateOptions, Error, Serial, Validity, prepare_certificate};
use chancery_protocol::admin::{Admin, StoreCertificate};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::{ByteBuf, CertificateKind, Format, KeyName, Reason};
use jiff::Timestamp;
use serde_json::json;

use crate::args::{Expires, Global, Output, SelfSign};
use crate::clock::now;
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

pub(crate) async fn run(global: &Global, args: SelfSign, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.output == Output::Stdout {
        terminal.keep_stdout_for_product();
    }
    let agent = daemon::agent(global).await?;
    let key = Key::fetch(&agent, &args.name).await?;
    let (certificate, was) = match key.x509(&agent).await? {
        Some(certificate) => (certificate, Was::Stored),
        None => make(global, &args, &agent, &key).await?,
    };
    if was == Was::Stored {
        agree(&certificate, &args)?;
    }
    let bytes = if args.no_armor {
        certificate.as_der().to_vec()
    } else {
        certificate.to_pem().map_err(|error| failure(&error))?.into_bytes()
    };
    output::deliver(&args.output, &bytes, terminal)?;

    let (word, text) = match was {
        Was::Made => ("made", "made and stored"),
        Was::Stored => ("already-made", "was made before; this is the stored one"),
    };
    terminal.news(
        format_args!("certificate `{}` of key `{}` {text}", certificate.subject(), args.name),
        &json!({
            "key": args.name.as_str(),
            "result": word,
            "subject": certificate.subject().to_string(),
            "serial": certificate.serial(),
            "sha256": certificate.fingerprint().map_err(|error| failure(&error))?,
            "not_after": certificate.not_after(),
        }),
    );
    if let (Was::Made, Output::File(path)) = (was, &args.output) {
        let form = if args.no_armor { " -inform DER" } else { "" };
        terminal.hint(format_args!("`openssl x509{form} -in {} -noout -text` shows it", path.display()));
    }
    Ok(Exit::Done)
}

async fn make(
    global: &Global,
    args: &SelfSign,
    agent: &Client<Agent>,
    key: &Key,
) -> Result<(Certificate, Was), Failure> {
    // Before anything is signed, see that it can be kept.
    let admin = daemon::admin(global).await?;
    let options = CertificateOptions {
        subject: args.subject.clone(),
        profile: args.profile,
        validity: Validity { not_before: now().into(), not_after: not_after(args.expires, key)? },
        serial: Serial::random().map_err(|error| failure(&error))?,
        hash: args.digest,
    };
    let pending = prepare_certificate(&key.public, &options).map_err(|error| failure(&error))?;
    key.serves(Format::X509, pending.scheme())?;
    let signer = Signer::new(agent.clone(), key.name.clone(), Format::X509, global.build_id.as_deref());
    let artifact = format!("{}.x509", key.name);
    let raw = signer.sign_input(Artifact::named(&artifact), pending.scheme(), pending.input()).await?;
    let certificate = pending.finish(&raw).map_err(|error| failure(&error))?;
    match store(&admin, &key.name, certificate.as_der()).await {
        Ok(_) => Ok((certificate, Was::Made)),
        // Somebody was faster: theirs counts.
        Err(ClientError::Refused(refusal)) if refusal.reason() == Reason::Exists => {
            let again = Key::fetch(agent, &key.name).await?.x509(agent).await?;
            Ok((again.unwrap_or(certificate), Was::Stored))
        }
        Err(error) => Err(daemon::failure(error, &Asked::admin_about(&key.name))),
    }
}

async fn store(admin: &Client<Admin>, key: &KeyName, certificate: &[u8]) -> Result<String, ClientError> {
    let request = StoreCertificate {
        key: key.clone(),
        kind: CertificateKind::X509.code(),
        bytes: ByteBuf::from(certificate),
    };
    admin.store_certificate(request).await
}

/// A certificate is made once: whoever has it in a keyring trusts that one.
fn agree(stored: &Certificate, args: &SelfSign) -> Result<(), Failure> {
    let profile = stored.profile();
    if stored.subject() == args.subject && profile == Some(args.profile) {
        return Ok(());
    }
    let made_for = profile.map_or_else(String::new, |profile| format!(", profile {profile}"));
    Err(Failure::new(
        Exit::Failed,
        format!("key `{}` has a certificate already, for `{}`{made_for}", args.name, stored.subject()),
    )
    .hint(format!(
        "`chancery key cert {} --x509` writes it; another one needs another key (`chancery key generate`)",
        args.name
    )))
}

/// Seconds since 1970 of the certificate's end.
fn not_after(expires: Option<Expires>, key: &Key) -> Result<Option<u64>, Failure> {
    let end = match expires {
        Some(Expires::Never) => return Ok(None),
        Some(expires) => expires.moment(Timestamp::now()).and_then(|end| u64::try_from(end).ok()),
        None => return Ok(key.not_after),
    };
    let end = end.filter(|&end| end > now().into());
    end.map(Some).ok_or_else(|| {
        Failure::new(Exit::Usage, "the certificate would have expired already, or after the year 9999")
            .hint("choose another time with `--expires`, such as `--expires 10y`")
    })
}

/// What went wrong with a certificate or a request.
pub(super) fn failure(error: &Error) -> Failure {
    Failure::new(Exit::Failed, chain(error))
}
