//! A file's signature, in its two phases.

use chancery_protocol::{Algorithm, Hash, Scheme};

use super::Content;
use crate::cms::{self, DATA, Error, Form, Signer, SignerId, signing_certificate};
use crate::raw::Input;
use crate::x509::Certificate;

/// What is signed beside the file's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes {
    /// Nothing: the file itself is signed. The kernel's fs-verity and modules want it so.
    None,
    /// Signed attributes (RFC 5652, section 11): the kind of content, its digest, and what is told of the signer.
    Signed {
        /// When it is signed, in seconds since 1970, if that is to be told.
        time: Option<u64>,
        /// Whether the signer's certificate is named.
        certificate: SigningCertificate,
    },
}

/// Whether the signer's certificate is named among the signed attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigningCertificate {
    /// It is not.
    #[default]
    Unnamed,
    /// By signing-certificate-v2 (RFC 5035), as CAdES wants it.
    Named,
}

/// Which certificates a signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Certificates {
    /// None: the verifier has them, as the kernel does in its keyrings.
    None,
    /// The signer's, and the chain that is given.
    #[default]
    All,
}

/// How a file is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is signed beside the file's digest.
    pub attributes: Attributes,
    /// Which certificates the signature holds.
    pub certificates: Certificates,
    /// How it names the signer's.
    pub signer: SignerId,
    /// By which specification it is written.
    pub form: Form,
}

/// A signature that lacks its value: sign [`input`](Self::input) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending(cms::Pending);

/// Prepares the signature over a file by the key of `certificate`; the hash is the one that the file was read with. `chain`
/// is what the signature holds behind the signer's certificate.
pub fn prepare(
    content: &Content,
    certificate: &Certificate,
    chain: &[Certificate],
    options: &Options,
) -> Result<Pending, Error> {
    let hash = content.digest.hash();
    if certificate.public_key().algorithm() == Some(Algorithm::Ed25519) {
        refuse_of_ed25519(hash, options.attributes)?;
    }
    let embedded = match options.certificates {
        Certificates::None => Vec::new(),
        Certificates::All => std::iter::once(certificate).chain(chain).collect(),
    };
    let signer = Signer { certificate, embedded, id: options.signer, form: options.form, hash };
    let pending = match options.attributes {
        Attributes::None => signer.over(Input::Digest(content.digest.clone())),
        Attributes::Signed { time, certificate: named } => {
            let further = match named {
                SigningCertificate::Unnamed => Vec::new(),
                SigningCertificate::Named => vec![signing_certificate::attribute(certificate)?],
            };
            let attributes = cms::Attributes::new(DATA, &content.digest, time, further)?;
            signer.over_attributes(DATA, None, attributes)
        }
    };
    pending.map(Pending)
}

/// RFC 8419: SHA-512 where there are attributes, and where there are none, the whole file would have to be signed.
fn refuse_of_ed25519(hash: Hash, attributes: Attributes) -> Result<(), Error> {
    match attributes {
        Attributes::None => Err(Error::Ed25519("signed attributes")),
        Attributes::Signed { .. } if hash != Hash::Sha512 => Err(Error::Ed25519("SHA-512")),
        Attributes::Signed { .. } => Ok(()),
    }
}

impl Pending {
    /// What is to be signed.
    pub const fn input(&self) -> &Input {
        self.0.input()
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// The signature without the file, CMS in DER, once `raw` has been checked against the certificate's key.
    pub fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.finish(raw)
    }
}
