//! A signed update as it is read and verified (UEFI, section 8.2.2). A convenience; the firmware is the judge.

use chancery_protocol::Hash;
use der::DateTime;

use super::signature_list::{SignatureList, read};
use super::update::{APPEND_WRITE, ATTRIBUTES, CERTIFICATE_HEADER, PKCS7, REVISION, TYPE_GUID, message};
use super::{Guid, Malformed, Variable, VerifyError};
use crate::cms::{self, DATA, Signature, anchor, embedded};
use crate::raw;
use crate::x509::{Certificate, Subject};

/// Length of EFI_TIME (UEFI, section 8.3.1).
const TIME: usize = 16;

/// EFI_VARIABLE_AUTHENTICATION_2 and the value behind it. Nobody has verified it.
#[derive(Debug, Clone)]
pub struct SignedUpdate {
    time: [u8; TIME],
    seconds: u64,
    signature: Signature,
    value: Vec<u8>,
    lists: Vec<SignatureList>,
}

/// What a good signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key signed.
    pub subject: Subject,
    /// Which of the given certificates vouches for it: the signer's, or one of its issuers'.
    pub anchor: Subject,
    /// Whether the value is added to what the variable holds; otherwise it replaces that.
    pub append: bool,
}

impl SignedUpdate {
    /// Reads a `.auth` file, of which every byte belongs to something.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bad = |at: usize, why: &str| Malformed { at, why: why.to_owned() };
        let short = bad(0, "it is shorter than the header of a signed update");
        let Some((time, rest)) = bytes.split_first_chunk::<TIME>() else { return Err(short) };
        let Some((header, rest)) = rest.split_first_chunk::<CERTIFICATE_HEADER>() else { return Err(short) };
        let seconds = seconds(time).ok_or_else(|| bad(0, "it does not begin with a time in UTC"))?;
        let [l0, l1, l2, l3, r0, r1, t0, t1, guid @ ..] = *header;
        if u16::from_le_bytes([r0, r1]) != REVISION || u16::from_le_bytes([t0, t1]) != TYPE_GUID {
            return Err(bad(
                TIME + 4,
                "what follows the time is no certificate of type WIN_CERT_TYPE_EFI_GUID",
            ));
        }
        if Guid::of_bytes(guid) != PKCS7 {
            return Err(bad(TIME + 8, "the signature is none of type EFI_CERT_TYPE_PKCS7"));
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let signature = len.checked_sub(CERTIFICATE_HEADER).and_then(|len| rest.split_at_checked(len));
        let Some((signature, value)) = signature else {
            let left = CERTIFICATE_HEADER + rest.len();
            return Err(bad(TIME, &format!("the signature would have {len} bytes, and {left} are left")));
        };
        let signature =
            decode(signature).map_err(|error| bad(TIME + CERTIFICATE_HEADER, &error.to_string()))?;
        let lists = read(value, TIME + len)?;
        Ok(Self { time: *time, seconds, signature, value: value.to_vec(), lists })
    }

    /// When it was made, in seconds since 1970.
    pub const fn time(&self) -> u64 {
        self.seconds
    }

    /// Who says to have signed: issuer and serial number of a certificate, for people.
    pub fn signer(&self) -> String {
        self.signature.signer()
    }

    /// The hash that was signed; firmware is bound to know SHA-256 alone.
    pub const fn hash(&self) -> Hash {
        self.signature.hash
    }

    /// The subjects of the certificates that the signature holds and whose keys are known here, the signer's marked.
    pub fn certificates(&self) -> Vec<(Subject, bool)> {
        embedded(&self.signature).iter().map(|one| (one.subject(), self.signature.names(one))).collect()
    }

    /// What the variable is to hold, or what is added to it; nothing where it is removed.
    pub fn lists(&self) -> &[SignatureList] {
        &self.lists
    }

    /// Verifies the signature over name, vendor, attributes, time and value, as firmware does it whose `certificates` are
    /// those of the variable above: those of PK, or of KEK for a database. They count whatever their dates say. Which
    /// attributes are meant the file does not say; both that firmware takes are tried.
    pub fn verify(&self, variable: Variable, certificates: &[Certificate]) -> Result<Verified, VerifyError> {
        if self.signature.hash != Hash::Sha256 {
            return Err(VerifyError::Hash(self.signature.hash));
        }
        if variable == Variable::Pk && !self.lists.is_empty() && !self.holds_one_certificate() {
            return Err(VerifyError::PlatformKey);
        }
        let embedded = embedded(&self.signature);
        let signer = embedded.iter().find(|one| self.signature.names(one));
        let signer = signer.ok_or_else(|| VerifyError::NoSigner(self.signer()))?;
        let anchor = anchor(signer, &embedded, certificates)
            .ok_or_else(|| VerifyError::UnknownSigner(self.signer()))?;
        let check = |attributes| {
            let message = message(variable, attributes, &self.time, &self.value);
            let digest = raw::digest(Hash::Sha256, &message).map_err(cms::VerifyError::BadSignature)?;
            self.signature.check_over(signer, &digest)
        };
        let append = if check(ATTRIBUTES).is_ok() {
            false
        } else {
            check(ATTRIBUTES | APPEND_WRITE).map_err(|source| VerifyError::NotOver { variable, source })?;
            true
        };
        Ok(Verified { subject: signer.subject(), anchor: anchor.subject(), append })
    }

    /// The only form that firmware takes for PK.
    fn holds_one_certificate(&self) -> bool {
        matches!(self.lists.as_slice(), [list] if list.is_of_certificates() && list.entries.len() == 1)
    }
}

/// The signature, as firmware takes it: without content, and without attributes.
fn decode(signature: &[u8]) -> Result<Signature, cms::VerifyError> {
    let bad = cms::VerifyError::Malformed;
    let signature = Signature::decode_bare(signature)?;
    if signature.content.is_some() || signature.content_type != DATA {
        return Err(bad("holds contents of its own"));
    }
    if signature.attributes.is_some() {
        return Err(bad("has signed attributes"));
    }
    Ok(signature)
}

/// The seconds since 1970 of an EFI_TIME in UTC that has zeros where section 8.2.2 wants them.
fn seconds(time: &[u8; TIME]) -> Option<u64> {
    let [low, high, month, day, hour, minute, second, zeros @ ..] = *time;
    if zeros != [0; 9] {
        return None;
    }
    let time = DateTime::new(u16::from_le_bytes([low, high]), month, day, hour, minute, second).ok()?;
    Some(time.unix_duration().as_secs())
}
