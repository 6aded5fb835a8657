//! Refusals: numbered, stable, and telling whether another try can help.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a request was not served. The numbers are for ever; new ones are appended, and a peer that meets an unknown
/// number treats it as [`Reason::Internal`] without retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Reason {
    /// The key does not exist, or this peer may not use it so. The two are the same on the wire on purpose.
    NotPermitted = 1,
    /// The request itself is wrong: a digest of the wrong length, an empty or oversized batch.
    BadRequest = 2,
    /// A word of the request (scheme, format, algorithm) is unknown here, or the key cannot serve it.
    Unsupported = 3,
    /// The key is outside its validity or its hours.
    NotNow = 4,
    /// The peer has used up its rate or quota with this key; `retry_after` says when there is room again.
    RateLimited = 5,
    /// Too many requests or connections of this user are waiting.
    Busy = 6,
    /// The token cannot sign now; it may come back by itself.
    TokenUnavailable = 7,
    /// The audit trail cannot be written, so nothing may be signed.
    AuditUnavailable = 8,
    /// The daemon is stopping; a new connection reaches its successor.
    Stopping = 9,
    /// The daemon failed; its journal says how.
    Internal = 10,
    /// What was to be made exists already.
    Exists = 11,
    /// The configuration is at fault (a policy file, a token's PIN); the operator has to act.
    Misconfigured = 12,
}

impl Reason {
    const ALL: [Self; 12] = [
        Self::NotPermitted,
        Self::BadRequest,
        Self::Unsupported,
        Self::NotNow,
        Self::RateLimited,
        Self::Busy,
        Self::TokenUnavailable,
        Self::AuditUnavailable,
        Self::Stopping,
        Self::Internal,
        Self::Exists,
        Self::Misconfigured,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason with this number; [`Reason::Internal`] for one from the future.
    pub fn from_code(code: u16) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::Internal)
    }

    /// The reason's name in audit records and `--json` output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::BadRequest => "bad-request",
            Self::Unsupported => "unsupported",
            Self::NotNow => "not-now",
            Self::RateLimited => "rate-limited",
            Self::Busy => "busy",
            Self::TokenUnavailable => "token-unavailable",
            Self::AuditUnavailable => "audit-unavailable",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
            Self::Exists => "exists",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// A numbered refusal, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    code: u16,
    retry_after_ms: Option<u32>,
    message: String,
}

impl Refusal {
    /// Longest message, in bytes; longer ones are cut.
    pub const MAX_MESSAGE: usize = 1024;

    /// A refusal that no retry can cure.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE {
            let end = (0..=Self::MAX_MESSAGE).rev().find(|&i| message.is_char_boundary(i)).unwrap_or(0);
            message.truncate(end);
        }
        Self { code: reason.code(), retry_after_ms: None, message }
    }

    /// The same refusal, saying that a retry after `delay` may succeed.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after_ms = Some(u32::try_from(delay.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        Reason::from_code(self.code)
    }

    /// How long to wait before a retry can succeed; `None` if it cannot.
    pub fn retry(&self) -> Option<Duration> {
        self.retry_after_ms.map(|ms| Duration::from_millis(ms.into()))
    }

    /// What happened, in words for a person.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_reasons_map_both_ways() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), reason);
        }
        assert_eq!(Reason::from_code(9999), Reason::Internal);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let refusal = Refusal::new(Reason::Internal, "ä".repeat(1000));
        assert_eq!(refusal.message().len(), 1024);
    }
}
