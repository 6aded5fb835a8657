//! How OpenPGP names keys.

use std::fmt;

/// A key's fingerprint (RFC 9580, section 5.5.4), shown as upper-case hexadecimal: 40 digits for a version 4 key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// The fingerprint's bytes: 20 for a version 4 key, 32 for version 6.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn of(fingerprint: &sequoia_openpgp::Fingerprint) -> Self {
        Self(fingerprint.as_bytes().to_vec())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// A key id: the last eight bytes of a version 4 fingerprint, shown as 16 upper-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The eight bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    pub(crate) fn of(id: &sequoia_openpgp::KeyID) -> Self {
        let mut bytes = [0; 8];
        if id.as_bytes().len() == bytes.len() {
            bytes.copy_from_slice(id.as_bytes());
        }
        Self(bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}
