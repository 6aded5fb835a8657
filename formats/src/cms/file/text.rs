//! A signature as text (RFC 7468, sections 8 and 9).

use der::pem::LineEnding;

use crate::cms::error::library;
use crate::cms::{Error, Form};

/// What PEM calls it. Readers of the one take the other.
const LABELS: [&str; 2] = ["CMS", "PKCS7"];
/// What PEM begins with.
const BEGIN: &[u8] = b"-----BEGIN ";

/// A signature as text.
pub fn to_text(cms: &[u8], form: Form) -> Result<String, Error> {
    let [as_cms, as_pkcs7] = LABELS;
    let label = match form {
        Form::Cms => as_cms,
        Form::Pkcs7 => as_pkcs7,
    };
    der::pem::encode_string(label, LineEnding::LF, cms).map_err(library("write a signature as text"))
}

/// The signature in `bytes`, if they are text and hold one.
pub fn of_text(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(BEGIN) {
        return None;
    }
    let (label, cms) = der::pem::decode_vec(bytes).ok()?;
    LABELS.contains(&label).then_some(cms)
}
