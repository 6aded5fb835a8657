//! Public keys: the numbers that formats need, and the SubjectPublicKeyInfo that travels.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};

use crate::words::Algorithm;

/// rsaEncryption (RFC 8017, appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// id-Ed25519 (RFC 8410, section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// secp256r1, secp384r1, secp521r1 (RFC 5480, section 2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// A public key's numbers, as the token tells them; big-endian, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA: modulus and public exponent.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
    /// A point on a NIST curve: `04 || x || y` (SEC 1, section 2.3.3), each coordinate of the curve's size.
    Ec {
        /// The uncompressed point.
        point: Vec<u8>,
    },
    /// Ed25519: the 32 bytes of RFC 8032, section 5.1.5.
    Ed25519 {
        /// The encoded point.
        point: [u8; 32],
    },
}

/// A SubjectPublicKeyInfo that is not DER or not of a kind that is spoken here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicKey {
    /// Not DER, or numbers that do not fit their algorithm.
    #[error("the public key is not valid DER: {0}")]
    Der(#[from] der::Error),
    /// An algorithm or curve, or a size of key, that is not one of [`Algorithm`].
    #[error("the public key's algorithm, curve or size is not supported")]
    Unsupported,
}

/// AlgorithmIdentifier (RFC 5280, section 4.1.1.2).
#[derive(Sequence)]
struct AlgorithmIdentifier<'a> {
    algorithm: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

/// SubjectPublicKeyInfo (RFC 5280, section 4.1).
#[derive(Sequence)]
struct Spki<'a> {
    algorithm: AlgorithmIdentifier<'a>,
    subject_public_key: BitStringRef<'a>,
}

/// RSAPublicKey (RFC 8017, appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl PublicKey {
    /// What kind of key these numbers are; `None` for a size or curve that is not supported.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Rsa { n, .. } => match n.len() {
                256 => Some(Algorithm::Rsa2048),
                384 => Some(Algorithm::Rsa3072),
                512 => Some(Algorithm::Rsa4096),
                _ => None,
            },
            Self::Ec { point } => match point.len() {
                65 => Some(Algorithm::P256),
                97 => Some(Algorithm::P384),
                133 => Some(Algorithm::P521),
                _ => None,
            },
            Self::Ed25519 { .. } => Some(Algorithm::Ed25519),
        }
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn to_spki(&self) -> Result<Vec<u8>, BadPublicKey> {
        let rsa;
        let (algorithm, parameters, bits) = match self {
            Self::Rsa { n, e } => {
                rsa =
                    RsaPublicKey { modulus: UintRef::new(n)?, public_exponent: UintRef::new(e)? }.to_der()?;
                (RSA, Some(AnyRef::NULL), rsa.as_slice())
            }
            Self::Ec { point } => {
                let curve = match self.algorithm() {
                    Some(Algorithm::P256) => &P256,
                    Some(Algorithm::P384) => &P384,
                    Some(Algorithm::P521) => &P521,
                    _ => return Err(BadPublicKey::Unsupported),
                };
                (EC, Some(AnyRef::from(curve)), point.as_slice())
            }
            Self::Ed25519 { point } => (ED25519, None, point.as_slice()),
        };
        let algorithm = AlgorithmIdentifier { algorithm, parameters };
        Ok(Spki { algorithm, subject_public_key: BitStringRef::from_bytes(bits)? }.to_der()?)
    }

    /// Reads the DER of a SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<Self, BadPublicKey> {
        let spki = Spki::from_der(der)?;
        let bits = spki.subject_public_key.as_bytes().ok_or(BadPublicKey::Unsupported)?;
        let key = match spki.algorithm.algorithm {
            RSA => {
                let rsa = RsaPublicKey::from_der(bits)?;
                Self::Rsa { n: rsa.modulus.as_bytes().to_vec(), e: rsa.public_exponent.as_bytes().to_vec() }
            }
            EC if bits.first() == Some(&0x04) => Self::Ec { point: bits.to_vec() },
            ED25519 => Self::Ed25519 { point: bits.try_into().map_err(|_| BadPublicKey::Unsupported)? },
            _ => return Err(BadPublicKey::Unsupported),
        };
        if let Self::Ec { .. } = key {
            let named = spki.algorithm.parameters.ok_or(BadPublicKey::Unsupported)?;
            let curve = match named.decode_as::<ObjectIdentifier>()? {
                P256 => Algorithm::P256,
                P384 => Algorithm::P384,
                P521 => Algorithm::P521,
                _ => return Err(BadPublicKey::Unsupported),
            };
            if key.algorithm() != Some(curve) {
                return Err(BadPublicKey::Unsupported);
            }
        }
        key.algorithm().map(|_| key).ok_or(BadPublicKey::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<PublicKey> {
        let ec = |size: usize| PublicKey::Ec { point: [&[4_u8][..], &vec![0x11; 2 * size]].concat() };
        vec![
            PublicKey::Rsa { n: vec![0xc1; 256], e: vec![1, 0, 1] },
            PublicKey::Rsa { n: vec![0xc1; 512], e: vec![1, 0, 1] },
            ec(32),
            ec(48),
            ec(66),
            PublicKey::Ed25519 { point: [7; 32] },
        ]
    }

    #[test]
    fn every_kind_of_key_survives_its_der() {
        for key in samples() {
            assert_eq!(PublicKey::from_spki(&key.to_spki().unwrap()), Ok(key));
        }
    }

    #[test]
    fn truncated_and_trailing_der_is_refused() {
        for key in samples() {
            let der = key.to_spki().unwrap();
            for cut in 0..der.len() {
                assert!(PublicKey::from_spki(&der[..cut]).is_err());
            }
            assert!(PublicKey::from_spki(&[&der[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn an_odd_size_of_rsa_key_is_refused() {
        let der = PublicKey::Rsa { n: vec![0xc1; 128], e: vec![1, 0, 1] }.to_spki().unwrap();
        assert_eq!(PublicKey::from_spki(&der), Err(BadPublicKey::Unsupported));
    }
}
