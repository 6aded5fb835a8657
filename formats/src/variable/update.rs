//! A signed update of a variable (UEFI, section 8.2.2).
//!
//! EDK II (OVMF 2022.11) is stricter than the specification: it takes SignedData without ContentInfo around it, SHA-256
//! alone, RSA by PKCS #1 v1.5 alone, a signer named by issuer and serial number whose certificate is inside, nothing
//! behind the DER, and in PK, KEK, db and dbx no certificate whose key is not RSA.

use std::time::Duration;

use chancery_protocol::{Digest, Hash, Scheme};
use der::DateTime;

use super::{Entry, Error, Guid, Variable, lists};
use crate::cms;
use crate::raw::{self, Input};
use crate::x509::Certificate;

/// EFI_VARIABLE_NON_VOLATILE, _BOOTSERVICE_ACCESS, _RUNTIME_ACCESS and _TIME_BASED_AUTHENTICATED_WRITE_ACCESS (UEFI,
/// section 8.2.1), which the variables of Secure Boot have.
pub(super) const ATTRIBUTES: u32 = 0x01 | 0x02 | 0x04 | 0x20;
/// EFI_VARIABLE_APPEND_WRITE.
pub(super) const APPEND_WRITE: u32 = 0x40;
/// EFI_CERT_TYPE_PKCS7_GUID.
pub(super) const PKCS7: Guid = Guid::new(0x4aafd29d_68df_49ee_8aa9_347d375665a7);
/// WIN_CERTIFICATE's wRevision, and WIN_CERT_TYPE_EFI_GUID (UEFI, section 32.2.4).
pub(super) const REVISION: u16 = 0x0200;
pub(super) const TYPE_GUID: u16 = 0x0ef1;
/// dwLength, wRevision, wCertificateType and CertType.
pub(super) const CERTIFICATE_HEADER: usize = 4 + 2 + 2 + 16;

/// What is to become of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Which variable.
    pub variable: Variable,
    /// What it will hold, or what is added; nothing removes the variable.
    pub entries: Vec<Entry>,
    /// Whose entries they are. Firmware does not look; people do.
    pub owner: Guid,
    /// Whether the entries are added to those that are there. Firmware adds each only once.
    pub append: bool,
    /// When it was made, in seconds since 1970. Firmware takes no update that is not later than the last, unless it adds.
    pub time: u64,
}

/// An update that lacks its signature: sign [`digest`](Self::digest) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending {
    time: [u8; 16],
    value: Vec<u8>,
    digest: Digest,
    cms: cms::Pending,
}

/// Prepares an update that the key of `certificate` signs; `chain` is embedded behind it. The hash is SHA-256, the only
/// one that firmware is bound to know here.
pub fn prepare(update: &Update, certificate: &Certificate, chain: &[Certificate]) -> Result<Pending, Error> {
    let value = lists(&update.entries, update.owner)?;
    let time = efi_time(update.time)?;
    let attributes = if update.append { ATTRIBUTES | APPEND_WRITE } else { ATTRIBUTES };
    let message = message(update.variable, attributes, &time, &value);
    let digest = raw::digest(Hash::Sha256, &message).map_err(cms::Error::from)?;
    let signer = cms::Signer::of_firmware(certificate, chain, Hash::Sha256)?;
    let cms = signer.over(Input::Digest(digest.clone()))?;
    Ok(Pending { time, value, digest, cms })
}

impl Pending {
    /// What is to be signed.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.cms.scheme()
    }

    /// The update as SetVariable takes it, once `raw` has been checked against the certificate's key.
    pub fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        // Of ContentInfo the specification says nothing; SignedData stands there as it is.
        let signature = self.cms.finish_bare(raw)?;
        let length = u32::try_from(CERTIFICATE_HEADER + signature.len()).map_err(|_| Error::TooLarge)?;
        let mut update = self.time.to_vec();
        update.extend(length.to_le_bytes());
        update.extend(REVISION.to_le_bytes());
        update.extend(TYPE_GUID.to_le_bytes());
        update.extend(PKCS7.as_bytes());
        update.extend(signature);
        update.extend(self.value);
        Ok(update)
    }
}

/// What is signed: VariableName without its end, VendorGuid, Attributes, TimeStamp, and the new value.
pub(super) fn message(variable: Variable, attributes: u32, time: &[u8; 16], value: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = variable.as_str().encode_utf16().flat_map(u16::to_le_bytes).collect();
    message.extend(variable.vendor().as_bytes());
    message.extend(attributes.to_le_bytes());
    message.extend(time);
    message.extend(value);
    message
}

/// EFI_TIME (UEFI, section 8.3.1) in UTC, with zeros where section 8.2.2 wants them: in both pads, the nanoseconds, the
/// time zone and daylight.
fn efi_time(seconds: u64) -> Result<[u8; 16], Error> {
    let civil = DateTime::from_unix_duration(Duration::from_secs(seconds)).map_err(|_| Error::Time)?;
    let [low, high] = civil.year().to_le_bytes();
    let mut time = [0; 16];
    let fields = [low, high, civil.month(), civil.day(), civil.hour(), civil.minutes(), civil.seconds()];
    time[..fields.len()].copy_from_slice(&fields);
    Ok(time)
}
