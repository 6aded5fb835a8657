//! The lead: 96 bytes that only say that this is a package (rpm's `lib/rpmlead.c`).

use std::io::Read;

use super::Error;
use super::error::Part;
use super::header::read_up_to;

/// Length of the lead, in bytes.
pub(super) const LEN: usize = 96;

const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// Offset of the format's major version.
const MAJOR: usize = 4;
/// Offset of the signature's type, two bytes.
const SIGNATURE_TYPE: usize = 78;
/// The one type there is: a signature header (`RPMSIGTYPE_HEADERSIG`).
const HEADER_SIGNATURE: [u8; 2] = [0, 5];

/// Reads and checks a lead; nothing else in it is to be believed.
pub(super) fn read(input: &mut impl Read) -> Result<Vec<u8>, Error> {
    let lead = read_up_to(input, LEN, Part::Lead)?;
    if lead.is_empty() {
        return Err(Error::NotRpm("is empty"));
    }
    if !lead.starts_with(&MAGIC[..MAGIC.len().min(lead.len())]) {
        return Err(Error::NotRpm("does not begin with ed ab ee db"));
    }
    if lead.len() < LEN {
        return Err(Error::Truncated { part: Part::Lead, at: lead.len() as u64 });
    }
    let malformed =
        |at: usize, why: &str| Error::Malformed { part: Part::Lead, at: at as u64, why: why.into() };
    if !matches!(lead[MAJOR], 3 | 4) {
        return Err(malformed(MAJOR, &format!("format version {} is not supported", lead[MAJOR])));
    }
    if lead[SIGNATURE_TYPE..SIGNATURE_TYPE + 2] != HEADER_SIGNATURE {
        return Err(malformed(SIGNATURE_TYPE, "it announces no signature header"));
    }
    Ok(lead)
}
