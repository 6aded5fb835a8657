//! The numbers of the RPM package format, versions 4 and 6, as rpm's `include/rpm/rpmtag.h` names them.

/// Region of the signature header (`RPMTAG_HEADERSIGNATURES`).
pub(super) const HEADERSIGNATURES: u32 = 62;
/// Region of the main header (`RPMTAG_HEADERIMMUTABLE`); packages of format 3 have none.
pub(super) const HEADERIMMUTABLE: u32 = 63;
/// What very old tools wrote in the trailer of the signature header's region (`RPMTAG_HEADERIMAGE`).
pub(super) const HEADERIMAGE: u32 = 61;
/// Lowest tag that is not a region (`HEADER_I18NTABLE`).
pub(super) const FIRST_TAG: u32 = 100;

// Signature header: over the main header.

/// Signature over the main header, DSA, EdDSA or ECDSA (`RPMSIGTAG_DSA`).
pub(super) const SIG_DSA: u32 = 267;
/// Signature over the main header, RSA (`RPMSIGTAG_RSA`).
pub(super) const SIG_RSA: u32 = 268;
/// SHA-1 of the main header, in hexadecimal (`RPMSIGTAG_SHA1`).
pub(super) const SIG_SHA1: u32 = 269;
/// SHA-256 of the main header, in hexadecimal (`RPMSIGTAG_SHA256`).
pub(super) const SIG_SHA256: u32 = 273;
/// Any number of signatures over the main header, in base64 (`RPMSIGTAG_OPENPGP`, rpm 6).
pub(super) const SIG_OPENPGP: u32 = 278;
/// SHA3-256 of the main header, in hexadecimal (`RPMSIGTAG_SHA3_256`, rpm 6).
pub(super) const SIG_SHA3_256: u32 = 279;

// Signature header: over the main header and the payload.

/// Signature over header and payload, RSA (`RPMSIGTAG_PGP`).
pub(super) const SIG_PGP: u32 = 1002;
/// MD5 of header and payload (`RPMSIGTAG_MD5`).
pub(super) const SIG_MD5: u32 = 1004;
/// Signature over header and payload, DSA, EdDSA or ECDSA (`RPMSIGTAG_GPG`).
pub(super) const SIG_GPG: u32 = 1005;
/// Signature by PGP 5, obsolete (`RPMSIGTAG_PGP5`).
pub(super) const SIG_PGP5: u32 = 1006;

// Signature header: room for signatures that are to come.

/// Reserved room in packages of format 6 (`RPMSIGTAG_RESERVED`).
pub(super) const SIG_RESERVED: u32 = 999;
/// Reserved room in packages of format 4 (`RPMSIGTAG_RESERVEDSPACE`).
pub(super) const SIG_RESERVEDSPACE: u32 = 1008;

/// The tags that hold OpenPGP signatures, in the order in which rpm reports them.
pub(super) const SIGNATURES: [u32; 6] = [SIG_OPENPGP, SIG_RSA, SIG_DSA, SIG_PGP, SIG_GPG, SIG_PGP5];

// Main header.

pub(super) const NAME: u32 = 1000;
pub(super) const VERSION: u32 = 1001;
pub(super) const RELEASE: u32 = 1002;
pub(super) const EPOCH: u32 = 1003;
pub(super) const ARCH: u32 = 1022;
/// Only binary packages have it.
pub(super) const SOURCERPM: u32 = 1044;
/// Sources that are left out of a source package: it is then a `nosrc` package.
pub(super) const NOSOURCE: u32 = 1051;
/// Patches that are left out of a source package.
pub(super) const NOPATCH: u32 = 1052;
/// Digest of the payload as it is in the file, in hexadecimal (`RPMTAG_PAYLOADDIGEST`, rpm 4.14).
pub(super) const PAYLOADDIGEST: u32 = 5092;
/// The hash of `PAYLOADDIGEST`, as OpenPGP numbers it.
pub(super) const PAYLOADDIGESTALGO: u32 = 5093;
/// Digest of the uncompressed payload.
pub(super) const PAYLOADDIGESTALT: u32 = 5097;
/// Format of the package, from 6 on (`RPMTAG_RPMFORMAT`).
pub(super) const RPMFORMAT: u32 = 5114;
/// SHA-512 of the payload (`RPMTAG_PAYLOADSHA512`, rpm 6).
pub(super) const PAYLOADSHA512: u32 = 5121;
/// SHA3-256 of the payload (`RPMTAG_PAYLOADSHA3_256`, rpm 6).
pub(super) const PAYLOADSHA3_256: u32 = 5123;

// Types of an entry's data (`rpmTagType`).

pub(super) const INT32: u32 = 4;
pub(super) const STRING: u32 = 6;
pub(super) const BIN: u32 = 7;
pub(super) const STRING_ARRAY: u32 = 8;
pub(super) const I18NSTRING: u32 = 9;

/// Size of one element in bytes, which is also its alignment; `None` for strings, whose length is in their data, and
/// for what is no type.
pub(super) const fn element_size(kind: u32) -> Option<usize> {
    match kind {
        // char, int8, binary
        1 | 2 | BIN => Some(1),
        // int16
        3 => Some(2),
        INT32 => Some(4),
        // int64
        5 => Some(8),
        _ => None,
    }
}
