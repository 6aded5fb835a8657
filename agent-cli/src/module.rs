//! A kernel module on the disk: opened, decompressed where it is compressed, and written again, signed.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chancery_formats::cms;
use chancery_formats::module::{Compression, Error, Module, Signed};
use chancery_formats::x509::Certificate;

use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// Largest file that is read as a certificate or as a signature on its own, in bytes.
const MAX_SMALL: u64 = 1024 * 1024;

/// A module that is open.
pub(crate) struct Source {
    path: PathBuf,
    /// As it lies on the disk.
    pub(crate) file: File,
    /// Without compression: the file itself, or a copy without a name.
    plain: File,
    pub(crate) compression: Option<Compression>,
    pub(crate) module: Module,
}

impl Source {
    /// Opens a module and finds its signatures.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
        let metadata = file.metadata().map_err(|error| Failure::file("read", path, &error))?;
        if !metadata.is_file() {
            return Err(Failure::new(
                Exit::BadArtifact,
                format!("{}: is not a regular file", path.display()),
            )
            .hint("name the modules themselves, such as example.ko"));
        }
        let compression = Compression::of(path);
        let mut plain = match compression {
            None => file.try_clone().map_err(|error| Failure::file("read", path, &error))?,
            Some(compression) => {
                let spool = tempfile::tempfile();
                let mut spool =
                    spool.map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?;
                compression.decompress(&file, &mut spool).map_err(|error| failure(path, &error))?;
                spool
            }
        };
        let module = Module::read(&mut plain).map_err(|error| failure(path, &error))?;
        Ok(Self { path: path.to_owned(), file, plain, compression, module })
    }

    /// The module's bytes without compression.
    pub(crate) fn plain(&mut self) -> (&Module, &mut File) {
        (&self.module, &mut self.plain)
    }

    /// Writes the module with a signature, compressed as it was.
    pub(crate) fn write(mut self, signed: &Signed, output: &File) -> Result<(), Failure> {
        let mut output = BufWriter::new(output);
        let written = match self.compression {
            None => signed.write_to(&mut self.plain, &mut output),
            Some(compression) => compression
                .compress(signed.file_len(), &mut output, |output| signed.write_to(&mut self.plain, output)),
        };
        written
            .and_then(|()| output.flush().map_err(Error::Write))
            .map_err(|error| failure(&self.path, &error))
    }
}

/// Reads a certificate from a file, DER or PEM.
pub(crate) fn certificate_of(path: &Path) -> Result<Certificate, Failure> {
    let bytes = small(path)?;
    Certificate::parse(&bytes).map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery key cert NAME --x509 -o FILE` writes the certificate that is stored with a key")
    })
}

/// Reads a file that has to be small.
pub(crate) fn small(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SMALL + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::file("read", path, &error))?;
    Ok(bytes)
}

/// What is wrong with a module, with its path and the next step.
pub(crate) fn failure(path: &Path, error: &Error) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        Error::Read(source) => Failure::file("read", path, source),
        Error::Write(source) => Failure::file("write the signed copy of", path, source),
        Error::Empty => told(Exit::BadArtifact).hint("build the module again"),
        Error::Trailer(_) => told(Exit::BadArtifact)
            .hint("build the module again, or strip it with `strip --strip-debug` first"),
        Error::Compressed(..) => {
            told(Exit::BadArtifact).hint("its name tells how it is compressed: .ko.xz, .ko.zst or .ko.gz")
        }
        Error::TooLarge(_) => told(Exit::BadArtifact),
        Error::Algorithm(_) => told(Exit::Refused)
            .hint("`chancery key generate NAME --algorithm rsa4096 --format module` makes one"),
        Error::Cms(cms::Error::WrongSignature(_)) => {
            told(Exit::Failed).hint("does the certificate belong to the key that signed?")
        }
        Error::Cms(cms::Error::NoKeyIdentifier) => told(Exit::Failed).hint("sign without -k"),
        Error::Changed => told(Exit::Failed).hint("sign it again when nobody writes to it"),
        _ => told(Exit::Failed),
    }
}

/// Refuses a certificate of another key: its signatures would be nobody's.
pub(crate) fn belongs(certificate: &Certificate, key: &crate::key::Key, from: &str) -> Result<(), Failure> {
    if *certificate.public_key() == key.public {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!(
            "{from}: the certificate of `{}` is for another key than `{}`",
            certificate.subject().common_name(),
            key.name
        ),
    )
    .hint(format!(
        "`chancery key cert {} --x509 -o FILE` writes the one that is stored with the key",
        key.name
    )))
}
