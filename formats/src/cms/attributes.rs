//! Signed attributes (RFC 5652, sections 5.3 and 11).

use std::time::Duration;

use chancery_protocol::Digest;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{Any, DateTime, Encode, Sequence};
use x509_cert::time::Time;

use super::Error;
use super::error::library;
use super::signed_data::SetOf;

/// id-contentType, id-messageDigest and id-signingTime (RFC 5652, sections 11.1 to 11.3).
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(crate) struct Attribute {
    oid: ObjectIdentifier,
    values: SetOf<Any>,
}

impl Attribute {
    /// An attribute of one value.
    pub(crate) fn new(oid: ObjectIdentifier, value: Any) -> Self {
        Self { oid, values: SetOf(vec![value]) }
    }
}

/// The attributes of a signer, in the order in which they stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attributes(pub(super) SetOf<Any>);

impl Attributes {
    /// The attributes that RFC 5652, section 5.3 wants, when it was signed if that is told, and `further` ones.
    pub(crate) fn new(
        content_type: ObjectIdentifier,
        message_digest: &Digest,
        signing_time: Option<u64>,
        further: Vec<Attribute>,
    ) -> Result<Self, Error> {
        let what = "write signed attributes";
        let digest = OctetStringRef::new(message_digest.bytes()).map_err(library(what))?;
        let mut all = further;
        all.push(Attribute::new(CONTENT_TYPE, Any::encode_from(&content_type).map_err(library(what))?));
        all.push(Attribute::new(MESSAGE_DIGEST, Any::encode_from(&digest).map_err(library(what))?));
        if let Some(seconds) = signing_time {
            // UTCTime until 2049 (RFC 5652, section 11.3), which is what the library chooses.
            let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::from);
            let time = Any::encode_from(&time.map_err(library(what))?).map_err(library(what))?;
            all.push(Attribute::new(SIGNING_TIME, time));
        }
        let encoded = all.iter().map(|attribute| Ok((attribute.to_der()?, Any::encode_from(attribute)?)));
        let mut encoded = encoded.collect::<Result<Vec<_>, der::Error>>().map_err(library(what))?;
        // The order of DER (X.690, section 11.6).
        encoded.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self(SetOf(encoded.into_iter().map(|(_, attribute)| attribute).collect())))
    }

    /// Reads attributes that stand alone, as they are signed: a SET OF in DER (RFC 5652, section 5.4), in which no kind
    /// stands twice.
    #[cfg(feature = "pe")]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        use der::Decode;
        use std::collections::BTreeSet;

        let set = SetOf::<Any>::from_der(bytes).ok()?;
        let read = set.0.iter().map(|one| Some((one.to_der().ok()?, one.decode_as::<Attribute>().ok()?.oid)));
        let read: Vec<_> = read.collect::<Option<_>>()?;
        let kinds: BTreeSet<_> = read.iter().map(|(_, kind)| kind).collect();
        // OpenSSL puts them in the order of DER before it hashes them, wherever they stand.
        let in_order = read.is_sorted_by(|(one, _), (next, _)| one < next);
        (in_order && kinds.len() == read.len()).then_some(Self(set))
    }

    /// What is signed: the attributes as a SET OF of their own (RFC 5652, section 5.4).
    pub(crate) fn message(&self) -> Result<Vec<u8>, der::Error> {
        self.0.to_der()
    }

    /// What kind of content is signed.
    pub(crate) fn content_type(&self) -> Option<ObjectIdentifier> {
        self.value(CONTENT_TYPE)?.decode_as().ok()
    }

    /// The digest of the content.
    pub(crate) fn message_digest(&self) -> Option<Vec<u8>> {
        let value = self.value(MESSAGE_DIGEST)?;
        value.decode_as::<&OctetStringRef>().ok().map(|digest| digest.as_bytes().to_vec())
    }

    /// When the signer says to have signed, in seconds since 1970.
    pub(crate) fn signing_time(&self) -> Option<u64> {
        let time: Time = self.value(SIGNING_TIME)?.decode_as().ok()?;
        Some(time.to_unix_duration().as_secs())
    }

    /// Whether there is an attribute `oid`, however many values it has.
    pub(crate) fn has(&self, oid: ObjectIdentifier) -> bool {
        self.named(oid).next().is_some()
    }

    /// The one value of the one attribute `oid`.
    pub(crate) fn value(&self, oid: ObjectIdentifier) -> Option<Any> {
        let mut found = self.named(oid);
        let (Some(attribute), None) = (found.next(), found.next()) else { return None };
        let mut values = attribute.values.0.into_iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Some(value)
    }

    fn named(&self, oid: ObjectIdentifier) -> impl Iterator<Item = Attribute> {
        let attributes = self.0.0.iter().map(Any::decode_as::<Attribute>);
        attributes.filter_map(Result::ok).filter(move |attribute| attribute.oid == oid)
    }
}
