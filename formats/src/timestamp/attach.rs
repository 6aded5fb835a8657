//! Where a timestamp is kept: an unsigned attribute of the signature that it is of.

use der::asn1::ObjectIdentifier;
use der::{Any, Decode, Encode};

use super::error::{library, told};
use super::token::{Expected, Unchecked};
use super::{Error, Imprint, Token, Trust};
use crate::cms::{Attribute, OneSigner};

/// What kind of signature it is: each has its own name for the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Authenticode: SPC_RFC3161_OBJID.
    Authenticode,
    /// Any other CMS: id-aa-timeStampToken (RFC 3161, appendix A).
    Cms,
}

impl Kind {
    const fn attribute(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Authenticode => "1.3.6.1.4.1.311.3.3.1",
            Self::Cms => "1.2.840.113549.1.9.16.2.14",
        })
    }
}

/// The signature in `cms`, SignedData of one signer in DER, with `token` beside it. A token of another signature is
/// refused.
pub fn attach(cms: &[u8], token: &Token, kind: Kind) -> Result<Vec<u8>, Error> {
    let signature = decode(cms)?;
    let own = Imprint::by(token.imprint().digest().hash(), &signature)?;
    if own != *token.imprint() {
        return Err(Error::AnotherSignature { expected: own.told(), found: token.imprint().told() });
    }
    let what = "write a timestamp";
    let value = Any::from_der(token.as_der()).map_err(library(what))?;
    let attribute = Attribute::new(kind.attribute(), value);
    signature.with_unsigned(&attribute).map_err(library(what))
}

/// Whether the signature in `cms` has a timestamp beside it, good or not.
pub fn is_stamped(cms: &[u8], kind: Kind) -> Result<bool, Error> {
    Ok(decode(cms)?.unsigned().has(kind.attribute()))
}

/// The timestamp beside the signature in `cms`, if it has one. It is of this signature and by the TSA that it names;
/// whether that one is to be believed says `trust`.
pub fn read(cms: &[u8], kind: Kind, trust: &Trust) -> Result<Option<Token>, Error> {
    let signature = decode(cms)?;
    let attributes = signature.unsigned();
    if !attributes.has(kind.attribute()) {
        return Ok(None);
    }
    let token = attributes.value(kind.attribute());
    let token = token.ok_or(Error::Malformed("is one of several beside one signature"))?;
    let token = token.to_der().map_err(library("read a timestamp"))?;
    let token = Unchecked::decode(&token)?;
    let own = Imprint::by(token.info.imprint.digest().hash(), &signature)?;
    token.check(&Expected { imprint: &own, nonce: None, policy: None, about: None }, trust).map(Some)
}

fn decode(cms: &[u8]) -> Result<OneSigner, Error> {
    OneSigner::decode(cms).map_err(|error| Error::Signature(told(&error)))
}
