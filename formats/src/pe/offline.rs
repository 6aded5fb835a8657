//! A signature in three steps, of which the second happens where the key is and the image is not.
//!
//! What is signed is small: the signed attributes, in a file of their own ([`SignedAttributes`]). Any tool that signs a
//! file by its hash signs them, such as `openssl dgst -sign`. [`assemble`] then makes the image's signature of both. The
//! files are those of systemd-sbsign (`--prepare-offline-signing`).

use std::io::{Read, Seek};

use chancery_protocol::{Algorithm, Digest, Hash, PublicKey, Scheme};
use der::Any;

use super::certificate_table::Length;
use super::contents::Contents;
use super::edit::table_offset;
use super::error::library;
use super::indirect_data::SPC_INDIRECT_DATA;
use super::sign::content;
use super::{Error, Existing, Image, Options, Signed};
use crate::cms;
use crate::raw::{self, Input};
use crate::x509::Certificate;

/// Largest file of attributes that is read, in bytes; those of images have some hundred.
const MAX_LEN: usize = 64 * 1024;

/// A signature was not assembled, or there is nothing that it could be over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// It is not what signatures of images are over.
    #[error("this is not what a signature of an image is over: {0}")]
    NotAttributes(&'static str),
    /// It is about another image.
    #[error("this is about another image: it says {said} of its contents, and this image's are {found}")]
    AnotherImage {
        /// The digest of contents in the attributes, in hexadecimal.
        said: String,
        /// The one that this image has, in hexadecimal.
        found: String,
    },
    /// It has not the form of a signature by such a key.
    #[error("this is no signature of a key of {0}")]
    NotASignature(Algorithm),
    /// It is not by the key of the certificate, or not over these attributes.
    #[error("bad signature: it is not over these attributes, or not by the certificate's key")]
    BadSignature(#[source] raw::Error),
    /// The image cannot be signed.
    #[error(transparent)]
    Image(#[from] Error),
}

/// What is signed of an image: the signed attributes of its signature, as a SET OF in DER (RFC 5652, section 5.4). They
/// say what kind of content is signed, SpcIndirectDataContent, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAttributes {
    der: Vec<u8>,
    attributes: cms::Attributes,
    /// Of the content, which holds the digest of the image.
    message_digest: Digest,
}

impl SignedAttributes {
    /// Those that a signature of `image` will have, which was read from `file`. Of the options, `existing` does not
    /// matter yet, and there are no hashes of pages.
    pub fn of(image: &Image, file: &mut (impl Read + Seek), options: &Options) -> Result<Self, Error> {
        let content = content(&Contents::read(image, file, &[options.hash])?, options.hash, None)?;
        let attributes = options.attributes(&content)?;
        let der = attributes.message().map_err(library("write signed attributes"))?;
        Ok(Self { der, attributes, message_digest: digest_of(&content, options.hash)? })
    }

    /// Reads what [`as_der`](Self::as_der), systemd-sbsign or another tool wrote for a signature of an image.
    pub fn decode(bytes: &[u8]) -> Result<Self, OfflineError> {
        let not = OfflineError::NotAttributes;
        if bytes.len() > MAX_LEN {
            return Err(not("it is too long"));
        }
        let attributes = cms::Attributes::decode(bytes)
            .ok_or(not("it is no set of attributes in DER (RFC 5652, section 5.4)"))?;
        if attributes.content_type() != Some(SPC_INDIRECT_DATA) {
            return Err(not("its content type is not that of Authenticode"));
        }
        let digest = attributes.message_digest().ok_or(not("it has no digest of a content"))?;
        let message_digest = Hash::ALL.iter().find_map(|&hash| Digest::new(hash, digest.as_slice()).ok());
        let message_digest = message_digest.ok_or(not("its digest is of no hash that is known here"))?;
        Ok(Self { der: bytes.to_vec(), attributes, message_digest })
    }

    /// The bytes that are signed.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// By which hash they are signed: the one of the image.
    pub const fn hash(&self) -> Hash {
        self.message_digest.hash()
    }

    /// When the signer says to have signed, in seconds since 1970.
    pub fn signing_time(&self) -> Option<u64> {
        self.attributes.signing_time()
    }

    /// What a key has to sign: the digest of these bytes.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(raw::digest(self.hash(), &self.der).map_err(cms::Error::from)?)
    }

    /// The signature as it lies in a file, once `raw` has been checked against the key: as `openssl dgst -sign` writes it.
    pub fn signature(&self, key: &PublicKey, raw: &[u8]) -> Result<Vec<u8>, Error> {
        let algorithm = algorithm(key)?;
        let scheme = Scheme::over_digest(algorithm, self.hash());
        raw::verify(key, scheme, &Input::Digest(self.digest()?), raw).map_err(cms::Error::from)?;
        raw::to_value(algorithm, raw).map_err(library("write a signature"))
    }
}

/// Makes the signature of `image`, which was read from `file`, of `attributes` and the `signature` over them by the key
/// of `certificate`; `chain` is embedded behind it. A signature of an elliptic curve may be in DER, as OpenSSL writes it,
/// or bare, as PKCS#11 gives it.
pub fn assemble(
    image: &Image,
    file: &mut (impl Read + Seek),
    (attributes, signature): (&SignedAttributes, &[u8]),
    certificate: &Certificate,
    chain: &[Certificate],
    existing: Existing,
) -> Result<Signed, OfflineError> {
    table_offset(image)?;
    let hash = attributes.hash();
    let contents = Contents::read(image, file, &[hash])?;
    let content = content(&contents, hash, None)?;
    let found = digest_of(&content, hash)?;
    if found != attributes.message_digest {
        let [said, found] = [&attributes.message_digest, &found].map(|digest| hex::encode(digest.bytes()));
        return Err(OfflineError::AnotherImage { said, found });
    }
    let algorithm = algorithm(certificate.public_key())?;
    let raw = bare(algorithm, signature).ok_or(OfflineError::NotASignature(algorithm))?;
    let signer = cms::Signer::of_firmware(certificate, chain, hash).map_err(Error::from)?;
    let attributes = attributes.attributes.clone();
    let pending = signer.over_attributes(SPC_INDIRECT_DATA, Some(content), attributes);
    let cms = pending.map_err(Error::from)?.finish(&raw).map_err(|error| match error {
        cms::Error::WrongSignature(reason) => OfflineError::BadSignature(reason),
        error => Error::from(error).into(),
    })?;
    Ok(Signed::new(image.clone(), contents, existing, (cms, Length::Padded))?)
}

/// What attributes say of a content.
fn digest_of(content: &Any, hash: Hash) -> Result<Digest, Error> {
    Ok(raw::digest(hash, content.value()).map_err(cms::Error::from)?)
}

/// The algorithm of a key that firmware can know.
fn algorithm(key: &PublicKey) -> Result<Algorithm, Error> {
    match key.algorithm().ok_or(raw::Error::Key).map_err(cms::Error::from)? {
        Algorithm::Ed25519 => Err(cms::Error::Algorithm(Algorithm::Ed25519).into()),
        algorithm => Ok(algorithm),
    }
}

/// The signature as PKCS#11 has it.
fn bare(algorithm: Algorithm, signature: &[u8]) -> Option<Vec<u8>> {
    let is_bare = signature.len() == algorithm.signature_len();
    raw::of_value(algorithm, signature).or_else(|| is_bare.then(|| signature.to_vec()))
}
