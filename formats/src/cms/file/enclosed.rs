//! Content inside a signature, of any length, without holding it: what stands before it, and what stands behind.
//!
//! ```text
//! ContentInfo SEQUENCE { id-signedData, [0] SignedData SEQUENCE {
//!     version, digestAlgorithms,
//!     encapContentInfo SEQUENCE { id-data, [0] OCTET STRING }     <- the content
//!     certificates, crls, signerInfos } }
//! ```

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use der::Encode;

use super::Content;
use crate::cms::error::library;
use crate::cms::{Error, SIGNED_DATA, VerifyError};

/// Longest file that is put into a signature, in bytes: OpenSSL reads no longer ones.
pub const MAX_ENCLOSED: u64 = 0x7ff0_0000;
/// Longest signature without its content, in bytes.
const MAX_CMS: u64 = 1024 * 1024;

/// Tags (X.690, section 8).
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const INTEGER: u8 = 0x02;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// A signature that was read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The signature without its content.
    pub cms: Vec<u8>,
    /// Where in the file the content stands, if it is there.
    pub content: Option<Range<u64>>,
}

/// Finds signature and content in a file. Only what stands around the content is read.
pub fn open(file: &mut (impl Read + Seek)) -> Result<Opened, VerifyError> {
    let (parts, content) = Parts::read(file)?;
    Ok(Opened { cms: [parts.before(None), parts.behind].concat(), content })
}

/// Writes a signature with the file that it is over inside. The file is read again: one that has changed since is not given a
/// signature that is not its own, and what was written is to be thrown away.
pub fn enclose(cms: &[u8], content: &Content, file: impl Read, mut output: impl Write) -> Result<(), Error> {
    if content.len > MAX_ENCLOSED {
        return Err(Error::TooLarge(MAX_ENCLOSED));
    }
    let parts = Parts::read(&mut Cursor::new(cms));
    let (parts, _) = parts.map_err(library("put a file into a signature"))?;
    output.write_all(&parts.before(Some(content.len))).map_err(Error::Write)?;
    if Content::copy(content.digest.hash(), file, &mut output)? != *content {
        return Err(Error::Changed);
    }
    output.write_all(&parts.behind).and_then(|()| output.flush()).map_err(Error::Write)
}

/// A signature around its content.
struct Parts {
    /// version and digestAlgorithms.
    begin: Vec<u8>,
    /// eContentType.
    kind: Vec<u8>,
    /// certificates, crls and signerInfos.
    behind: Vec<u8>,
}

impl Parts {
    fn read(file: &mut (impl Read + Seek)) -> Result<(Self, Option<Range<u64>>), VerifyError> {
        let bad = VerifyError::Malformed;
        let len = file.seek(SeekFrom::End(0)).map_err(VerifyError::Read)?;
        file.rewind().map_err(VerifyError::Read)?;
        let mut reader = Reader { file, at: 0 };
        let all = reader.enter(SEQUENCE)?;
        if all.end != len {
            return Err(bad("is cut off, or something stands behind it"));
        }
        if reader.whole(OBJECT_IDENTIFIER)? != signed_data() {
            return Err(bad("is CMS, but not SignedData"));
        }
        let (explicit, data) = (reader.enter(CONTEXT_0)?, reader.enter(SEQUENCE)?);
        if explicit.end != len || data.end != len {
            return Err(bad("has parts that are longer or shorter than the whole"));
        }
        let begin = [reader.whole(INTEGER)?, reader.whole(SET)?].concat();
        let enclosing = reader.enter(SEQUENCE)?;
        let kind = reader.whole(OBJECT_IDENTIFIER)?;
        let content = if reader.at == enclosing.end {
            None
        } else {
            let explicit = reader.enter(CONTEXT_0)?;
            let content = reader.enter(OCTET_STRING)?;
            if explicit.end != enclosing.end || content.end != enclosing.end || content.end > len {
                return Err(bad("has content that is longer or shorter than its place"));
            }
            reader.skip_to(content.end)?;
            Some(content)
        };
        let behind = reader.bytes(len - enclosing.end.min(len))?;
        Ok((Self { begin, kind, behind }, content))
    }

