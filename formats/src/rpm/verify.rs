//! Verification of a whole package, in the words of `rpm -Kv`. A convenience; rpm is the judge.

use std::fmt;
use std::path::Path;

use sequoia_openpgp::crypto::hash::{Context, Hash as _};
use sequoia_openpgp::packet::key::{KeyRole, PublicParts};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy as _, StandardPolicy};
use sequoia_openpgp::types::SignatureType;

use super::Error;
use super::digests::{Compared, Range};
use super::package::Package;
use super::signatures::Found;
use crate::openpgp::{Certificate, Fingerprint};

/// What became of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Good.
    Ok,
    /// The digest or signature does not fit.
    Bad,
    /// None of the given certificates holds the key.
    NoKey,
    /// The key is there, but the signature is not to be trusted: why.
    NotTrusted(String),
    /// This machine cannot check it: no such hash here, or a kind of signature that we do not read.
    Unsupported,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Bad => f.write_str("BAD"),
            Self::NoKey => f.write_str("NOKEY"),
            Self::NotTrusted(why) => write!(f, "NOTTRUSTED ({why})"),
            Self::Unsupported => f.write_str("UNSUPPORTED"),
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked, such as `Header V4 RSA/SHA256 Signature, key ID fb37bc6f`.
    pub name: String,
    /// The result.
    pub outcome: Outcome,
    /// The certificate that holds the key of a signature.
    pub signer: Option<Fingerprint>,
    range: Range,
    is_signature: bool,
}

impl Check {
    /// Whether this is about a signature rather than a digest.
    pub const fn is_signature(&self) -> bool {
        self.is_signature
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.outcome)
    }
}

/// The result of all checks, in rpm's order: header, payload, both; signatures before digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    /// The checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whether nothing is damaged: no digest and no signature is bad, and something covers the header and the payload.
    /// Anybody can make digests; this says nothing about who made the package.
    pub fn is_intact(&self) -> bool {
        let covers = |range| self.good().any(|check| check.range == range || check.range == Range::Both);
        let is_bad = |check: &Check| check.outcome == Outcome::Bad;
        !self.checks.iter().any(is_bad) && covers(Range::Header) && covers(Range::Payload)
    }

    /// Whether the package is intact, all its signatures are good, and they cover header and payload: the payload by a
    /// signature of its own, or by its digest in the signed header. Digests in the signature header are not signed.
    pub fn is_signed(&self) -> bool {
        let signs = |range| self.good().any(|check| check.is_signature && check.range == range);
        let in_doubt = |check: &Check| check.is_signature && check.outcome != Outcome::Ok;
        let payload_digest = self.good().any(|check| check.range == Range::Payload);
        let covered = signs(Range::Both) || (signs(Range::Header) && payload_digest);
        self.is_intact() && covered && !self.checks.iter().any(in_doubt)
    }

    fn good(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Ok)
    }
}

/// Indented lines as `rpm -Kv` prints them below the file's name.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| writeln!(f, "    {check}"))
    }
}

/// Verifies all digests and signatures of the package at `path`; reads it once.
pub fn verify(path: &Path, certificates: &[Certificate]) -> Result<Report, Error> {
    let (package, payload) = Package::open(path)?;
    let mut digests: Vec<_> =
        package.stated_digests().into_iter().map(|digest| (digest.context(), digest)).collect();
    let mut signatures: Vec<_> =
        package.found_signatures().map(|found| (signature_context(&found), found)).collect();

    let of_digests =
        digests.iter_mut().filter_map(|(context, digest)| Some((digest.range, context.as_mut()?)));
    let of_signatures =
        signatures.iter_mut().filter_map(|(context, found)| Some((found.range(), context.as_mut()?)));
    let mut contexts: Vec<_> = of_digests.chain(of_signatures).collect();
    for (_, context) in contexts.iter_mut().filter(|(range, _)| *range == Range::Header) {
        context.update(package.main.bytes());
    }
    package.feed_payload(contexts, payload)?;

    let mut checks = Vec::new();
    for (context, found) in signatures {
        checks.push(check_signature(&found, context, certificates));
    }
    for (context, digest) in digests {
        let outcome = match digest.compare(context) {
            Compared::Same => Outcome::Ok,
            Compared::Different { .. } => Outcome::Bad,
            Compared::Unsupported => Outcome::Unsupported,
        };
        let (name, range) = (digest.name(), digest.range);
        checks.push(Check { name, outcome, signer: None, range, is_signature: false });
    }
    checks.sort_by_key(|check| (check.range, !check.is_signature));
    Ok(Report { checks })
}

