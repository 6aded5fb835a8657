//! A key with its certificate, ready to sign PE images: for `chancery sign efi`, and for the tools that it stands in for.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::cms;
use chancery_formats::pe::{Options, Pending, Signed, prepare};
use chancery_formats::raw::Input;
use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, Format, Hash, Scheme};

use crate::certificates::of_signer;
use crate::efi::{Source, certificates_of, failure};
use crate::failure::Failure;
use crate::files::blocking;
use crate::key::Key;
use crate::signer::{Artifact, Signer, artifact_name};

/// Signs images, all in the same way.
pub(crate) struct ImageSigner {
    signer: Signer,
    pub(crate) certificate: Certificate,
    /// Certificates that are embedded behind it.
    pub(crate) chain: Vec<Certificate>,
    pub(crate) options: Options,
}

/// What is written of a signed image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// The image with its signature.
    Image,
    /// The signature alone, CMS in DER.
    Signature,
}

impl ImageSigner {
    /// Signs with `key` and its certificate: the one in the file `cert`, or the one that is stored with the key.
    pub(crate) async fn new(
        client: Client<Agent>,
        key: Key,
        cert: Option<&Path>,
        options: Options,
        build: Option<&str>,
    ) -> Result<Self, Failure> {
        serves(&key, options.hash)?;
        let certificate = of_signer(&client, &key, cert, Profile::Efi).await?;
        let signer = Signer::new(client, key.name, Format::Efi, build);
        Ok(Self { signer, certificate, chain: Vec::new(), options })
    }

    /// The same, with the certificates of these files embedded behind the signer's.
    pub(crate) fn with_chain<'a>(
        mut self,
        files: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self, Failure> {
        for file in files {
            self.chain.append(&mut certificates_of(file)?);
        }
        Ok(self)
    }

    /// The name of the key that signs.
    pub(crate) fn key(&self) -> &str {
        self.signer.key().as_str()
    }

    /// What is to be signed of an image that is open.
    pub(crate) fn prepare(&self, path: &Path, source: &mut Source) -> Result<Pending, Failure> {
        let (image, plain) = source.plain();
        let pending = prepare(image, plain, &self.certificate, &self.chain, &self.options);
        pending.map_err(|error| failure(path, &error))
    }

    /// The signature, once it is made and checked.
    pub(crate) async fn finish(&self, path: &Path, pending: Pending) -> Result<Signed, Failure> {
        let name = artifact_name(path);
        let input = Input::Digest(pending.digest().clone());
        let raw = self.signer.sign_input(Artifact::named(&name), pending.scheme(), &input).await?;
        pending.finish(&raw).map_err(|error| failure(path, &error))
    }

    /// Opens an image and signs it, whatever signatures it has.
    pub(crate) async fn sign(self: &Arc<Self>, path: &Path) -> Result<(Source, Signed), Failure> {
        let (own, file) = (Arc::clone(self), path.to_owned());
        let prepared = blocking(move || {
            let mut source = Source::open(&file)?;
            let pending = own.prepare(&file, &mut source)?;
            Ok((source, pending))
        });
        let (source, pending) = prepared.await?;
        Ok((source, self.finish(path, pending).await?))
    }
}

impl Product {
    /// Writes it of the image that was read from `source`.
    pub(crate) fn write(self, source: Source, signed: &Signed, mut output: &File) -> Result<(), Failure> {
        match self {
            Self::Image => source.write(signed.edited(), output),
            Self::Signature => {
                let place = Path::new("the signature");
                output.write_all(signed.cms()).map_err(|error| Failure::file("write", place, &error))
            }
        }
    }
}

/// Refuses a key that signs no images, before one is read.
pub(crate) fn serves(key: &Key, hash: Hash) -> Result<(), Failure> {
    if key.algorithm == Algorithm::Ed25519 {
        let error = cms::Error::Algorithm(key.algorithm).into();
        return Err(failure(Path::new(key.name.as_str()), &error));
    }
    key.serves(Format::Efi, Scheme::over_digest(key.algorithm, hash))
}
