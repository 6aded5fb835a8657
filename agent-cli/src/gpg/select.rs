//! Which key is meant: by the daemon's name of it, or by what its OpenPGP certificate says (gpg(1), "How to specify a
//! user ID").

use chancery_formats::openpgp::{Certificate, Fingerprint, SigningKey};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::{KeyName, Reason as Refused};
use tokio::task::JoinSet;

use super::Stop;
use super::request::Signer;
use super::status::{Code, InvalidSigner, Reason};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Key;

/// The key that will sign.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) key: Key,
    pub(super) certificate: Option<Certificate>,
    pub(super) signing: SigningKey,
}

impl Chosen {
    async fn fetch(client: &Client<Agent>, key: Key) -> Result<Self, Failure> {
        let certificate = key.certificate(client).await?;
        let signing = key.openpgp(certificate.as_ref())?;
        Ok(Self { key, certificate, signing })
    }

    /// The fingerprint of the certificate.
    pub(super) fn primary(&self) -> Fingerprint {
        self.certificate.as_ref().map_or_else(|| self.signing.fingerprint(), Certificate::fingerprint)
    }

    fn candidate(&self) -> Candidate {
        let of = |certificate: &Certificate| {
            let subkeys = certificate.subkeys().into_iter().map(|subkey| subkey.fingerprint.to_string());
            std::iter::once(certificate.fingerprint().to_string()).chain(subkeys).collect()
        };
        let signing = self.signing.fingerprint().to_string();
        Candidate {
            user_ids: self.certificate.as_ref().map(Certificate::user_ids).unwrap_or_default(),
            fingerprints: self.certificate.as_ref().map_or_else(|| vec![signing.clone()], of),
            signing,
        }
    }
}

/// Finds the key that signs: the one that is named on the command line, in the environment, or the only one.
pub(super) async fn choose(
    client: &Client<Agent>,
    signer: &Signer,
    environment: Option<&str>,
) -> Result<Chosen, Stop> {
    match (signer, environment) {
        (Signer::Named(asked), _) => named(client, asked).await,
        (Signer::Default, Some(asked)) => named(client, asked).await,
        (Signer::Default, None) => only(client).await,
    }
}

async fn named(client: &Client<Agent>, asked: &str) -> Result<Chosen, Stop> {
    // The common case costs no list: most callers name the key as the daemon does.
    if let Ok(name) = asked.strip_suffix('!').unwrap_or(asked).parse::<KeyName>() {
        match client.describe(&name).await {
            Ok(described) => return Ok(Chosen::fetch(client, Key::of(described)?).await?),
            // Key ids and words of user ids look like names, too.
            Err(ClientError::Refused(refusal)) if refusal.reason() == Refused::NotPermitted => {}
            Err(error) => return Err(daemon::failure(error, &Asked::about(&name)).into()),
        }
    }
    let wanted = Wanted::parse(asked).map_err(|why| unusable(asked, why))?;
    let found = all(client).await?;
    let fitting = found.usable.into_iter().filter(|chosen| wanted.fits(&chosen.candidate()));
    let mut fitting: Vec<_> = fitting.collect();
    match (fitting.pop(), fitting.is_empty(), found.unusable) {
        (Some(chosen), true, _) => Ok(chosen),
        (Some(last), false, _) => {
            fitting.push(last);
            Err(ambiguous(&format!("`{}` fits", asked.escape_debug()), asked, &fitting))
        }
        (None, _, Some(failure)) => Err(failure.into()),
        (None, _, None) => Err(none(asked)),
    }
}

async fn only(client: &Client<Agent>) -> Result<Chosen, Stop> {
    let found = all(client).await?;
    let mut certified: Vec<_> =
        found.usable.into_iter().filter(|chosen| chosen.certificate.is_some()).collect();
    match (certified.pop(), certified.is_empty(), found.unusable) {
        (Some(chosen), true, _) => Ok(chosen),
        (Some(last), false, _) => {
            certified.push(last);
            Err(ambiguous("no key was named, and there are", "", &certified))
        }
        (None, _, Some(failure)) => Err(failure.into()),
        (None, _, None) => {
            let failure =
                Failure::new(Exit::Refused, "no key was named, and none of yours has an OpenPGP certificate");
            Err(invalid(
                failure
                    .hint("name one with `--local-user NAME` or CHANCERY_KEY; `chancery keys` lists yours"),
                "",
                Reason::NotASecretKey,
            ))
        }
    }
}

