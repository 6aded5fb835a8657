//! Which PKCS#11 module keeps the keys, where it stands, and how it is told where its files are.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// Names another module for every token that is made: the path of Kryoptic's shared object, or of another SoftHSM.
const CHOICE: &str = "CHANCERY_TEST_MODULE";

/// Where distributions put SoftHSM: Debian (with and without multiarch), Fedora and RHEL, Arch.
const SOFTHSM: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A PKCS#11 module whose tokens are files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// SoftHSM 2, at this path. It reads `SOFTHSM2_CONF`.
    SoftHsm(PathBuf),
    /// Kryoptic, at this path. It reads `KRYOPTIC_CONF`; `softhsm/kryoptic.sh` builds it.
    Kryoptic(PathBuf),
}

impl Module {
    /// The module that new tokens use: the one that `CHANCERY_TEST_MODULE` names, or else the system's SoftHSM.
    pub fn find() -> Result<Self, Error> {
        match env::var_os(CHOICE).filter(|value| !value.is_empty()) {
            Some(path) => {
                let path = PathBuf::from(path);
                if !path.is_absolute() {
                    return Err(Error::UnknownModule { path, why: "which is not an absolute path" });
                }
                if !path.is_file() {
                    return Err(Error::UnknownModule { path, why: "which is not a file" });
                }
                Self::at(&path)
                    .ok_or(Error::UnknownModule { path, why: "which is neither SoftHSM nor Kryoptic" })
            }
            None => first_of(SOFTHSM, "SoftHSM module", "softhsm2").map(Self::SoftHsm),
        }
    }

    /// The module at this path, told by its file's name.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name.contains("kryoptic") {
            Some(Self::Kryoptic(path.to_owned()))
        } else if name.contains("softhsm") {
            Some(Self::SoftHsm(path.to_owned()))
        } else {
            None
        }
    }

    /// The shared object.
    pub fn path(&self) -> &Path {
        match self {
            Self::SoftHsm(path) | Self::Kryoptic(path) => path,
        }
    }

    /// The environment variable from which the module learns its configuration file.
    pub fn variable(&self) -> &'static str {
        match self {
            Self::SoftHsm(_) => "SOFTHSM2_CONF",
            Self::Kryoptic(_) => "KRYOPTIC_CONF",
        }
    }

    /// The configuration file's name within a token's folder.
    pub(crate) fn config_name(&self) -> &'static str {
        match self {
            Self::SoftHsm(_) => "softhsm2.conf",
            Self::Kryoptic(_) => "kryoptic.toml",
        }
    }

    /// A configuration that keeps everything in `tokens`.
    pub(crate) fn config(&self, tokens: &Path) -> String {
        let mut text =
            String::from("# Written by softhsm-token; the paths are rewritten when the folder is copied.\n");
        // Writing to a String cannot fail.
        let _ = match self {
            Self::SoftHsm(_) => writeln!(
                text,
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false",
                tokens.display()
            ),
            Self::Kryoptic(_) => writeln!(
                text,
                "[[slots]]\nslot = 1\ndescription = \"chancery\"\ndbtype = \"sqlite\"\ndbargs = {}",
                quoted(&tokens.join("kryoptic.sql").display().to_string())
            ),
        };
        text
    }
}

/// The first of these files that exists.
pub(crate) fn first_of(places: &[&str], what: &'static str, package: &'static str) -> Result<PathBuf, Error> {
    places.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| Error::Missing {
        what,
        package,
        looked: places.iter().map(PathBuf::from).collect(),
    })
}

/// `text` as a TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
