//! A signature as text (RFC 7468, sections 8 and 9).

use der::pem::LineEnding;

use crate::cms::error::library;
use crate::cms::{Error, Form};

/// What PEM begins with.
const BEGIN: &[u8] = b"-----BEGIN ";

/// A signature as text.
pub fn to_text(cms: &[u8], form: Form) -> Result<String, Error> {
    der::pem::encode_string(form.label(), LineEnding::LF, cms).map_err(library("write a signature as text"))
}

/// The signature in `bytes`, if they are text and hold one, and what it is called there.
pub fn of_text(bytes: &[u8]) -> Option<(Vec<u8>, Form)> {
    if !bytes.starts_with(BEGIN) {
        return None;
    }
    let (label, cms) = der::pem::decode_vec(bytes).ok()?;
    let form = [Form::Cms, Form::Pkcs7].into_iter().find(|form| form.label() == label)?;
    Some((cms, form))
}

impl Form {
    /// What PEM calls it. OpenSSL reads both, GnuTLS the second alone.
    const fn label(self) -> &'static str {
        match self {
            Self::Cms => "CMS",
            Self::Pkcs7 => "PKCS7",
        }
    }
}
