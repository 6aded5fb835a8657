//! The operator's requests: how is it, make a key, keep a certificate, read the policy again.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chancery_audit::Event;
use chancery_protocol::admin::{Admin, Done, GenerateKey, Request, Response, StatusReport, StoreCertificate};
use chancery_protocol::agent::KeyDescription;
use chancery_protocol::{Algorithm, CertificateKind, Format, Reason, Refusal};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::certificates::{self, Stored};
use crate::house::House;
use crate::journal;
use crate::keyring::Public;
use crate::peer::Peer;
use crate::policy::{Denied, Principal};
use crate::session::Desk;
use crate::sign;
use crate::token::{Token, TokenError, uri::Uri};

impl Desk for Admin {
    async fn answer(house: Arc<House>, peer: Arc<Peer>, request: Request) -> Response {
        if !is_operator(&house, &peer) {
            let detail = format!("the operator's request {} of somebody who is none", request.name());
            let refusal = Refusal::new(Reason::NotPermitted, "you are not an operator of this daemon");
            house.refuse(&peer, "", &Denied { refusal: refusal.clone(), detail });
            return Response::Refused(refusal);
        }
        let result = match request {
            Request::Status(_) => Ok(Response::StatusReport(status(&house).await)),
            Request::GenerateKey(request) => {
                generate(&house, &peer, request).await.map(Response::KeyDescription)
            }
            Request::StoreCertificate(request) => store(&house, &peer, request).await.map(done),
            Request::Reload(_) => match house.mended().await {
                Ok(keys) => Ok(done(format!("the policy is in force: {keys} keys"))),
                Err(error) => Err(Refusal::new(
                    Reason::Misconfigured,
                    format!("the policy is not good, the one before stays in force: {error:#}"),
                )),
            },
        };
        result.unwrap_or_else(|refusal| {
            house.counters.refusals.fetch_add(1, Ordering::Relaxed);
            Response::Refused(refusal)
        })
    }
}

/// Root, the daemon's own user, and whom the configuration names.
fn is_operator(house: &House, peer: &Peer) -> bool {
    peer.uid() == 0
        || peer.uid() == nix::unistd::geteuid().as_raw()
        || house.config.admins.iter().any(|admin| admin.is(peer))
}

fn done(message: String) -> Response {
    Response::Done(Done { message })
}

async fn status(house: &House) -> StatusReport {
    let mut tokens = Vec::new();
    for token in &house.tokens {
        tokens.extend(token.status().await);
    }
    StatusReport {
        software: concat!("chanceryd ", env!("CARGO_PKG_VERSION")).to_owned(),
        uptime: house.started.elapsed().as_secs(),
        keys: u32::try_from(house.rules().policy.len()).unwrap_or(u32::MAX),
        policy_fault: house.policy_fault(),
        connections: house.counters.connections.load(Ordering::Relaxed),
        signatures: house.counters.signatures.load(Ordering::Relaxed),
        refusals: house.counters.refusals.load(Ordering::Relaxed),
        tokens,
        audit: house.audit.status(),
        extensions: Vec::new(),
    }
}

async fn generate(house: &Arc<House>, peer: &Peer, request: GenerateKey) -> Result<KeyDescription, Refusal> {
    let bad = |message: String| Refusal::new(Reason::BadRequest, message);
    let algorithm = Algorithm::from_code(request.algorithm).ok_or_else(|| {
        Refusal::new(Reason::Unsupported, format!("algorithm {} is not known here", request.algorithm))
    })?;
    let allow = request.allow.iter().map(|who| who.parse::<Principal>()).collect::<Result<Vec<_>, _>>();
    let allow = allow.map_err(|error| bad(error.to_string()))?;
    let formats = request.formats.iter().map(|&code| {
        Format::from_code(code)
            .ok_or_else(|| Refusal::new(Reason::Unsupported, format!("format {code} is not known here")))
    });
    let formats = formats.collect::<Result<Vec<_>, _>>()?;
    let token = token(house, &request.token)?;
    let _turn = house.generating.lock().await;
    let path = house.config.keys.join(format!("{}.toml", request.name));
    if house.rules().policy.key(&request.name).is_some() || path.exists() {
        return Err(Refusal::new(Reason::Exists, format!("key `{}` exists already", request.name)));
    }
    let created = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let made =
        token.generate(request.name.as_str(), algorithm).await.map_err(|error| generation_failed(&error))?;
    let public = Public::of(&made).map_err(|error| generation_failed(&error))?;
    let recorded = house.audit.append(Event::KeyGenerated {
        caller: peer.caller(),
        key: request.name.to_string(),
        algorithm: algorithm.to_string(),
    });
    // Making a key is not repeatable: what fails from here on is told, and never said to be worth another try.
    let recorded = recorded.wait().await;
    let uri = Uri { object: Some(request.name.to_string()), ..token.uri().clone() };
    let text = policy_file(&request.description, &uri, created, algorithm, &allow, &formats, peer.uid());
    // The key is in the token already, so a policy file that cannot be written is told with what it should hold.
    let misplaced = |error: &dyn std::fmt::Display| {
        tracing::error!(chancery_key = %request.name, "key `{}` was made, but not {}: {error}; it should hold:\n{text}",
                        request.name, path.display());
        Refusal::new(
            Reason::Misconfigured,
            format!(
                "the key was made in the token, but {} was not written: {error}; \
                              the journal has the text that it should hold",
                path.display()
            ),
        )
    };
    let written =
        File::options().write(true).create_new(true).mode(0o640).open(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| misplaced(&error))?;
    recorded.map_err(|refusal| misplaced(&format!("put into force: {refusal}")))?;
    house.reload().await.map_err(|error| misplaced(&format!("{error:#}")))?;
    tracing::info!(message_id = journal::KEY_GENERATED, chancery_key = %request.name, chancery_token = token.name(), chancery_uid = peer.uid(),
                   "key `{}` ({algorithm}) was made in token `{}`", request.name, token.name());
    let rules = house.rules();
    let key = rules
        .policy
        .key(&request.name)
        .ok_or_else(|| Refusal::new(Reason::Internal, "the key is gone again"))?;
    let mut description = sign::description(house, key, &public);
    description.uri = Some(uri.to_string());
    Ok(description)
}