/// Whether `signature` is one of `key` over `data`.
pub(super) fn holds<R: KeyRole>(signature: &Signature, key: &Key<PublicParts, R>, data: &[u8]) -> bool {
    start(signature).is_some_and(|mut context| {
        context.update(data);
        finish(signature, context).is_some_and(|digest| signature.verify_digest(key, digest).is_ok())
    })
}

/// The hash of a signature that we can check: version 3 or 4, over binary data.
fn start(signature: &Signature) -> Option<Context> {
    let version = signature.version();
    if !matches!(version, 3 | 4) || signature.typ() != SignatureType::Binary {
        return None;
    }
    Some(signature.hash_algo().context().ok()?.for_signature(version))
}

fn finish(signature: &Signature, mut context: Context) -> Option<Vec<u8>> {
    signature.hash(&mut context).ok()?;
    context.into_digest().ok()
}

fn signature_context(found: &Found) -> Option<Context> {
    found.signature.as_ref().and_then(start)
}

fn check_signature(found: &Found, context: Option<Context>, certificates: &[Certificate]) -> Check {
    let info = found.info();
    let key = info.key_id.map_or_else(|| "none".to_owned(), |id| id.to_string().to_ascii_lowercase());
    // rpm shows the last eight digits of the key id.
    let short = &key[key.len().saturating_sub(8)..];
    let name = format!("{}{} Signature, key ID {short}", found.range().prefix(), info.algorithms);
    let mut check =
        Check { name, outcome: Outcome::Unsupported, signer: None, range: found.range(), is_signature: true };
    let Some(signature) = &found.signature else {
        check.outcome = Outcome::Bad;
        return check;
    };
    if let Some(digest) = context.and_then(|context| finish(signature, context)) {
        (check.outcome, check.signer) = judge(signature, &digest, certificates);
    }
    check
}

/// Looks for the signature's key and for a reason not to trust it.
fn judge(
    signature: &Signature,
    digest: &[u8],
    certificates: &[Certificate],
) -> (Outcome, Option<Fingerprint>) {
    let issuers = signature.get_issuers();
    let policy = StandardPolicy::new();
    let not_trusted = |why: &dyn fmt::Display| Outcome::NotTrusted(format!("{why:#}"));
    for certificate in certificates {
        let mut keys = certificate.cert().keys().key_handles(issuers.iter());
        let Some(key) = keys.next() else { continue };
        let signer = Some(certificate.fingerprint());
        if signature.verify_digest(key.key(), digest).is_err() {
            return (Outcome::Bad, signer);
        }
        if let Err(why) = policy.signature(signature, HashAlgoSecurity::CollisionResistance) {
            return (not_trusted(&why), signer);
        }
        let valid = certificate.cert().with_policy(&policy, signature.signature_creation_time());
        let outcome = match valid {
            Err(why) => not_trusted(&why),
            Ok(valid) => {
                match valid.keys().alive().revoked(false).for_signing().key_handles(issuers.iter()).next() {
                    Some(_) => Outcome::Ok,
                    None => not_trusted(&"the key was not one for signing at that time"),
                }
            }
        };
        return (outcome, signer);
    }
    (Outcome::NoKey, None)
}
