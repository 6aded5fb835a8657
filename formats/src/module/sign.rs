//! A module's signature, in its two phases.

use std::io::{self, Read, Seek, Write};

use chancery_protocol::{Algorithm, Digest, Hash, Scheme};
use sequoia_openpgp::crypto::hash::Context;

use super::error::library;
use super::trailer::{TRAILER_LEN, trailer};
use super::{Error, Module, SignerId};
use crate::cms::{self, Form, Signer};
use crate::openpgp::{digest, feed, hash_algorithm};
use crate::raw::Input;
use crate::x509::Certificate;

/// What becomes of signatures that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They are dropped: the kernel looks at the last signature alone.
    #[default]
    Replace,
    /// They stay, and the new one covers them too: sign-file's habit.
    Stack,
}

/// How a module is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The hash: `CONFIG_MODULE_SIG_HASH`.
    pub hash: Hash,
    /// How the signature names its certificate.
    pub signer: SignerId,
    /// What becomes of signatures that are there.
    pub existing: Existing,
}

/// A signature that lacks its value: sign [`digest`](Self::digest) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending {
    cms: cms::Pending,
    digest: Digest,
    len: u64,
}

/// Prepares the signature of `module`, which was read from `file`, by the key of `certificate`. Memory does not grow with
/// the module.
pub fn prepare(
    module: &Module,
    file: &mut (impl Read + Seek),
    certificate: &Certificate,
    options: &Options,
) -> Result<Pending, Error> {
    if certificate.public_key().algorithm() == Some(Algorithm::Ed25519) {
        return Err(Error::Algorithm(Algorithm::Ed25519));
    }
    let (id, hash) = (options.signer, options.hash);
    let signer = Signer { certificate, embedded: Vec::new(), id, form: Form::Cms, hash };
    // Told before the module is read.
    if id.of(certificate).is_none() {
        return Err(cms::Error::NoKeyIdentifier.into());
    }
    let len = match options.existing {
        Existing::Replace => module.contents_len(),
        Existing::Stack => module.file_len(),
    };
    let digest = digest_of(file, len, hash)?;
    let cms = signer.over(Input::Digest(digest.clone()))?;
    Ok(Pending { cms, digest, len })
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

    /// The signature, once `raw` has been checked against the certificate's key.
    pub fn finish(self, raw: &[u8]) -> Result<Signed, Error> {
        Ok(Signed { cms: self.cms.finish(raw)?, digest: self.digest, len: self.len })
    }
}

/// A finished signature, and the module that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    cms: Vec<u8>,
    digest: Digest,
    len: u64,
}

impl Signed {
    /// A signature that was made elsewhere and has been verified, to be appended as it is.
    pub(super) const fn new(cms: Vec<u8>, digest: Digest, len: u64) -> Self {
        Self { cms, digest, len }
    }

    /// The signature on its own, CMS in DER: what sign-file writes with `-p`.
    pub fn cms(&self) -> &[u8] {
        &self.cms
    }

    /// Length of the signed module, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.len + self.cms.len() as u64 + TRAILER_LEN
    }

    /// Writes the signed module. What is read is hashed again: a module that has changed since is not given a signature
    /// that is not its own, and what was written is to be thrown away.
    pub fn write_to(&self, file: &mut (impl Read + Seek), mut output: impl Write) -> Result<(), Error> {
        file.rewind().map_err(Error::Read)?;
        let mut context = context(self.digest.hash())?;
        let mut written = Ok(());
        let read = feed(file.take(self.len), |chunk| {
            context.update(chunk);
            if written.is_ok() {
                written = output.write_all(chunk);
            }
        });
        let read = read.map_err(Error::Read)?;
        written.map_err(Error::Write)?;
        if read != self.len || finished(context)? != self.digest {
            return Err(Error::Changed);
        }
        let len = u32::try_from(self.cms.len()).map_err(library("append a signature of more than 4 GiB"))?;
        let end = |output: &mut dyn Write| -> io::Result<()> {
            output.write_all(&self.cms)?;
            output.write_all(&trailer(len))?;
            output.flush()
        };
        end(&mut output).map_err(Error::Write)
    }
}

/// The digest of the first `len` bytes of `file`.
pub(super) fn digest_of(file: &mut (impl Read + Seek), len: u64, hash: Hash) -> Result<Digest, Error> {
    file.rewind().map_err(Error::Read)?;
    let mut context = context(hash)?;
    let read = feed(file.take(len), |chunk| context.update(chunk)).map_err(Error::Read)?;
    if read != len {
        return Err(Error::Changed);
    }
    finished(context)
}

fn context(hash: Hash) -> Result<Context, Error> {
    Ok(hash_algorithm(hash).context().map_err(library("start a hash"))?.for_digest())
}

fn finished(context: Context) -> Result<Digest, Error> {
    digest(context).map_err(library("finish a hash"))
}
