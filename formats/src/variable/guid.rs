//! GUIDs, as UEFI spells and stores them (UEFI, appendix A).

use std::fmt;
use std::str::FromStr;

/// An EFI_GUID: `8be4df61-93ca-11d2-aa0d-00e098032b8c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid([u8; 16]);

/// A text is no GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a GUID has 32 hexadecimal digits, as in 8be4df61-93ca-11d2-aa0d-00e098032b8c")]
pub struct NotAGuid;

impl Guid {
    /// From its digits as they are written.
    pub(super) const fn new(digits: u128) -> Self {
        let written = digits.to_be_bytes();
        let mut stored = [0; 16];
        let mut at = 0;
        while at < written.len() {
            stored[ORDER[at]] = written[at];
            at += 1;
        }
        Self(stored)
    }

    /// From its bytes as they are stored.
    pub(super) const fn of_bytes(stored: [u8; 16]) -> Self {
        Self(stored)
    }

    /// As it is stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Where each byte of the text is stored: the first three fields are numbers, the last is a row of bytes.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let lengths: Vec<_> = text.split('-').map(str::len).collect();
        let digits = text.replace('-', "");
        let bytes = hex::decode(&digits).map_err(|_| NotAGuid)?;
        if lengths != [8, 4, 4, 4, 12] || bytes.len() != 16 {
            return Err(NotAGuid);
        }
        let mut stored = [0; 16];
        ORDER.iter().zip(bytes).for_each(|(&at, byte)| stored[at] = byte);
        Ok(Self(stored))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, &at) in ORDER.iter().enumerate() {
            if matches!(number, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[at])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_stored_and_shown() {
        let text = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
        let guid: Guid = text.parse().unwrap();
        assert_eq!(guid.as_bytes(), b"\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c");
        assert_eq!(guid.to_string(), text);
        assert_eq!(guid, Guid::new(0x8be4df61_93ca_11d2_aa0d_00e098032b8c));
        for bad in
            ["", "8be4df61", "8be4df6193ca11d2aa0d00e098032b8c", "8be4df61-93ca-11d2-aa0d-00e098032b8", "x"]
        {
            assert_eq!(bad.parse::<Guid>(), Err(NotAGuid), "{bad}");
        }
    }
}
