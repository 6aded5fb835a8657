//! The decision. A [`Grant`] is born here and nowhere else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_protocol::{Format, KeyName, Reason, Refusal, Scheme};
use jiff::ZonedDateTime;

use super::file::Rule;
use super::limiter::{Exhausted, Limiter};
use super::{Key, Policy};
use crate::peer::Peer;
use crate::request::Order;

/// Permission to have one order signed. It cannot be copied; the audit trail takes it in exchange for a recorded one,
/// and signing consumes that.
#[must_use = "a permission that is not used was taken from somebody's allowance"]
#[derive(Debug)]
pub struct Grant {
    key: Arc<Key>,
    rule: usize,
}

impl Grant {
    /// The key that may be used.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The rule that allows it, as the audit trail names it.
    pub fn rule(&self) -> String {
        format!("{}.toml:allow[{}]", self.key.name, self.rule)
    }
}

/// A decision against an order.
#[derive(Debug)]
pub struct Denied {
    /// What the peer is told.
    pub refusal: Refusal,
    /// What the journal and the audit trail are told.
    pub detail: String,
}

impl Denied {
    fn new(reason: Reason, message: &str, detail: impl Into<String>) -> Self {
        Self { refusal: Refusal::new(reason, message), detail: detail.into() }
    }

    /// The answer for a key that does not exist and for one that this peer has nothing to do with: the same bytes.
    pub fn not_permitted(key: &KeyName, detail: impl Into<String>) -> Self {
        Self::new(Reason::NotPermitted, &format!("key `{key}` does not exist, or you may not use it"), detail)
    }
}

/// Whether `peer` may have `order` signed at `now`.
pub fn decide(
    policy: &Policy,
    limiter: &mut Limiter,
    peer: &Peer,
    order: &Order,
    now: &ZonedDateTime,
) -> Result<Grant, Denied> {
    let Some(key) = policy.key(&order.key) else {
        return Err(Denied::not_permitted(&order.key, "there is no such key"));
    };
    let mut theirs = rules_for(key, peer).peekable();
    if theirs.peek().is_none() {
        return Err(Denied::not_permitted(
            &order.key,
            format!("no rule names user {} or its groups or unit", peer.uid()),
        ));
    }
    let name = &key.name;
    if !key.file.inputs.contains(&order.kind()) {
        let message = format!("key `{name}` does not sign a {}", order.kind().as_str());
        return Err(Denied::new(Reason::Unsupported, &message, "`inputs` does not name it"));
    }
    within_validity(key, now)?;
    let mut nearest = Denied::new(
        Reason::NotPermitted,
        &format!("key `{name}` does not serve format {} with scheme {} for you", order.format, order.scheme),
        "no rule for this peer names the format and the scheme",
    );
    for (index, rule) in theirs.filter(|(_, rule)| serves(rule, order.format, order.scheme)) {
        let denied = if rule.holds_at(now) {
            match limiter.take(name, index, rule, peer.uid(), order.count(), Instant::now()) {
                Ok(()) => return Ok(Grant { key: key.clone(), rule: index }),
                Err(exhausted) => over_allowance(name, index, order.count(), exhausted),
            }
        } else {
            let message = format!("key `{name}` does not sign for you at this time");
            Denied::new(Reason::NotNow, &message, format!("allow[{index}]: outside its hours or days"))
        };
        // Of several refusals, the one that ends soonest.
        let ends = |denied: &Denied| denied.refusal.retry().unwrap_or(Duration::MAX);
        if ends(&denied) <= ends(&nearest) {
            nearest = denied;
        }
    }
    Err(nearest)
}

/// The answer to somebody whose allowance by a rule does not reach for `count` more signatures.
fn over_allowance(name: &KeyName, index: usize, count: u32, exhausted: Exhausted) -> Denied {
    match exhausted {
        Exhausted::For(wait) => {
            let seconds = wait.as_secs_f64();
            let message = format!(
                "you have used up your allowance of key `{name}`; there is room again in {seconds:.1} s"
            );
            let mut denied =
                Denied::new(Reason::RateLimited, &message, format!("allow[{index}]: allowance used up"));
            denied.refusal = denied.refusal.retry_after(wait);
            denied
        }
        Exhausted::Always => {
            let message =
                format!("a request for {count} signatures is more than your whole allowance of key `{name}`");
            Denied::new(Reason::RateLimited, &message, format!("allow[{index}]: more than the allowance"))
        }
    }
}

