//! Policies of TSAs: under which rules a timestamp is made (RFC 3161, section 2.4.1, reqPolicy).

use std::fmt;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;

/// A policy, by its object identifier: `1.2.3.4` in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy(pub(super) ObjectIdentifier);

/// A text is no object identifier.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no policy: it is numbers with dots between them, such as 1.3.6.1.4.1.601.10.3.1")]
pub struct BadPolicy(String);

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Policy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        ObjectIdentifier::new(text).map(Self).map_err(|_| BadPolicy(text.chars().take(100).collect()))
    }
}
