//! What a TSA is asked (RFC 3161, section 2.4.1), and whether an answer is one to that.

use der::asn1::{Int, ObjectIdentifier};
use der::{Encode, Sequence};

use super::error::library;
use super::imprint::MessageImprint;
use super::response::granted;
use super::token::{Expected, Unchecked};
use super::{Error, Imprint, Policy, Token, Trust};

/// Size of a nonce, in bytes: such numbers do not come twice.
const NONCE_LEN: usize = 8;

/// A request for the timestamp of one signature. It asks for the TSA's certificate, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    imprint: Imprint,
    policy: Option<Policy>,
    nonce: Int,
}

impl Request {
    /// A request for the signature in `cms`, SignedData of one signer in DER, with a nonce that nobody can guess.
    pub fn of(cms: &[u8], policy: Option<Policy>) -> Result<Self, Error> {
        Self::for_imprint(Imprint::of(cms)?, policy)
    }

    /// The same for a signature whose imprint is at hand. Each request has a nonce of its own.
    pub fn for_imprint(imprint: Imprint, policy: Option<Policy>) -> Result<Self, Error> {
        let what = "get random numbers";
        let mut nonce = [0; NONCE_LEN];
        sequoia_openpgp::crypto::random(&mut nonce).map_err(library(what))?;
        // Positive, and without a leading zero that DER would drop.
        nonce[0] = nonce[0] & 0x3f | 0x40;
        Ok(Self { imprint, policy, nonce: Int::new(&nonce).map_err(library(what))? })
    }

    /// What is sent, with the media type `application/timestamp-query` (section 3.4).
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        let what = "write a request";
        let request = TimeStampReq {
            version: 1,
            message_imprint: MessageImprint::encode(&self.imprint).map_err(library(what))?,
            req_policy: self.policy.map(|policy| policy.0),
            nonce: Some(self.nonce.clone()),
            cert_req: true,
        };
        request.to_der().map_err(library(what))
    }

    /// The token in `answer`, a TimeStampResp, once it was checked: it is over this signature, to this request, by the
    /// policy that was asked for, of about `now` (seconds since 1970), and by a TSA that may make timestamps and is
    /// trusted.
    pub fn answered(&self, answer: &[u8], trust: &Trust, now: u64) -> Result<Token, Error> {
        let expected = Expected {
            imprint: &self.imprint,
            nonce: Some(&self.nonce),
            policy: self.policy,
            about: Some(now),
        };
        Unchecked::decode(&granted(answer)?)?.check(&expected, trust)
    }

    /// The same of a token that was kept from an earlier request for this signature, whose nonce and time are others.
    pub fn kept(&self, token: &[u8], trust: &Trust) -> Result<Token, Error> {
        let expected = Expected { imprint: &self.imprint, nonce: None, policy: self.policy, about: None };
        Unchecked::decode(token)?.check(&expected, trust)
    }
}

/// TimeStampReq (RFC 3161, section 2.4.1); extensions are nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct TimeStampReq {
    version: u8,
    message_imprint: MessageImprint,
    req_policy: Option<ObjectIdentifier>,
    nonce: Option<Int>,
    #[asn1(default = "no")]
    cert_req: bool,
}

const fn no() -> bool {
    false
}
