//! Where a module ends and its signatures begin.

use std::io::{self, Read, Seek, SeekFrom};

use super::Error;

/// What a signed module ends in (Linux, include/linux/module_signature.h, `MODULE_SIG_STRING`).
pub(super) const MAGIC: &[u8; 28] = b"~Module signature appended~\n";
/// `PKEY_ID_PKCS7`: the signature is CMS. All the other fields are zero then (Linux, kernel/module_signature.c).
const PKEY_ID_PKCS7: u8 = 2;
/// Size of `struct module_signature`, in bytes.
const INFO_LEN: usize = 12;
/// Size of all that stands behind a signature.
pub(super) const TRAILER_LEN: u64 = (INFO_LEN + MAGIC.len()) as u64;
/// Largest signature that is read, in bytes; one with a chain of certificates has some ten thousand.
const MAX_SIGNATURE: u32 = 256 * 1024;
/// Most signatures that are looked for, one behind the other.
const MAX_SIGNATURES: usize = 16;

/// What stands behind a signature of this length, `struct module_signature` and the magic.
pub(super) fn trailer(signature_len: u32) -> Vec<u8> {
    let mut trailer = vec![0, 0, PKEY_ID_PKCS7, 0, 0, 0, 0, 0];
    trailer.extend(signature_len.to_be_bytes());
    trailer.extend(MAGIC);
    trailer
}

/// A module as it lies in a file: its contents, and the signatures behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    contents: u64,
    /// Length of what the last signature covers.
    signed: u64,
    len: u64,
    last: Option<Vec<u8>>,
    signatures: usize,
}

impl Module {
    /// Finds the signatures of a module, from its end. Only the last one is read; the contents are not looked at.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, Error> {
        let len = file.seek(SeekFrom::End(0)).map_err(Error::Read)?;
        let mut module = Self { contents: len, signed: len, len, last: None, signatures: 0 };
        while let Some(signature) = signature_before(file, module.contents)? {
            if module.signatures == MAX_SIGNATURES {
                return Err(Error::Trailer("more signatures stand before it than anybody makes"));
            }
            if module.signatures == 0 {
                file.seek(SeekFrom::Start(signature.begin)).map_err(Error::Read)?;
                let mut bytes = Vec::new();
                let read = file.take(signature.len.into()).read_to_end(&mut bytes).map_err(Error::Read)?;
                if read as u64 != u64::from(signature.len) {
                    return Err(Error::Changed);
                }
                module.last = Some(bytes);
                module.signed = signature.begin;
            }
            module.contents = signature.begin;
            module.signatures += 1;
        }
        if module.contents == 0 {
            return Err(Error::Empty);
        }
        Ok(module)
    }

    /// Length of the module without signatures, in bytes.
    pub const fn contents_len(&self) -> u64 {
        self.contents
    }

    /// Length of the file, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// How many signatures stand behind the contents.
    pub const fn signatures(&self) -> usize {
        self.signatures
    }

    /// The last signature, which is the one that the kernel looks at: CMS in DER.
    pub fn last_signature(&self) -> Option<&[u8]> {
        self.last.as_deref()
    }

    /// Length of what the last signature covers, in bytes.
    pub(super) const fn signed_len(&self) -> u64 {
        self.signed
    }
}

/// Where a signature lies.
struct Signature {
    begin: u64,
    len: u32,
}

/// The signature that ends at `end`, if one does.
fn signature_before(file: &mut (impl Read + Seek), end: u64) -> Result<Option<Signature>, Error> {
    let magic_begin = end.checked_sub(MAGIC.len() as u64);
    let Some(magic_begin) = magic_begin else { return Ok(None) };
    let mut magic = [0; MAGIC.len()];
    read_at(file, magic_begin, &mut magic)?;
    if magic != *MAGIC {
        return Ok(None);
    }
    let Some(info_begin) = magic_begin.checked_sub(INFO_LEN as u64) else {
        return Err(Error::Trailer("the file begins after where its description would stand"));
    };
    let mut info = [0; INFO_LEN];
    read_at(file, info_begin, &mut info)?;
    let [algo, hash, id_type, signer_len, key_id_len, pad @ .., a, b, c, d] = info;
    if id_type != PKEY_ID_PKCS7 {
        return Err(Error::Trailer(
            "the signature is not CMS but of a kind that kernels before 4.3 had, or damaged",
        ));
    }
    if [algo, hash, signer_len, key_id_len] != [0; 4] || pad != [0; 3] {
        return Err(Error::Trailer("its description has values where zeros belong"));
    }
    let len = u32::from_be_bytes([a, b, c, d]);
    if len > MAX_SIGNATURE {
        return Err(Error::Trailer("the signature would be larger than any signature"));
    }
    let begin = info_begin.checked_sub(len.into());
    let begin = begin.ok_or(Error::Trailer("the signature would begin before the file does"))?;
    Ok(Some(Signature { begin, len }))
}

fn read_at(file: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), Error> {
    file.seek(SeekFrom::Start(at)).map_err(Error::Read)?;
    file.read_exact(into).map_err(|error| match error.kind() {
        // The length was asked before.
        io::ErrorKind::UnexpectedEof => Error::Changed,
        _ => Error::Read(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &[u8]) -> Result<Module, Error> {
        Module::read(&mut Cursor::new(bytes))
    }

    fn signed(contents: &[u8], signature: &[u8]) -> Vec<u8> {
        [contents, signature, &trailer(u32::try_from(signature.len()).unwrap())].concat()
    }

    #[test]
    fn an_unsigned_module_is_all_contents() {
        let module = read(b"\x7fELF").unwrap();
        assert_eq!((module.contents_len(), module.signatures(), module.last_signature()), (4, 0, None));
    }

    #[test]
    fn signatures_are_found_behind_one_another_and_the_last_one_is_read() {
        let once = signed(b"\x7fELF", b"first");
        let twice = signed(&once, b"second");
        let module = read(&twice).unwrap();
        assert_eq!((module.contents_len(), module.signatures()), (4, 2));
        assert_eq!(module.last_signature(), Some(&b"second"[..]));
        assert_eq!(module.signed_len(), once.len() as u64);
    }

    #[test]
    fn the_trailer_has_the_form_of_the_kernels_header() {
        assert_eq!(trailer(0x0102).len() as u64, TRAILER_LEN);
        assert_eq!(trailer(0x0102)[..12], [0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn a_file_without_contents_is_refused() {
        for empty in [vec![], signed(b"", b"signature"), signed(&signed(b"", b""), b"signature")] {
            assert!(matches!(read(&empty), Err(Error::Empty)), "{empty:?}");
        }
    }

    #[test]
    fn a_mark_with_nothing_good_before_it_is_refused() {
        let mut too_long = signed(b"\x7fELF", b"signature");
        let info = too_long.len() - 40;
        too_long[info + 11] += 5;
        let mut huge = too_long.clone();
        huge[info + 8] = 0xff;
        let mut old_kind = signed(b"\x7fELF", b"signature");
        old_kind[info + 2] = 1;
        let mut padded = signed(b"\x7fELF", b"signature");
        padded[info + 6] = 1;
        let mut many = b"\x7fELF".to_vec();
        for _ in 0..=MAX_SIGNATURES {
            many = signed(&many, b"");
        }
        for (bad, why) in [
            (MAGIC.to_vec(), "begins after"),
            ([&[0; 11], &MAGIC[..]].concat(), "begins after"),
            (too_long, "before the file"),
            (huge, "larger than any"),
            (old_kind, "not CMS"),
            (padded, "zeros"),
            (many, "more signatures"),
        ] {
            let error = read(&bad).expect_err(why).to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
