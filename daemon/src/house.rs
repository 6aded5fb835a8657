//! What every session shares: the policy in force and its keys, the tokens, the audit trail, the counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Context, Result};
use chancery_audit::Event;

use crate::audit::Audit;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::journal;
use crate::keyring::Keyring;
use crate::peer::Peer;
use crate::policy::{Denied, Limiter, Policy};
use crate::token::Token;
use crate::vigil::Vigil;

/// Everything that outlives a connection.
pub struct House {
    /// The configuration that the daemon was started with.
    pub config: Config,
    /// Every token.
    pub tokens: Vec<Token>,
    /// The audit trail.
    pub audit: Audit,
    /// Stored certificates.
    pub certificates: Certificates,
    /// When the daemon started.
    pub started: Instant,
    /// What is counted.
    pub counters: Counters,
    /// Watches for the answers of lone requests.
    pub vigil: Vigil,
    rules: RwLock<Arc<Rules>>,
    reloading: tokio::sync::Mutex<()>,
    /// Held while a key is made, so that two of one name never are.
    pub generating: tokio::sync::Mutex<()>,
    policy_fault: Mutex<String>,
    limiter: Mutex<Limiter>,
    recorded_refusals: Mutex<HashMap<u32, Budget>>,
}

/// A policy and its keys, always replaced together.
#[derive(Default)]
pub struct Rules {
    /// Who may do what.
    pub policy: Policy,
    /// Where the keys are.
    pub keyring: Keyring,
}

/// Numbers for the operator.
#[derive(Debug, Default)]
pub struct Counters {
    /// Open connections.
    pub connections: AtomicU32,
    /// Signatures that left.
    pub signatures: AtomicU64,
    /// Requests that were refused.
    pub refusals: AtomicU64,
}

/// What is left of a user's refusals that are put on record: nobody fills the audit trail's disk by being refused.
struct Budget {
    left: u32,
    since: Instant,
    unrecorded: u64,
}

impl Budget {
    /// Refusals of one user that are recorded in a minute.
    const PER_MINUTE: u32 = 60;
}

/// The content of a lock whose holder may have panicked: every critical section here leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl House {
    /// A house with no rules yet; [`House::reload`] reads them.
    pub fn new(config: Config, tokens: Vec<Token>, audit: Audit) -> Self {
        let certificates = Certificates::under(&config.state);
        Self {
            config,
            tokens,
            audit,
            certificates,
            started: Instant::now(),
            counters: Counters::default(),
            vigil: Vigil::default(),
            rules: RwLock::default(),
            reloading: tokio::sync::Mutex::default(),
            generating: tokio::sync::Mutex::default(),
            policy_fault: Mutex::default(),
            limiter: Mutex::default(),
            recorded_refusals: Mutex::default(),
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What each user has had.
    pub fn limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.limiter)
    }

    /// Why the last reload was refused; empty if it was not.
    pub fn policy_fault(&self) -> String {
        lock(&self.policy_fault).clone()
    }

    /// Reads the policy anew. A bad file keeps the old policy in force. Returns how many keys are in force.
    pub async fn reload(self: &Arc<Self>) -> Result<usize> {
        // One after another, so that the last one that began is the one that counts.
        let _turn = self.reloading.lock().await;
        // Looking up users and groups may wait for a name service; requests are served meanwhile.
        let house = Arc::clone(self);
        let new = tokio::task::spawn_blocking(move || house.read_rules(&house.rules())).await;
        let rules = match new.context("reading the policy failed").flatten() {
            Ok(rules) => Arc::new(rules),
            Err(error) => {
                let text = format!("{error:#}");
                tracing::error!(
                    message_id = journal::POLICY_REFUSED,
                    chancery_file = %self.config.keys.display(),
                    chancery_error = text,
                    "the policy is not good, the one before stays in force: {text}"
                );
                *lock(&self.policy_fault) = text;
                return Err(error);
            }
        };
        let keys = rules.policy.len();
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&rules);
        lock(&self.policy_fault).clear();
        let _ = self.audit.append(Event::PolicyLoaded { keys, sha256: rules.policy.sha256().to_owned() });
        tracing::info!(
            message_id = journal::POLICY_RELOADED,
            chancery_keys = keys,
            "the policy is in force: {keys} keys"
        );
        Self::ask_tokens(rules);
        Ok(keys)
    }

    /// The operator has acted: reads the policy anew, and tries tokens again that were given up for a wrong PIN.
    pub async fn mended(self: &Arc<Self>) -> Result<usize> {
        let keys = self.reload().await?;
        self.tokens.iter().for_each(Token::try_again);
        Ok(keys)
    }

    fn read_rules(&self, old: &Rules) -> Result<Rules> {
        let policy = Policy::read(&self.config.keys)?;
        let keyring = Keyring::of(&policy, &self.tokens, &old.keyring)
            .with_context(|| self.config.keys.display().to_string())?;
        Ok(Rules { policy, keyring })
    }

    /// Has the tokens tell about every key, so that the first request for one does not wait for it.
    fn ask_tokens(rules: Arc<Rules>) {
        tokio::spawn(async move {
            for (key, keyed) in rules.policy.keys().zip(rules.keyring.keys()) {
                if let Err(error) = keyed.public().await {
                    tracing::warn!(chancery_key = %key.name, "key `{}` cannot be used: {error}", key.name);
                }
            }
        });
    }

    /// Puts a refusal on record and into the journal.
    pub fn refuse(&self, peer: &Peer, key: &str, denied: &Denied) {
        let Some(unrecorded) = self.may_record_refusal(peer.uid()) else { return };
        let mut detail = denied.detail.clone();
        if unrecorded > 0 {
            detail = format!("{detail} (and {unrecorded} refusals of this user before it were not recorded)");
        }
        tracing::warn!(
            message_id = journal::REFUSED,
            chancery_key = key,
            chancery_uid = peer.uid(),
            chancery_pid = peer.pid(),
            chancery_unit = peer.unit(),
            chancery_reason = denied.refusal.reason().as_str(),
            "refused key `{key}` to uid {}: {detail}",
            peer.uid()
        );
        self.audit.refused(peer, key, &denied.refusal, &detail);
    }

    /// Whether a refusal of `uid` is recorded now; if so, how many were not since the last one.
    fn may_record_refusal(&self, uid: u32) -> Option<u64> {
        let mut budgets = lock(&self.recorded_refusals);
        let fresh = || Budget { left: Budget::PER_MINUTE, since: Instant::now(), unrecorded: 0 };
        let budget = budgets.entry(uid).or_insert_with(fresh);
        if budget.since.elapsed().as_secs() >= 60 {
            *budget = Budget { unrecorded: budget.unrecorded, ..fresh() };
        }
        if budget.left == 0 {
            budget.unrecorded += 1;
            return None;
        }
        budget.left -= 1;
        Some(std::mem::take(&mut budget.unrecorded))
    }
}