    /// What stands before the content, or before where it would stand.
    fn before(&self, content_len: Option<u64>) -> Vec<u8> {
        let content = content_len.map_or(Vec::new(), |len| {
            let octets = header(OCTET_STRING, len);
            [header(CONTEXT_0, octets.len() as u64 + len), octets].concat()
        });
        let content_len = content_len.unwrap_or(0);
        let kind = [self.kind.clone(), content].concat();
        let enclosing = [header(SEQUENCE, kind.len() as u64 + content_len), kind].concat();
        let data = [self.begin.clone(), enclosing].concat();
        let rest = content_len + self.behind.len() as u64;
        let data = [header(SEQUENCE, data.len() as u64 + rest), data].concat();
        let info = [signed_data(), header(CONTEXT_0, data.len() as u64 + rest), data].concat();
        [header(SEQUENCE, info.len() as u64 + rest), info].concat()
    }
}

fn signed_data() -> Vec<u8> {
    // An object identifier that is written out in the source has a DER.
    SIGNED_DATA.to_der().unwrap_or_default()
}

/// Tag and length (X.690, sections 8.1.2 and 10.1).
fn header(tag: u8, len: u64) -> Vec<u8> {
    /// The longest length that stands in one byte.
    const SHORT: u64 = 0x7f;
    if len <= SHORT {
        return vec![tag, u8::try_from(len).unwrap_or_default()];
    }
    let bytes = len.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|&byte| byte == 0).collect();
    let count = u8::try_from(significant.len()).unwrap_or_default();
    [vec![tag, 0x80 | count], significant].concat()
}

/// Reads DER piece by piece.
struct Reader<'a, F> {
    file: &'a mut F,
    at: u64,
}

impl<F: Read + Seek> Reader<'_, F> {
    /// Reads a header; what is inside is still to be read.
    fn enter(&mut self, tag: u8) -> Result<Range<u64>, VerifyError> {
        let bad = |why| Err(VerifyError::Malformed(why));
        let [found, first] = self.array()?;
        if found != tag {
            return bad("is not CMS SignedData in DER (RFC 5652), or its content is no file's");
        }
        let len = match first {
            0..=0x7f => u64::from(first),
            0x80 => {
                return bad(
                    "is BER of indefinite length: `openssl cms -cmsout -inform DER -outform DER` may rewrite it",
                );
            }
            _ => {
                let count = usize::from(first & 0x7f);
                let mut bytes = [0; 8];
                let Some(place) = bytes.len().checked_sub(count) else {
                    return bad("has a length beyond reason");
                };
                bytes[place..].copy_from_slice(&self.bytes(count as u64)?);
                u64::from_be_bytes(bytes)
            }
        };
        match self.at.checked_add(len) {
            Some(end) if header(tag, len).len() as u64 == 2 + u64::from(first.saturating_sub(0x80)) => {
                Ok(self.at..end)
            }
            _ => bad("has a length that is not in DER"),
        }
    }

    /// Reads a small value with its header.
    fn whole(&mut self, tag: u8) -> Result<Vec<u8>, VerifyError> {
        let inside = self.enter(tag)?;
        let len = inside.end - inside.start;
        Ok([header(tag, len), self.bytes(len)?].concat())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], VerifyError> {
        let bytes = self.bytes(N as u64)?;
        bytes.try_into().map_err(|_| VerifyError::Malformed("is cut off"))
    }

    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, VerifyError> {
        if len > MAX_CMS {
            return Err(VerifyError::Malformed("is longer than any signature (1 MiB)"));
        }
        let mut bytes = Vec::new();
        self.file.by_ref().take(len).read_to_end(&mut bytes).map_err(VerifyError::Read)?;
        if bytes.len() as u64 != len {
            return Err(VerifyError::Malformed("is cut off"));
        }
        self.at += len;
        Ok(bytes)
    }

    fn skip_to(&mut self, at: u64) -> Result<(), VerifyError> {
        self.file.seek(SeekFrom::Start(at)).map_err(VerifyError::Read)?;
        self.at = at;
        Ok(())
    }
}
