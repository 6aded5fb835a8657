//! What is signed of an image where its key is elsewhere: the files that go there and come back.

use std::path::{Path, PathBuf};

use chancery_formats::pe::{Existing, OfflineError, Options, Signed, SignedAttributes, assemble};
use chancery_formats::x509::Certificate;

use crate::efi::{Source, failure};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::module::small;

/// What came back, and what belongs to it.
pub(crate) struct Apart {
    /// The file of the signed attributes.
    pub(crate) data: PathBuf,
    /// The file of the bare signature over them.
    pub(crate) signature: PathBuf,
    /// The certificate of the key that signed.
    pub(crate) certificate: Certificate,
    /// Certificates to embed behind it.
    pub(crate) chain: Vec<Certificate>,
}

impl Apart {
    /// The signature of the image at `path`, if all of it belongs together.
    pub(crate) fn assemble(
        &self,
        path: &Path,
        source: &mut Source,
        existing: Existing,
    ) -> Result<Signed, Failure> {
        let attributes = read(&self.data)?;
        let signature = small(&self.signature)?;
        let (image, plain) = source.plain();
        assemble(image, plain, (&attributes, &signature), &self.certificate, &self.chain, existing)
            .map_err(|error| self.failure(path, &error))
    }

    fn failure(&self, image: &Path, error: &OfflineError) -> Failure {
        let told = |file: &Path| Failure::new(Exit::Failed, format!("{}: {}", file.display(), chain(error)));
        match error {
            OfflineError::AnotherImage { .. } => told(&self.data).hint(format!(
                "is {} the image that it was prepared of, unchanged?",
                image.display()
            )),
            OfflineError::NotASignature(_) => told(&self.signature).hint(
                "it is what `chancery sign efi --prepared` or `openssl dgst -sign` writes: the bare signature, no CMS",
            ),
            OfflineError::BadSignature(_) => told(&self.signature).hint(format!(
                "it has to be over {}, by the key of `{}`",
                self.data.display(),
                self.certificate.subject().common_name()
            )),
            OfflineError::Image(error) => failure(image, error),
            _ => told(&self.data),
        }
    }
}

/// Reads what was written to be signed.
pub(crate) fn read(path: &Path) -> Result<SignedAttributes, Failure> {
    SignedAttributes::decode(&small(path)?).map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery prepare efi -o DATA IMAGE` writes it")
    })
}

/// What is to be signed of the image at `path`.
pub(crate) fn prepare(path: &Path, options: &Options) -> Result<SignedAttributes, Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    SignedAttributes::of(image, plain, options).map_err(|error| failure(path, &error))
}
