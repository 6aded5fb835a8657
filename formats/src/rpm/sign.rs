//! Signing a package: which signatures, in which tags, beside which others.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chancery_protocol::{Algorithm, Digest, Hash, Scheme};
use sequoia_openpgp::types::SignatureType;

use super::digests::Range;
use super::edit::{Edited, Entries};
use super::package::{Format, Package};
use super::signatures::{Found, SignatureInfo};
use super::verify::holds;
use super::{Error, tags};
use crate::openpgp::{self, Draft, SigningKey, hash_algorithm};

/// A kind of package signature, as `rpmsign` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureKind {
    /// Over header and payload (tags 1002 and 1005): for rpm before 4.14, and where the header has no digest of the
    /// payload. The payload is read for it.
    V3,
    /// Over the header (tags 268 and 267), the kind that every rpm since 4.0 verifies.
    ///
    /// There is one of each tag: RSA goes to 268, Ed25519 and ECDSA to 267. rpm up to 4.19 with its own OpenPGP parser
    /// cannot verify ECDSA at all.
    V4,
    /// Over the header, any number of them (tag 278): rpm 6.
    V6,
}

/// What becomes of the signatures that a package already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They go: what `rpmsign --addsign` does in rpm 4, and `--resign` always. (rpm 4 leaves tag 278 alone, because it
    /// does not know it; here it goes too.)
    #[default]
    Replace,
    /// Those in other tags stay, and those of tag 278: what `rpmsign --addsign` does from 6.0 on.
    Keep,
}

/// How a package is to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The hash; the key's own default if none is named.
    pub hash: Option<Hash>,
    /// Kinds of signature beyond those that the package's format asks for: V4 for format 4, with V3 if its header has
    /// no digest of the payload, and V6 for format 6.
    pub also: Vec<SignatureKind>,
    /// What becomes of existing signatures.
    pub existing: Existing,
}

/// What [`Package::prepare`] found.
#[derive(Debug)]
#[must_use]
pub enum Prepared {
    /// The package has these signatures by the same key with the same hash already, and they are good: leave it alone.
    AlreadySigned(Vec<SignatureInfo>),
    /// The digests are to be signed.
    Pending(Box<Pending>),
}

/// A package that lacks only its raw signatures.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    old_prefix: Vec<u8>,
    format: Format,
    entries: Entries,
    original_len: usize,
    algorithm: Algorithm,
    scheme: Scheme,
    parts: Vec<Part>,
}

/// One signature and the kinds that it serves: V4 and V6 cover the same bytes.
#[derive(Debug)]
struct Part {
    kinds: Vec<SignatureKind>,
    pending: openpgp::Pending,
}

impl Package {
    /// Whether [`prepare`](Self::prepare) will read the payload.
    pub fn needs_payload(&self, options: &Options) -> bool {
        self.kinds(options).contains(&SignatureKind::V3)
    }

    /// Prepares the signatures of `key`, made at `created` (seconds since 1970).
    ///
    /// `payload` stands at the payload, as [`parse`](Self::parse) leaves its input; it is read only if
    /// [`needs_payload`](Self::needs_payload). A package whose digests do not fit is refused: of the header always, of
    /// the payload if it is read.
    pub fn prepare(
        &self,
        options: &Options,
        key: &SigningKey,
        created: u32,
        payload: impl Read,
    ) -> Result<Prepared, Error> {
        self.check_header_digests()?;
        let kinds = self.kinds(options);
        if self.format() == Format::V6 && kinds.contains(&SignatureKind::V3) {
            return Err(Error::NoV3InFormat6);
        }
        let hash = options.hash.unwrap_or_else(|| key.default_hash());
        let present: Vec<_> = kinds.iter().map(|&kind| self.find(kind, key, hash)).collect();
        if present.iter().all(Option::is_some) {
            return Ok(Prepared::AlreadySigned(present.into_iter().flatten().collect()));
        }

        let mut entries = Entries::of(&self.signatures);
        let original_len = entries.len();
        let missing = match options.existing {
            Existing::Replace => {
                for tag in tags::SIGNATURES {
                    entries.remove(tag);
                }
                kinds
            }
            Existing::Keep => kinds
                .into_iter()
                .zip(&present)
                .filter(|(_, found)| found.is_none())
                .map(|(kind, _)| kind)
                .collect(),
        };
        let (whole, header): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|&kind| kind == SignatureKind::V3);