/// The operator may know more than an agent.
fn generation_failed(error: &TokenError) -> Refusal {
    let refusal = error.refusal();
    match refusal.retry() {
        // Making a key is not repeatable, so the client must not try again by itself.
        Some(_) => Refusal::new(
            refusal.reason(),
            format!("{error}; look into the token before trying again: the key may have been made"),
        ),
        None => Refusal::new(refusal.reason(), error.to_string()),
    }
}

fn token<'a>(house: &'a House, name: &str) -> Result<&'a Token, Refusal> {
    let names = || house.tokens.iter().map(|token| token.name().to_owned()).collect::<Vec<_>>().join(", ");
    let found = match (&house.tokens[..], name) {
        ([only], "") => Some(only),
        ([], _) => return Err(Refusal::new(Reason::Misconfigured, "the configuration has no [token.…]")),
        (_, "") => {
            return Err(Refusal::new(
                Reason::BadRequest,
                format!("there are several tokens; name one of {}", names()),
            ));
        }
        (tokens, name) => tokens.iter().find(|token| token.name() == name),
    };
    found.ok_or_else(|| {
        Refusal::new(Reason::BadRequest, format!("there is no token `{name}`; there is {}", names()))
    })
}

fn policy_file(
    description: &str,
    uri: &Uri,
    created: Timestamp,
    algorithm: Algorithm,
    allow: &[Principal],
    formats: &[Format],
    operator: u32,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |words: Vec<String>| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ =
        writeln!(text, "# Made by `chancery key generate`. `chanceryd check` says whether a change is good;");
    let _ = writeln!(text, "# `systemctl reload chanceryd` puts it into force.");
    let _ = writeln!(text, "uri = {}", quoted(&uri.to_string()));
    if !description.is_empty() {
        let _ = writeln!(text, "description = {}", quoted(description));
    }
    let _ = writeln!(text, "# Part of the OpenPGP fingerprint: never to be changed.\ncreated = {created}");
    if algorithm == Algorithm::Ed25519 {
        let _ = writeln!(
            text,
            "# Ed25519 has no digest: OpenPGP and RPM have it sign theirs, SSH and X.509 the message."
        );
        let _ = writeln!(text, "inputs = [\"digest\", \"message\"]");
    }
    if !allow.is_empty() {
        let _ =
            writeln!(text, "\n[[allow]]\nwho = [{}]", list(allow.iter().map(ToString::to_string).collect()));
        if !formats.is_empty() {
            let _ = writeln!(text, "formats = [{}]", list(formats.iter().map(ToString::to_string).collect()));
        }
    }
    let _ = writeln!(text, "\n# Whoever made the key may make its certificates.");
    let _ = writeln!(
        text,
        "[[allow]]\nwho = [\"user:{operator}\"]\nformats = [\"openpgp-certificate\", \"x509\"]"
    );
    text
}

async fn store(house: &House, peer: &Peer, request: StoreCertificate) -> Result<String, Refusal> {
    let (key, bytes) = (&request.key, &request.bytes);
    let kind = CertificateKind::from_code(request.kind).ok_or_else(|| {
        Refusal::new(Reason::Unsupported, format!("certificate kind {} is not known here", request.kind))
    })?;
    if house.rules().policy.key(key).is_none() {
        return Err(Refusal::new(Reason::BadRequest, format!("there is no key `{key}`")));
    }
    if bytes.is_empty() || bytes.len() > certificates::MAX_LEN {
        let message = format!(
            "a certificate of {} bytes; between 1 and {} are kept",
            bytes.len(),
            certificates::MAX_LEN
        );
        return Err(Refusal::new(Reason::BadRequest, message));
    }
    match house.certificates.store(key, kind, bytes) {
        Ok(Stored::Another) => Err(Refusal::new(
            Reason::Exists,
            format!("another {kind} certificate of key `{key}` is kept; it is made once and stays"),
        )),
        // Also for one that is kept already: its record may have failed then.
        Ok(stored @ (Stored::Now | Stored::Before)) => {
            let recorded = house.audit.append(Event::CertificateStored {
                caller: peer.caller(),
                key: key.to_string(),
                kind: kind.to_string(),
                sha256: hex::encode(Sha256::digest(bytes)),
            });
            recorded.wait().await?;
            tracing::info!(message_id = journal::CERTIFICATE_STORED, chancery_key = %key, chancery_kind = %kind,
                           chancery_uid = peer.uid(), "the {kind} certificate of key `{key}` is kept");
            let already = if stored == Stored::Before { " already" } else { "" };
            Ok(format!("the {kind} certificate of key `{key}` is kept{already}"))
        }
        Err(error) => {
            tracing::error!(chancery_key = %key, "the {kind} certificate of key `{key}` was not kept: {error}");
            Err(Refusal::new(Reason::Internal, format!("the certificate was not kept: {error}")))
        }
    }
}
