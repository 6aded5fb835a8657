//! What CMS over files says to people: errors with the next step.

use std::io;
use std::path::Path;

use chancery_formats::cms::{Error, VerifyError};

use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// Why a file was not signed.
pub(crate) fn failure(path: &Path, error: &Error) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        Error::Read(source) if source.kind() == io::ErrorKind::IsADirectory => {
            Failure::new(Exit::BadArtifact, format!("{}: is a directory", path.display()))
                .hint("name the files in it")
        }
        Error::Read(source) => Failure::file("read", path, source),
        Error::Write(source) => Failure::file("write the signature of", path, source),
        Error::Changed => told(Exit::Failed).hint("sign it again when nobody writes to it"),
        Error::TooLarge(_) => told(Exit::BadArtifact).hint("sign it beside the file: `--detached`"),
        Error::Ed25519(_) => told(Exit::Refused).hint("take a key of RSA or ECDSA, or leave that option out"),
        Error::NoKeyIdentifier => told(Exit::Failed).hint("leave `--key-identifier` out"),
        _ => told(Exit::Failed),
    }
}

/// Why a signature is not good; `path` is its file.
pub(crate) fn not_good(path: &Path, error: &VerifyError) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        VerifyError::Read(source) => Failure::file("read", path, source),
        VerifyError::UnknownSigner(_) | VerifyError::NoSigner(_) => told(Exit::Failed)
            .hint("give that certificate or its issuer's too, if you trust it: `--cert FILE`"),
        VerifyError::AnotherContent | VerifyError::BadSignature(_) => {
            told(Exit::Failed).hint("do not use the file; fetch it and its signature again")
        }
        VerifyError::Malformed(_) => told(Exit::BadArtifact)
            .hint("a detached signature is looked for in FILE.p7s; `--signature` names another"),
        _ => told(Exit::Failed),
    }
}
