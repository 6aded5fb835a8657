//! Certificates that are kept with keys: opaque bytes, one file each, written once.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chancery_protocol::{CertificateKind, KeyName};

/// Largest certificate that travels in a frame, in bytes.
pub const MAX_LEN: usize = 60 * 1024;

/// The folder of certificates.
pub struct Certificates {
    folder: PathBuf,
}

/// What came of storing one.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is kept now.
    Now,
    /// The same bytes were kept already.
    Before,
    /// Another one is kept; it stays.
    Another,
}

impl Certificates {
    /// The certificates under the state folder.
    pub fn under(state: &Path) -> Self {
        Self { folder: state.join("certificates") }
    }

    fn path(&self, key: &KeyName, kind: CertificateKind) -> PathBuf {
        self.folder.join(format!("{key}.{kind}"))
    }

    /// The certificate of this kind, if one is kept.
    pub fn fetch(&self, key: &KeyName, kind: CertificateKind) -> io::Result<Option<Vec<u8>>> {
        match File::open(self.path(key, kind)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(MAX_LEN as u64).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The kinds that are kept with a key.
    pub fn kinds(&self, key: &KeyName) -> Vec<CertificateKind> {
        CertificateKind::ALL.iter().copied().filter(|&kind| self.path(key, kind).exists()).collect()
    }

    /// Keeps a certificate: written beside, synced, and linked to its name only if nothing stands there.
    pub fn store(&self, key: &KeyName, kind: CertificateKind, bytes: &[u8]) -> io::Result<Stored> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(key, kind);
        let beside = self.folder.join(format!(".{key}.{kind}.{}", std::process::id()));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        let linked =
            file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, &path));
        fs::remove_file(&beside)?;
        match linked {
            Ok(()) => {
                File::open(&self.folder)?.sync_all()?;
                Ok(Stored::Now)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = self.fetch(key, kind)?.is_some_and(|kept| kept == bytes);
                Ok(if same { Stored::Before } else { Stored::Another })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::under(folder.path());
        let (key, kind) = ("release".parse().unwrap(), CertificateKind::Openpgp);
        assert_eq!(certificates.fetch(&key, kind).unwrap(), None);
        assert_eq!(certificates.store(&key, kind, b"one").unwrap(), Stored::Now);
        assert_eq!(certificates.store(&key, kind, b"one").unwrap(), Stored::Before);
        assert_eq!(certificates.store(&key, kind, b"two").unwrap(), Stored::Another);
        assert_eq!(certificates.fetch(&key, kind).unwrap().unwrap(), b"one");
        assert_eq!(certificates.kinds(&key), [kind]);
    }
}
