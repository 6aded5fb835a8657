//! A timestamp that was checked (RFC 3161, section 2.4.2).

use der::Any;
use der::asn1::{Int, OctetStringRef};

use super::error::told;
use super::info::{Info, TST_INFO};
use super::{Error, Imprint, MAX_LEN, Policy, Trust, tsa};
use crate::cms;
use crate::x509::Subject;

/// How far the clocks of a TSA and of this machine may be apart, in seconds.
const CLOCKS_APART: u64 = 3600;

/// A timestamp whose TSA signed it, of the signature that it was asked for. There is no other way to get one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    der: Vec<u8>,
    info: Info,
    tsa: Subject,
}

/// What a token has to be about.
pub(super) struct Expected<'a> {
    pub(super) imprint: &'a Imprint,
    /// The nonce that was sent, where the token is an answer.
    pub(super) nonce: Option<&'a Int>,
    /// The policy that was asked for, if one was.
    pub(super) policy: Option<Policy>,
    /// When it was asked for, in seconds since 1970, where the token is an answer.
    pub(super) about: Option<u64>,
}

/// A token that was read, and of which nothing was checked.
pub(super) struct Unchecked<'a> {
    der: &'a [u8],
    signature: cms::Signature,
    pub(super) info: Info,
}

impl<'a> Unchecked<'a> {
    /// Reads a token, a ContentInfo in DER.
    pub(super) fn decode(der: &'a [u8]) -> Result<Self, Error> {
        if der.len() > MAX_LEN {
            return Err(Error::TooLarge);
        }
        let signature = cms::Signature::decode(der).map_err(|error| Error::Malformed(told(&error)))?;
        if signature.content_type != TST_INFO {
            return Err(Error::Malformed("is CMS, but not over TSTInfo"));
        }
        let content = signature.content.as_ref().map(Any::decode_as::<&OctetStringRef>);
        let Some(Ok(content)) = content else { return Err(Error::Malformed("holds no octets")) };
        let info = Info::decode(content.as_bytes())?;
        Ok(Self { der, signature, info })
    }

    /// The token, once it was checked.
    pub(super) fn check(self, expected: &Expected<'_>, trust: &Trust) -> Result<Token, Error> {
        expected.check(&self.info)?;
        let tsa = tsa::check(&self.signature, self.info.time, trust)?;
        Ok(Token { der: self.der.to_vec(), info: self.info, tsa })
    }
}

impl Token {
    /// Its DER, a ContentInfo.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// When the TSA had the signature's hash, in seconds since 1970.
    pub const fn time(&self) -> u64 {
        self.info.time
    }

    /// Whose timestamp it is: the subject of the TSA's certificate.
    pub const fn tsa(&self) -> &Subject {
        &self.tsa
    }

    /// The policy by which it was made.
    pub const fn policy(&self) -> Policy {
        self.info.policy
    }

    /// What it is over.
    pub const fn imprint(&self) -> &Imprint {
        &self.info.imprint
    }
}

impl Expected<'_> {
    fn check(&self, info: &Info) -> Result<(), Error> {
        if info.imprint != *self.imprint {
            return Err(Error::AnotherSignature {
                expected: self.imprint.told(),
                found: info.imprint.told(),
            });
        }
        if self.nonce.is_some_and(|sent| info.nonce.as_ref() != Some(sent)) {
            return Err(Error::Nonce);
        }
        match self.policy {
            Some(asked) if asked != info.policy => return Err(Error::Policy { asked, found: info.policy }),
            _ => {}
        }
        match self.about {
            Some(now) if now.abs_diff(info.time) > CLOCKS_APART => {
                Err(Error::Clock { found: info.time, now })
            }
            _ => Ok(()),
        }
    }
}
