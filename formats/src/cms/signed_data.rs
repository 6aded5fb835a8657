//! The structures of RFC 5652, section 5, of which everything that somebody signed is kept as it stands there.

use cms::content_info::CmsVersion;
use cms::signed_data::{EncapsulatedContentInfo, SignerIdentifier};
use der::asn1::OctetString;
use der::{
    Any, Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence, Tag, Writer,
};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A SET OF whose members keep their order, also where it is not the one of DER: what was signed is the order that is
/// there, and OpenSSL puts the signer's certificate first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetOf<T>(pub(super) Vec<T>);

impl<T> FixedTag for SetOf<T> {
    const TAG: Tag = Tag::Set;
}

impl<'a, T: Decode<'a>> DecodeValue<'a> for SetOf<T> {
    type Error = T::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> Result<Self, T::Error> {
        Vec::decode_value(reader, header).map(Self)
    }
}

impl<T: Encode> EncodeValue for SetOf<T> {
    fn value_len(&self) -> der::Result<Length> {
        self.0.value_len()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.encode_value(writer)
    }
}

/// SignedData (RFC 5652, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct SignedData {
    pub(super) version: CmsVersion,
    pub(super) digest_algorithms: SetOf<AlgorithmIdentifierOwned>,
    pub(super) encap_content_info: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) certificates: Option<SetOf<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) crls: Option<SetOf<Any>>,
    pub(super) signer_infos: SetOf<SignerInfo>,
}

/// SignerInfo (RFC 5652, section 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct SignerInfo {
    pub(super) version: CmsVersion,
    pub(super) sid: SignerIdentifier,
    pub(super) digest_alg: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) signed_attrs: Option<SetOf<Any>>,
    pub(super) signature_algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: OctetString,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    pub(super) unsigned_attrs: Option<SetOf<Any>>,
}