        let draft = || Draft::new(key, SignatureType::Binary, hash, created, vec![]);
        let mut parts = Vec::new();
        if !header.is_empty() {
            parts.push(Part { kinds: header, pending: self.hash_header(draft()?)? });
        }
        if !whole.is_empty() {
            parts.push(Part { kinds: whole, pending: self.hash_payload(draft()?, payload)? });
        }
        Ok(Prepared::Pending(Box::new(Pending {
            old_prefix: self.prefix(),
            format: self.format(),
            entries,
            original_len,
            algorithm: key.algorithm(),
            scheme: Scheme::over_digest(key.algorithm(), hash),
            parts,
        })))
    }

    /// Takes all OpenPGP signatures out, as `rpmsign --delsign` does; `None` if there are none.
    pub fn without_signatures(&self) -> Option<Edited> {
        let mut entries = Entries::of(&self.signatures);
        let original_len = entries.len();
        let removed = tags::SIGNATURES.iter().filter(|&&tag| entries.remove(tag)).count();
        entries.settle(self.format(), original_len);
        (removed > 0).then(|| Edited::new(self.prefix(), &entries))
    }

    /// The kinds of signature that these options mean for this package, once each.
    fn kinds(&self, options: &Options) -> Vec<SignatureKind> {
        let mut kinds = options.also.clone();
        match self.format() {
            Format::V4 => {
                kinds.push(SignatureKind::V4);
                if !self.covers_payload() {
                    kinds.push(SignatureKind::V3);
                }
            }
            Format::V6 => kinds.push(SignatureKind::V6),
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The signature of this kind by this key and hash, if it is there and good. One over the payload too is taken to
    /// be as good as the one over the header, as rpmsign does: it would cost reading the payload.
    fn find(&self, kind: SignatureKind, key: &SigningKey, hash: Hash) -> Option<SignatureInfo> {
        let is_ours = |found: &Found| {
            let Some(signature) = &found.signature else { return false };
            found.tag == tag(kind, key.algorithm())
                && openpgp::issuer(signature) == Some(key.key_id())
                && signature.hash_algo() == hash_algorithm(hash)
                && signature.typ() == SignatureType::Binary
                && (found.range() == Range::Both || holds(signature, key.packet(), self.main.bytes()))
        };
        self.found_signatures().find(is_ours).map(|found| found.info())
    }

    fn hash_header(&self, draft: Draft) -> Result<openpgp::Pending, Error> {
        let mut context = draft.context()?;
        context.update(self.main.bytes());
        Ok(draft.seal(context)?)
    }

    /// Hashes header and payload, and compares the payload's digests on the way.
    fn hash_payload(&self, draft: Draft, payload: impl Read) -> Result<openpgp::Pending, Error> {
        let mut whole = draft.context()?;
        let mut stated: Vec<_> = self
            .stated_digests()
            .into_iter()
            .filter(|digest| digest.range != Range::Header)
            .map(|digest| (digest.context(), digest))
            .collect();
        let others =
            stated.iter_mut().filter_map(|(context, digest)| Some((digest.range, context.as_mut()?)));
        self.feed_payload(others.chain([(Range::Both, &mut whole)]), payload)?;
        for (context, digest) in stated {
            digest.require(digest.compare(context))?;
        }
        Ok(draft.seal(whole)?)
    }
}

impl Pending {
    /// What is to be signed, in order: one digest, or two with a signature over the payload.
    pub fn digests(&self) -> Vec<Digest> {
        self.parts.iter().map(|part| part.pending.digest().clone()).collect()
    }

    /// How each is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The new signature header, once all signatures have been checked; `raw` in the order of
    /// [`digests`](Self::digests).
    pub fn finish(mut self, raw: &[impl AsRef<[u8]>]) -> Result<Edited, Error> {
        if raw.len() != self.parts.len() {
            let error = openpgp::Error::SignatureCount { expected: self.parts.len(), found: raw.len() };
            return Err(error.into());
        }
        for (part, raw) in self.parts.into_iter().zip(raw) {
            let packet = part.pending.finish(raw.as_ref())?;
            for kind in part.kinds {
                let tag = tag(kind, self.algorithm);
                if kind == SignatureKind::V6 {
                    self.entries.push_string(tag, &BASE64.encode(&packet));
                } else {
                    self.entries.put_binary(tag, packet.clone());
                }
            }
        }
        self.entries.settle(self.format, self.original_len);
        Ok(Edited::new(self.old_prefix, &self.entries))
    }
}

/// The tag of a signature.
const fn tag(kind: SignatureKind, algorithm: Algorithm) -> u32 {
    let is_rsa = matches!(algorithm, Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096);
    match (kind, is_rsa) {
        (SignatureKind::V3, true) => tags::SIG_PGP,
        (SignatureKind::V3, false) => tags::SIG_GPG,
        (SignatureKind::V4, true) => tags::SIG_RSA,
        (SignatureKind::V4, false) => tags::SIG_DSA,
        (SignatureKind::V6, _) => tags::SIG_OPENPGP,
    }
}
