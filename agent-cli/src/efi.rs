//! A PE image on the disk: opened, unwrapped where it is in a gzip file, and written again with other signatures.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chancery_formats::pe::{Edited, Error, Image, VerifyError, gunzip, gzip, is_gzip};
use chancery_formats::x509::Certificate;

use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::module::small;

/// An image that is open.
pub(crate) struct Source {
    path: PathBuf,
    /// As it lies on the disk.
    pub(crate) file: File,
    /// The image itself: the file, or a copy without a name.
    plain: File,
    /// How the file holds the image.
    wrapped: Wrapped,
    pub(crate) image: Image,
}

/// How a file holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapped {
    Not,
    Gzip,
}

impl Source {
    /// Opens an image and finds its signatures.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: &std::io::Error| Failure::file("read", path, error);
        let mut file = File::open(path).map_err(|error| unreadable(&error))?;
        if !file.metadata().map_err(|error| unreadable(&error))?.is_file() {
            let told = format!("{}: is not a regular file", path.display());
            return Err(
                Failure::new(Exit::BadArtifact, told).hint("name the images themselves, such as grubx64.efi")
            );
        }
        let mut beginning = Vec::new();
        let read = (&file).take(2).read_to_end(&mut beginning).and_then(|_| file.rewind());
        read.map_err(|error| unreadable(&error))?;
        let wrapped = if is_gzip(&beginning) { Wrapped::Gzip } else { Wrapped::Not };
        let mut plain = match wrapped {
            Wrapped::Not => file.try_clone().map_err(|error| unreadable(&error))?,
            Wrapped::Gzip => {
                let spool = tempfile::tempfile();
                let spool =
                    spool.map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?;
                gunzip(&file, &spool).map_err(|error| failure(path, &error))?;
                spool
            }
        };
        let image = Image::read(&mut plain).map_err(|error| failure(path, &error))?;
        Ok(Self { path: path.to_owned(), file, plain, wrapped, image })
    }

    /// The image and its bytes.
    pub(crate) fn plain(&mut self) -> (&Image, &mut File) {
        (&self.image, &mut self.plain)
    }

    /// The mode of the file, for another one that is made of it.
    pub(crate) fn mode(&self) -> Result<u32, Failure> {
        let metadata = self.file.metadata().map_err(|error| Failure::file("read", &self.path, &error))?;
        Ok(metadata.permissions().mode() & 0o777)
    }

    /// Writes the image with other signatures, wrapped as it was.
    pub(crate) fn write(mut self, edited: &Edited, mut output: &File) -> Result<(), Failure> {
        let written = match self.wrapped {
            // File to file, so that the kernel copies.
            Wrapped::Not => edited.write_to(&mut self.plain, output),
            Wrapped::Gzip => {
                let mut buffered = BufWriter::new(output);
                let written = gzip(&mut buffered, |output| edited.write_to(&mut self.plain, output));
                written.and_then(|len| buffered.flush().map(|()| len).map_err(Error::Write))
            }
        };
        written
            .and_then(|_| output.flush().map_err(Error::Write))
            .map_err(|error| failure(&self.path, &error))
    }
}

/// Reads certificates from a file, DER or PEM.
pub(crate) fn certificates_of(path: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::parse_all(&small(path)?).map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery key cert NAME --x509 -o FILE` writes the certificate that is stored with a key")
    })
}

/// What is wrong with an image, with its path and the next step.
pub(crate) fn failure(path: &Path, error: &Error) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        Error::Read(source) => Failure::file("read", path, source),
        Error::Write(source) => Failure::file("write the new copy of", path, source),
        Error::NotPe(_) => told(Exit::BadArtifact)
            .hint("what is signed so is a UEFI program, a kernel with an EFI stub, or a program of Windows"),
        Error::Malformed { .. } => told(Exit::BadArtifact).hint("build the image again"),
        Error::Ambiguous(_) => {
            told(Exit::BadArtifact).hint("link it anew, or copy it with `objcopy`, which closes gaps")
        }
        Error::Gzip(_) | Error::BehindGzip | Error::LargeInside(_) | Error::TooLarge => {
            told(Exit::BadArtifact)
        }
        Error::NoPages(_) => told(Exit::BadArtifact).hint("sign it without `--page-hashes`: only Windows asks for them"),
        Error::TooManySignatures { .. } => told(Exit::Failed).hint("`--replace` drops those that are there"),
        Error::Changed => told(Exit::Failed).hint("sign it again when nobody writes to it"),
        Error::NotSigned => told(Exit::Failed).hint(format!("`chancery show efi {}` shows it", path.display())),
        Error::Cms(chancery_formats::cms::Error::Algorithm(_)) => told(Exit::Refused)
            .hint("`chancery key generate NAME --algorithm rsa2048 --format efi` makes a key that all firmware knows"),
        _ => told(Exit::Failed),
    }
}

/// Why a signature is not good.
pub(crate) fn not_good(path: &Path, error: &VerifyError) -> Failure {
    let file = path.display();
    let failed = Failure::new(Exit::Failed, format!("{file}: {}", chain(error)));
    match error {
        VerifyError::NoSignature => failed.hint(format!("`chancery sign efi --key NAME {file}` signs it")),
        VerifyError::UnknownSigner(_) | VerifyError::NoSigner(_) => {
            failed.hint("give that certificate or its issuer's too, if you trust it: `--cert FILE`")
        }
        VerifyError::AnotherImage { .. } | VerifyError::OtherPages => {
            failed.hint("the image or the signature was changed since it was signed: build and sign it again")
        }
        VerifyError::Cms(_) => failed.hint("do not start it; build and sign it again"),
        VerifyError::Image(error) => failure(path, error),
        _ => failed,
    }
}
