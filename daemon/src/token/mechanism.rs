//! From a scheme and a digest to what a token takes.

use chancery_protocol::{Algorithm, Hash, Scheme};

use super::wire::SignMechanism;
use crate::request::{OrderInput, digest};

/// DER of DigestInfo up to the digest (RFC 8017, section 9.2, note 1).
const fn digest_info(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => &[
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
            0x00, 0x04, 0x20,
        ],
        Hash::Sha384 => &[
            0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
            0x00, 0x04, 0x30,
        ],
        Hash::Sha512 => &[
            0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
            0x00, 0x04, 0x40,
        ],
    }
}

/// Most leading bytes of a digest that ECDSA uses: the order's length (FIPS 186-5, section 6.4.1). Tokens differ in
/// what they do with more.
const fn ecdsa_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::P256 => 32,
        Algorithm::P384 => 48,
        _ => 66,
    }
}

/// The mechanism for `scheme` and the inputs for it, one for each signature.
pub fn prepare(scheme: Scheme, algorithm: Algorithm, input: OrderInput) -> (SignMechanism, Vec<Vec<u8>>) {
    let inputs = match (input, scheme.hash()) {
        (OrderInput::Digests(digests), _) => digests.iter().map(|digest| digest.bytes().to_vec()).collect(),
        (OrderInput::Message(message), Some(hash)) => vec![digest(hash, &message)],
        (OrderInput::Message(message), None) => vec![message],
    };
    match scheme {
        Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512 => {
            let prefix = scheme.hash().map_or(&[][..], digest_info);
            (SignMechanism::RsaPkcs, inputs.into_iter().map(|digest| [prefix, &digest].concat()).collect())
        }
        Scheme::RsaPssSha256 => (SignMechanism::RsaPssSha256, inputs),
        Scheme::RsaPssSha384 => (SignMechanism::RsaPssSha384, inputs),
        Scheme::RsaPssSha512 => (SignMechanism::RsaPssSha512, inputs),
        Scheme::EcdsaSha256 | Scheme::EcdsaSha384 | Scheme::EcdsaSha512 => {
            let cut = |mut digest: Vec<u8>| {
                digest.truncate(ecdsa_len(algorithm));
                digest
            };
            (SignMechanism::Ecdsa, inputs.into_iter().map(cut).collect())
        }
        Scheme::Ed25519Sha256 | Scheme::Ed25519Sha384 | Scheme::Ed25519Sha512 | Scheme::Ed25519 => {
            (SignMechanism::Eddsa, inputs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_protocol::Digest;

    #[test]
    fn a_digest_info_is_der_of_its_own_length() {
        for &hash in Hash::ALL {
            let prefix = digest_info(hash);
            assert_eq!(usize::from(prefix[1]), prefix.len() - 2 + hash.digest_len());
            assert_eq!(usize::from(prefix[prefix.len() - 1]), hash.digest_len());
        }
    }

    #[test]
    fn a_digest_longer_than_the_curve_is_cut_to_its_left() {
        let bytes: Vec<u8> = (0..64).collect();
        let digests = || OrderInput::Digests(vec![Digest::new(Hash::Sha512, bytes.clone()).unwrap()]);
        assert_eq!(prepare(Scheme::EcdsaSha512, Algorithm::P256, digests()).1, [bytes[..32].to_vec()]);
        assert_eq!(prepare(Scheme::EcdsaSha512, Algorithm::P521, digests()).1[0], bytes);
        assert_eq!(prepare(Scheme::Ed25519Sha512, Algorithm::Ed25519, digests()).1[0], bytes);
    }
}
