//! What stands beside a signature without being signed (RFC 5652, section 5.3): unsigned attributes, and the value of
//! the signature that they are about.

use chancery_protocol::Hash;
use cms::content_info::ContentInfo;
use der::{Any, Decode, Encode};

use super::error::library;
use super::signed_data::{SetOf, SignedData, SignerInfo};
use super::{Attribute, Attributes, Error, SIGNED_DATA, VerifyError, hash_named};

/// SignedData of one signer, whatever it is over.
#[derive(Debug, Clone)]
pub(crate) struct OneSigner {
    data: SignedData,
    signer: SignerInfo,
}

impl OneSigner {
    /// Reads it. Refuses what would not be written again as it is: other signatures may be over these bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        let info = ContentInfo::from_der(bytes).map_err(|_| bad("is not CMS in DER (RFC 5652)"))?;
        if info.content_type != SIGNED_DATA {
            return Err(bad("is CMS, but not SignedData"));
        }
        let mut data: SignedData =
            info.content.decode_as().map_err(|_| bad("is not readable as CMS SignedData"))?;
        let (Some(signer), true) = (data.signer_infos.0.pop(), data.signer_infos.0.is_empty()) else {
            return Err(bad("has not exactly one signer"));
        };
        let read = Self { data, signer };
        match read.encode() {
            Ok(again) if again == bytes => Ok(read),
            _ => Err(bad("is written in another form than DER")),
        }
    }

    /// The value of the signature, as it stands there.
    pub(crate) fn value(&self) -> &[u8] {
        self.signer.signature.as_bytes()
    }

    /// The hash of content and attributes, if it is known here.
    pub(crate) fn hash(&self) -> Option<Hash> {
        hash_named(self.signer.digest_alg.oid)
    }

    /// The unsigned attributes.
    pub(crate) fn unsigned(&self) -> Attributes {
        Attributes(self.signer.unsigned_attrs.clone().unwrap_or(SetOf(Vec::new())))
    }

    /// The same with a further unsigned attribute, in DER.
    pub(crate) fn with_unsigned(mut self, attribute: &Attribute) -> Result<Vec<u8>, Error> {
        let what = "write an unsigned attribute";
        let mut all = self.unsigned().0.0;
        all.push(Any::encode_from(attribute).map_err(library(what))?);
        let mut sorted = all
            .into_iter()
            .map(|attribute| Ok((attribute.to_der()?, attribute)))
            .collect::<Result<Vec<_>, der::Error>>()
            .map_err(library(what))?;
        // The order of DER (X.690, section 11.6).
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.signer.unsigned_attrs =
            Some(SetOf(sorted.into_iter().map(|(_, attribute)| attribute).collect()));
        self.encode().map_err(library(what))
    }

    fn encode(&self) -> Result<Vec<u8>, der::Error> {
        let mut data = self.data.clone();
        data.signer_infos.0.push(self.signer.clone());
        ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? }.to_der()
    }
}