/// The keys of this user.
struct Found {
    /// In the order of their names.
    usable: Vec<Chosen>,
    /// Why the first of the others cannot be looked at.
    unusable: Option<Failure>,
}

/// Asks for all keys at once; the answers come over one connection.
async fn all(client: &Client<Agent>) -> Result<Found, Failure> {
    let keys = client.keys().await.map_err(|error| daemon::failure(error, &Asked::agent()))?;
    let mut tasks = JoinSet::new();
    // Of a key without an algorithm the token has not said anything yet, and a description would have to wait for it.
    for key in keys.into_iter().filter(|key| key.algorithm.is_some()) {
        let client = client.clone();
        tasks.spawn(async move {
            let key = Key::fetch(&client, &key.name).await?;
            Chosen::fetch(&client, key).await
        });
    }
    let mut found = Found { usable: Vec::new(), unusable: None };
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(chosen) => found.usable.push(chosen),
            Err(failure) => drop(found.unusable.get_or_insert(failure)),
        }
    }
    found.usable.sort_by(|one, other| one.key.name.cmp(&other.key.name));
    Ok(found)
}

fn none(asked: &str) -> Stop {
    let asked_for = asked.escape_debug();
    let failure =
        Failure::new(Exit::Refused, format!("there is no key `{asked_for}`, or you may not use it"));
    let hint = format!(
        "`chancery keys` lists yours; otherwise ask the operator for an [[allow]] rule for {}",
        daemon::user()
    );
    invalid(failure.hint(hint), asked, Reason::NotASecretKey)
}

fn unusable(asked: &str, why: &str) -> Stop {
    let failure =
        Failure::new(Exit::Usage, format!("the key `{}` cannot be looked for: {why}", asked.escape_debug()));
    invalid(
        failure.hint("name it by the daemon's name, a fingerprint or an e-mail address"),
        asked,
        Reason::NotASecretKey,
    )
}

fn ambiguous(begin: &str, asked: &str, fitting: &[Chosen]) -> Stop {
    let listed = fitting.iter().map(|chosen| {
        let user_id =
            chosen.certificate.as_ref().and_then(|certificate| certificate.user_ids().into_iter().next());
        let (name, fingerprint) = (&chosen.key.name, chosen.signing.fingerprint());
        format!("`{name}` ({fingerprint}{})", user_id.map(|id| format!(", {id}")).unwrap_or_default())
    });
    let listed: Vec<_> = listed.collect();
    let failure = Failure::new(Exit::Usage, format!("{begin} {} keys: {}", listed.len(), listed.join(", ")))
        .hint("name one of them with `--local-user`, by its name or fingerprint");
    invalid(failure, asked, Reason::Ambiguous)
}

fn invalid(failure: Failure, asked: &str, reason: Reason) -> Stop {
    let code = match reason {
        Reason::Ambiguous => Code::AMBIGUOUS,
        Reason::NotASecretKey => Code::NO_SECRET_KEY,
    };
    // It stands in a line.
    let asked = asked.replace(char::is_control, " ");
    Stop { failure, code, signer: Some(InvalidSigner { reason, asked }) }
}

/// A key as far as it can be told from others.
#[derive(Debug, Clone)]
struct Candidate {
    user_ids: Vec<String>,
    /// Upper-case hexadecimal: the primary key's, then those of the subkeys.
    fingerprints: Vec<String>,
    /// The one of the key that signs.
    signing: String,
}

/// What a key is looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// The end of a fingerprint, in upper-case hexadecimal: all of it, or a key id.
    Id(String, Of),
    /// A whole user id.
    UserId(String),
    /// An e-mail address, in lower case.
    Mail(String),
    /// A part of an e-mail address, in lower case.
    MailPart(String),
    /// A part of a user id, in lower case.
    Part(String),
}

/// Which key of a certificate an id means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Any,
    /// The one that signs (`!`).
    Signing,
}

