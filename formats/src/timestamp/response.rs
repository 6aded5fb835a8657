//! What a TSA answers (RFC 3161, section 2.4.2): a token, or why there is none.

use std::fmt;

use der::asn1::BitString;
use der::{Any, Decode, Encode, Sequence};

use super::error::library;
use super::{Error, MAX_LEN};

/// How a request ended (PKIStatus), where no timestamp was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// `rejection`: the failures tell why.
    Rejection,
    /// `waiting`: the request has not been worked on yet.
    Waiting,
    /// `revocationWarning`: a revocation is about to happen.
    RevocationWarning,
    /// `revocationNotification`: a revocation has happened.
    RevocationNotification,
}

/// Why a TSA gives no timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// How the request ended.
    pub status: Status,
    /// The failures (PKIFailureInfo), by their numbers; mostly one.
    failures: Vec<u8>,
    /// The TSA's own words; may be empty.
    text: String,
}

/// The failures that RFC 3161, section 2.4.2 knows: their bit, their name and what they mean.
const FAILURES: [(u8, &str, &str); 8] = [
    (0, "badAlg", "the hash is not known to it or not taken by it"),
    (2, "badRequest", "such requests are not allowed"),
    (5, "badDataFormat", "the request is not readable for it"),
    (TIME_NOT_AVAILABLE, "timeNotAvailable", "its clock is not available"),
    (15, "unacceptedPolicy", "the policy is none of its own"),
    (16, "unacceptedExtension", "the request has extensions that it does not take"),
    (17, "addInfoNotAvailable", "what was asked beyond is not there"),
    (SYSTEM_FAILURE, "systemFailure", "it has a failure of its own"),
];
const TIME_NOT_AVAILABLE: u8 = 14;
const SYSTEM_FAILURE: u8 = 25;
/// How much of a TSA's own words is told, in characters.
const MAX_TEXT: usize = 200;

impl Refusal {
    /// Whether the same request may succeed later: the server waits, or has trouble of its own.
    pub fn may_pass(&self) -> bool {
        let passing = |failure: &u8| [TIME_NOT_AVAILABLE, SYSTEM_FAILURE].contains(failure);
        self.status == Status::Waiting || (!self.failures.is_empty() && self.failures.iter().all(passing))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Rejection => "rejection",
            Status::Waiting => "waiting",
            Status::RevocationWarning => "revocationWarning",
            Status::RevocationNotification => "revocationNotification",
        };
        f.write_str(status)?;
        for failure in &self.failures {
            match FAILURES.iter().find(|(bit, ..)| bit == failure) {
                Some((_, name, meaning)) => write!(f, ", {name} ({meaning})")?,
                None => write!(f, ", failure {failure}")?,
            }
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ", `{}`", self.text) }
    }
}

/// The token of an answer that grants one, in DER; nothing of it is checked.
pub(super) fn granted(answer: &[u8]) -> Result<Vec<u8>, Error> {
    if answer.len() > MAX_LEN {
        return Err(Error::TooLarge);
    }
    let bad = Error::NotAnAnswer;
    let read = TimeStampResp::from_der(answer)
        .map_err(|_| bad("is no TimeStampResp in DER (RFC 3161, section 2.4.2)"))?;
    let status = match read.status.status {
        // granted, and grantedWithMods: what was modified is seen in the token.
        0 | 1 => {
            let token = read.time_stamp_token.ok_or(bad("grants a timestamp and holds none"))?;
            return token.to_der().map_err(library("read an answer"));
        }
        2 => Status::Rejection,
        3 => Status::Waiting,
        4 => Status::RevocationWarning,
        5 => Status::RevocationNotification,
        _ => return Err(bad("has a status that RFC 3161 does not know")),
    };
    let failures = read.status.fail_info.as_ref().map_or_else(Vec::new, |bits| {
        (0..=u8::MAX).zip(bits.bits()).filter(|(_, set)| *set).map(|(number, _)| number).collect()
    });
    Err(Error::Refused(Refusal { status, failures, text: text(read.status.status_string.as_deref()) }))
}

/// Text that may be shown on a terminal.
fn text(strings: Option<&[Any]>) -> String {
    let strings =
        strings.unwrap_or_default().iter().map(|one| String::from_utf8_lossy(one.value()).into_owned());
    let joined = strings.collect::<Vec<_>>().join("; ");
    joined.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect::<String>().trim().to_owned()
}

/// TimeStampResp (RFC 3161, section 2.4.2).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct TimeStampResp {
    status: PkiStatusInfo,
    time_stamp_token: Option<Any>,
}

/// PKIStatusInfo, with PKIFreeText as its second part.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct PkiStatusInfo {
    status: u8,
    #[asn1(optional = "true")]
    status_string: Option<Vec<Any>>,
    #[asn1(optional = "true")]
    fail_info: Option<BitString>,
}
