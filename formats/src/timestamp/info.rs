//! What a timestamp says: TSTInfo (RFC 3161, section 2.4.2).

use der::asn1::{Int, ObjectIdentifier};
use der::{Any, DateTime, Decode, Sequence, Tag, Tagged};
use x509_cert::ext::Extension;

use super::imprint::MessageImprint;
use super::{Error, Imprint, Policy};

/// id-ct-TSTInfo (RFC 3161, section 2.4.2).
pub(super) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// What was read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) policy: Policy,
    pub(super) imprint: Imprint,
    /// When the TSA had the imprint, in seconds since 1970; parts of a second are left away.
    pub(super) time: u64,
    pub(super) nonce: Option<Int>,
}

impl Info {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bad = Error::Malformed;
        let read = TstInfo::from_der(bytes).map_err(|_| bad("holds no readable TSTInfo"))?;
        if read.version != 1 {
            return Err(bad("is of another version than 1"));
        }
        if read.extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(bad("has critical extensions, which are not known here"));
        }
        Ok(Self {
            policy: Policy(read.policy),
            imprint: read.message_imprint.decode()?,
            time: time(&read.gen_time).ok_or(bad("has no readable time"))?,
            nonce: read.nonce,
        })
    }
}

/// TSTInfo as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    /// A GeneralizedTime, which may have parts of a second here.
    gen_time: Any,
    accuracy: Option<Accuracy>,
    #[asn1(default = "no")]
    ordering: bool,
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    tsa: Option<Any>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

/// Accuracy: how far the time may be off.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct Accuracy {
    seconds: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    millis: Option<Int>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    micros: Option<Int>,
}

const fn no() -> bool {
    false
}

/// `YYYYMMDDhhmmss[.s...]Z` in seconds since 1970.
fn time(value: &Any) -> Option<u64> {
    if value.tag() != Tag::GeneralizedTime {
        return None;
    }
    let text = str::from_utf8(value.value()).ok()?.strip_suffix('Z')?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(part) {
        return None;
    }
    let number = |from, to| whole.get(from..to)?.parse::<u8>().ok();
    let year = whole.get(..4)?.parse().ok()?;
    let time =
        DateTime::new(year, number(4, 6)?, number(6, 8)?, number(8, 10)?, number(10, 12)?, number(12, 14)?);
    Some(time.ok()?.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_seconds_and_may_have_parts_of_them() {
        let read = |text: &str| time(&Any::new(Tag::GeneralizedTime, text.as_bytes()).unwrap());
        assert_eq!(read("19700101000001Z"), Some(1));
        assert_eq!(read("20261126134410Z"), Some(1_795_700_650));
        assert_eq!(read("20261126134410.123Z"), Some(1_795_700_650));
        for bad in [
            "",
            "Z",
            "20261126134410",
            "202611261344Z",
            "20261126134410.Z",
            "20261126134410.1.2Z",
            "20261326134410Z",
            "2026112613441xZ",
            "20261126134410+0100",
            "19691231235959Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(time(&Any::new(Tag::UtcTime, *b"19700101000001Z").unwrap()), None);
    }
}