/// The rules of `key` that are for `peer`, with their places.
fn rules_for<'a>(key: &'a Key, peer: &'a Peer) -> impl Iterator<Item = (usize, &'a Rule)> {
    key.file.allow.iter().enumerate().filter(|(_, rule)| rule.who.iter().any(|who| who.is(peer)))
}

fn serves(rule: &Rule, format: Format, scheme: Scheme) -> bool {
    rule.formats.as_ref().is_none_or(|formats| formats.contains(&format))
        && rule.schemes.as_ref().is_none_or(|schemes| schemes.contains(&scheme))
}

fn within_validity(key: &Key, now: &ZonedDateTime) -> Result<(), Denied> {
    let now = now.timestamp();
    let not_now = |message: String| Err(Denied::new(Reason::NotNow, &message, "outside the key's validity"));
    match (key.file.not_before, key.file.not_after) {
        (Some(from), _) if now < from => not_now(format!("key `{}` is not valid before {from}", key.name)),
        (_, Some(until)) if now >= until => {
            not_now(format!("key `{}` has not been valid since {until}", key.name))
        }
        _ => Ok(()),
    }
}

/// What `peer` may do with `key`: the formats and schemes that some rule serves; `None` if no rule names it.
pub fn permitted(key: &Key, peer: &Peer) -> Option<(Vec<Format>, Vec<Scheme>)> {
    let mut theirs = rules_for(key, peer).map(|(_, rule)| rule).peekable();
    theirs.peek()?;
    let (mut formats, mut schemes) = (Vec::new(), Vec::new());
    for rule in theirs {
        formats.extend(rule.formats.as_deref().unwrap_or(Format::ALL));
        schemes.extend(rule.schemes.as_deref().unwrap_or(Scheme::ALL));
    }
    formats.sort_unstable();
    formats.dedup();
    schemes.sort_unstable();
    schemes.dedup();
    Some((formats, schemes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_protocol::ByteBuf;
    use chancery_protocol::agent::{Context, Sign, SignMessage};
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    fn policy(text: &str) -> Policy {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("release.toml"),
            format!("uri = \"pkcs11:token=t;object=k\"\n{text}"),
        )
        .unwrap();
        Policy::read(folder.path()).unwrap()
    }

    fn order(key: &str, format: Format, scheme: Scheme) -> Order {
        let context = Context { format: format.code(), ..Context::default() };
        let (key, scheme_code) = (key.parse().unwrap(), scheme.code());
        let result = match scheme.hash() {
            Some(hash) => Order::over_digests(Sign {
                key,
                scheme: scheme_code,
                digests: vec![ByteBuf::from(vec![0; hash.digest_len()])],
                context,
                extensions: vec![],
            }),
            None => Order::over_message(SignMessage {
                key,
                scheme: scheme_code,
                message: ByteBuf::from(b"m".to_vec()),
                context,
                extensions: vec![],
            }),
        };
        result.ok().unwrap()
    }

    /// A Monday at noon.
    fn noon() -> ZonedDateTime {
        date(2026, 11, 23).at(12, 0, 0, 0).to_zoned_datetime(TimeZone::UTC).unwrap()
    }

    fn reason(policy: &Policy, peer: &Peer, order: &Order) -> Option<Reason> {
        decide(policy, &mut Limiter::default(), peer, order, &noon())
            .err()
            .map(|denied| denied.refusal.reason())
    }

    fn rpm() -> Order {
        order("release", Format::Rpm, Scheme::RsaPkcs1Sha256)
    }

    #[test]
    fn a_key_without_a_rule_serves_nobody_not_even_root() {
        assert_eq!(reason(&policy(""), &Peer::invented(0, 0, &[], None), &rpm()), Some(Reason::NotPermitted));
    }

    #[test]
    fn users_groups_and_units_are_told_apart() {
        let policy = policy("[[allow]]\nwho = [\"user:1000\", \"group:2000\", \"unit:build@*.service\"]\n");
        for (peer, served) in [
            (Peer::invented(1000, 1, &[], None), true),
            (Peer::invented(2000, 1000, &[1000], None), false),
            (Peer::invented(1, 2000, &[], None), true),
            (Peer::invented(1, 1, &[5, 2000], None), true),
            (Peer::invented(1, 1, &[], Some("build@x.service")), true),
            (Peer::invented(1, 1, &[], Some("other.service")), false),
            (Peer::invented(0, 0, &[0], None), false),
        ] {
            assert_eq!(reason(&policy, &peer, &rpm()).is_none(), served, "{peer:?}");
        }
    }

    #[test]
    fn an_unknown_and_a_forbidden_key_look_the_same() {
        let policy = policy("[[allow]]\nwho = [\"user:1000\"]\n");
        let stranger = Peer::invented(1, 1, &[], None);
        let answer = |order: &Order| {
            let text =
                decide(&policy, &mut Limiter::default(), &stranger, order, &noon()).unwrap_err().refusal;
            format!("{text:?}").replace(order.key.as_str(), "KEY")
        };
        assert_eq!(answer(&rpm()), answer(&order("no-such-key", Format::Rpm, Scheme::RsaPkcs1Sha256)));
    }

    #[test]
    fn formats_schemes_and_inputs_are_narrowed() {
        let policy =
            policy("[[allow]]\nwho = [\"user:1\"]\nformats = [\"rpm\"]\nschemes = [\"rsa-pkcs1-sha256\"]\n");
        let peer = Peer::invented(1, 1, &[], None);
        assert_eq!(reason(&policy, &peer, &rpm()), None);
        let openpgp = order("release", Format::Openpgp, Scheme::RsaPkcs1Sha256);
        assert_eq!(reason(&policy, &peer, &openpgp), Some(Reason::NotPermitted));
        let sha512 = order("release", Format::Rpm, Scheme::RsaPkcs1Sha512);
        assert_eq!(reason(&policy, &peer, &sha512), Some(Reason::NotPermitted));
        let message = order("release", Format::Rpm, Scheme::Ed25519);
        assert_eq!(reason(&policy, &peer, &message), Some(Reason::Unsupported));
    }

    #[test]
    fn time_is_kept() {
        let peer = Peer::invented(1, 1, &[], None);
        for (extra, expected) in [
            ("not-after = 2026-11-23T11:59:59Z\n[[allow]]\nwho = [\"user:1\"]\n", Some(Reason::NotNow)),
            ("not-before = 2026-11-23T12:00:01Z\n[[allow]]\nwho = [\"user:1\"]\n", Some(Reason::NotNow)),
            ("[[allow]]\nwho = [\"user:1\"]\nhours = \"13:00-18:00\"\n", Some(Reason::NotNow)),
            ("[[allow]]\nwho = [\"user:1\"]\ndays = [\"sat\", \"sun\"]\n", Some(Reason::NotNow)),
            ("[[allow]]\nwho = [\"user:1\"]\nhours = \"08:00-18:00\"\ndays = [\"mon\"]\n", None),
        ] {
            assert_eq!(reason(&policy(extra), &peer, &rpm()), expected, "{extra}");
        }
    }

    #[test]
    fn a_second_rule_serves_where_the_first_is_exhausted() {
        let policy = policy(
            "[[allow]]\nwho = [\"user:1\"]\nrate = \"1/h\"\n[[allow]]\nwho = [\"group:9\"]\nrate = \"1/h\"\n",
        );
        let (peer, mut limiter) = (Peer::invented(1, 9, &[], None), Limiter::default());
        let mut ask = || decide(&policy, &mut limiter, &peer, &rpm(), &noon()).map(|grant| grant.rule());
        assert_eq!(ask().unwrap(), "release.toml:allow[0]");
        assert_eq!(ask().unwrap(), "release.toml:allow[1]");
        let denied = ask().unwrap_err();
        assert_eq!(denied.refusal.reason(), Reason::RateLimited);
        assert!(denied.refusal.retry().is_some());
    }
}
