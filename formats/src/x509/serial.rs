//! Serial numbers of certificates (RFC 5280, section 4.1.2.2).

use super::Error;
use super::error::library;

/// A serial number: positive, at most 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Bytes of a random one, so that no two certificates of an issuer share theirs.
    const RANDOM_LEN: usize = 16;

    /// Takes big-endian `bytes` as a serial number.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let positive = bytes.iter().any(|&byte| byte != 0) && bytes[0] < 0x80;
        if bytes.len() > 20 || !positive {
            return Err(Error::Serial);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// A random one of 126 bits, always 16 bytes long.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; Self::RANDOM_LEN];
        sequoia_openpgp::crypto::random(&mut bytes).map_err(library("get random numbers"))?;
        // Positive, and without a leading zero that DER would drop.
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes.to_vec()))
    }

    /// Its bytes, big-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_serial_is_positive_and_another_each_time() {
        let serials = [(); 64].map(|()| Serial::random().unwrap());
        for (n, serial) in serials.iter().enumerate() {
            assert!(serial.0[0] < 0x80 && serial.0.len() == 16);
            assert!(!serials[..n].contains(serial));
        }
    }

    #[test]
    fn what_rfc_5280_forbids_is_refused() {
        for bad in [&[][..], &[0], &[0, 0], &[0x80], &[1; 21]] {
            assert!(Serial::new(bad).is_err(), "{bad:?}");
        }
        assert!(Serial::new(&[0, 0x80]).is_ok() && Serial::new(&[1; 20]).is_ok());
    }
}
