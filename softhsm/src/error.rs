//! What can go wrong while a token is made, and what to do about it.

use std::io;
use std::path::PathBuf;

use chancery_protocol::BadKeyName;

/// A token could not be made, opened or served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PKCS#11 module of this kind on the machine.
    #[error("no {what} on this machine (looked at {}); install it: apt-get install {package}", list(.looked))]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// `CHANCERY_TEST_MODULE` names something that the harness does not know how to configure.
    #[error("CHANCERY_TEST_MODULE is {}, {why}; it takes the path of a libsofthsm2.so or a libkryoptic_pkcs11.so", .path.display())]
    UnknownModule {
        /// The variable's value.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The companion program is not built.
    #[error(
        "softhsm-token is not at {}; run `cargo build --workspace --bins` first (with `--release` for a release run)",
        .looked.display()
    )]
    CompanionMissing {
        /// Where it would be.
        looked: PathBuf,
    },
    /// The companion program, or the PKCS#11 module in it, failed.
    #[error("softhsm-token could not {doing}: {said}")]
    Companion {
        /// What it was asked for.
        doing: String,
        /// What it wrote to standard error.
        said: String,
    },
    /// A token's label was not one that stands in a PKCS#11 URI as it is.
    #[error("token label `{0}` is not usable; use 1 to 32 of A-Z, a-z, 0-9, `-`, `_` and `.`")]
    BadLabel(String),
    /// A key's name was not valid.
    #[error(transparent)]
    BadKeyName(#[from] BadKeyName),
    /// The folder for a new token already holds something.
    #[error("{} is not empty; name a folder that does not exist yet", .0.display())]
    Occupied(PathBuf),
    /// The folder does not hold a token of ours.
    #[error("{} does not describe a token: {why}; make one with `softhsm-token create`", .path.display())]
    NotAToken {
        /// The file that was read.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// `p11-kit server` did not begin to serve.
    #[error("p11-kit server does not serve {}: {said}", .socket.display())]
    NotServed {
        /// The socket it was to serve on.
        socket: PathBuf,
        /// What it wrote to standard error.
        said: String,
    },
    /// There is no engine, or it does not have the image.
    #[cfg(feature = "container")]
    #[error(
        "no container can be started: {said}; start an engine with softhsm/container/engine.sh start, then make the \
         image with softhsm/container/build-image.sh"
    )]
    NoContainer {
        /// What docker said.
        said: String,
    },
    /// Something failed in the container, or the engine did.
    #[cfg(feature = "container")]
    #[error("container: could not {doing}: {said}")]
    Container {
        /// What was being done.
        doing: String,
        /// What the engine or the command said.
        said: String,
    },
    /// An operation on a file or a process failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Says what was being done when the system refused it.
pub(crate) fn doing<T>(what: impl FnOnce() -> String) -> impl FnOnce(T) -> Error
where
    T: Into<io::Error>,
{
    move |source| Error::Io { doing: what(), source: source.into() }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