impl Wanted {
    fn parse(asked: &str) -> Result<Self, &'static str> {
        let asked = asked.trim();
        let (id, of) = match asked.strip_suffix('!') {
            Some(id) => (id, Of::Signing),
            None => (asked, Of::Any),
        };
        if let Some(id) = hexadecimal(id) {
            return Ok(Self::Id(id, of));
        }
        let Some(first) = asked.chars().next() else { return Err("it is empty") };
        let rest = &asked[first.len_utf8()..];
        match first {
            '=' => Ok(Self::UserId(rest.to_owned())),
            '<' => Ok(Self::Mail(rest.trim_end_matches('>').to_lowercase())),
            '@' => Ok(Self::MailPart(rest.to_lowercase())),
            '*' => Ok(Self::Part(rest.to_lowercase())),
            '&' => Err("a keygrip belongs to a key of gpg-agent"),
            '+' | '.' | '#' | '^' => Err("this form is not supported"),
            _ => Ok(Self::Part(asked.to_lowercase())),
        }
    }

    fn fits(&self, candidate: &Candidate) -> bool {
        let any_user_id = |fits: &dyn Fn(&str) -> bool| candidate.user_ids.iter().any(|id| fits(id));
        match self {
            Self::Id(end, Of::Any) => candidate.fingerprints.iter().any(|print| print.ends_with(end)),
            Self::Id(end, Of::Signing) => candidate.signing.ends_with(end),
            Self::UserId(whole) => any_user_id(&|id| id == whole),
            Self::Mail(mail) => any_user_id(&|id| address(id) == *mail),
            Self::MailPart(part) => any_user_id(&|id| address(id).contains(part)),
            Self::Part(part) => any_user_id(&|id| id.to_lowercase().contains(part)),
        }
    }
}

/// A key id (short or long) or a fingerprint, with or without `0x`, in upper case. gpg also takes the groups in which
/// it shows fingerprints.
fn hexadecimal(text: &str) -> Option<String> {
    let digits: String = text.strip_prefix("0x").unwrap_or(text).split(' ').collect();
    let is_grouped = text.contains(' ');
    let right_length = matches!(digits.len(), 40 | 64) || (!is_grouped && matches!(digits.len(), 8 | 16));
    (right_length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| digits.to_uppercase())
}

/// The e-mail address of a user id, in lower case.
fn address(user_id: &str) -> String {
    let inside = user_id.rsplit_once('<').map_or(user_id, |(_, mail)| mail.trim_end_matches('>'));
    inside.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "D7CF49EBDF6157F599470817AFFD2202F5972103";
    const SUBKEY: &str = "D4B635218E3D430D45B164E652F93F914F5FDD30";

    /// A key that is a subkey of its certificate.
    fn candidate() -> Candidate {
        Candidate {
            user_ids: vec!["Ex Ample <ex@example.org>".into(), "old@example.net".into()],
            fingerprints: vec![PRIMARY.into(), SUBKEY.into()],
            signing: SUBKEY.into(),
        }
    }

    #[test]
    fn a_key_is_found_in_every_way_in_which_gpg_finds_it() {
        for asked in [
            PRIMARY,
            SUBKEY,
            "0xD4B635218E3D430D45B164E652F93F914F5FDD30!",
            "D7CF 49EB DF61 57F5 9947  0817 AFFD 2202 F597 2103",
            "AFFD2202F5972103",
            "affd2202f5972103",
            "0xF5972103",
            "f5972103",
            "4F5FDD30!",
            "=Ex Ample <ex@example.org>",
            "<ex@example.org>",
            "<EX@example.org>",
            "@ample.org",
            "ex@example.org",
            "Ex Ample <ex@example.org>",
            "ex ample",
            "*Ample",
            "<old@example.net>",
        ] {
            assert!(Wanted::parse(asked).unwrap().fits(&candidate()), "{asked}");
        }
    }

    #[test]
    fn a_key_is_not_found_by_what_it_is_not() {
        for asked in [
            // The primary key is not the one that signs.
            "D7CF49EBDF6157F599470817AFFD2202F5972103!",
            "0xF5972103!",
            "0xF5972104",
            "=Ex Ample",
            "=ex ample <ex@example.org>",
            "<ex@example.or>",
            "<example.org>",
            "@ample <",
            "nobody",
            "5972103",
        ] {
            assert!(!Wanted::parse(asked).unwrap().fits(&candidate()), "{asked}");
        }
    }

    #[test]
    fn forms_that_mean_something_else_are_refused() {
        for asked in ["", "  ", "&D4B635218E3D430D45B164E652F93F914F5FDD30", "+ex ample", "^org", "#1"] {
            assert!(Wanted::parse(asked).is_err(), "{asked:?}");
        }
    }
}
