//! How a file is written: beside its place, to the disk, and then into its place in one step.
//!
//! Whoever reads the path sees the old file or the new one, never a part. Whatever fails before the last step leaves
//! the old file as it was, and no temporary file behind.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;
use xattr::FileExt;

use crate::args::Output;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::terminal::Terminal;

/// What temporary files begin with; hidden, and theirs to remove who finds one after a power failure.
const PREFIX: &str = ".chancery-";
/// What the umask takes bits from, for a file that was not there before.
const NEW_FILE_MODE: u32 = 0o666;
/// Attributes that are about the contents, and would be false on others (Linux, Documentation/ABI/testing/evm).
const ABOUT_CONTENTS: [&str; 2] = ["security.ima", "security.evm"];

/// A file that is to take a place.
#[derive(Debug)]
pub(crate) struct Replacement {
    temporary: NamedTempFile,
    place: PathBuf,
    original: Option<Original>,
}

/// Writes a small product whole to where it goes.
pub(crate) fn deliver(to: &Output, bytes: &[u8], terminal: &Terminal) -> Result<(), Failure> {
    match to {
        Output::Stdout => terminal.product(bytes),
        Output::File(path) => Replacement::write(path, bytes),
    }
}

/// Folders in which files have taken their places. After a power failure before they are synced, a file may be the old
/// one again, whole; so whoever replaces many files syncs each folder once, before saying that all is done.
#[derive(Debug, Default)]
pub(crate) struct Folders(Mutex<BTreeSet<PathBuf>>);

impl Folders {
    fn changed(&self, folder: &Path) {
        let mut changed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !changed.contains(folder) {
            changed.insert(folder.to_owned());
        }
    }

    /// Waits until what changed is on the disk.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        let changed = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        changed.iter().try_for_each(|folder| {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| Failure::file("write", folder, &error))
        })
    }
}

/// The file that has the place until then.
#[derive(Debug)]
struct Original {
    file: File,
    metadata: Metadata,
}

impl Replacement {
    /// A replacement of the open file `original` at `path`, which will have its mode, owner, times and extended
    /// attributes. A symbolic link stays, and the file that it points to is replaced.
    pub(crate) fn of(path: &Path, original: &File) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("replace", path, &error);
        let place = fs::canonicalize(path).map_err(failed)?;
        let original = original.try_clone().map_err(failed)?;
        let metadata = original.metadata().map_err(failed)?;
        let temporary = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder(&place));
        let temporary = temporary.map_err(|error| beside(&place, &error))?;
        Ok(Self { temporary, place, original: Some(Original { file: original, metadata }) })
    }

    /// A file at `path`, new or in the place of what is there. Only regular files are replaced: a device or a fifo
    /// would be gone.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        Self::with_mode(path, NEW_FILE_MODE)
    }

    /// The same; if it is new, it has this mode, from which the umask takes bits.
    pub(crate) fn with_mode(path: &Path, mode: u32) -> Result<Self, Failure> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let original = File::open(path).map_err(|error| Failure::file("replace", path, &error))?;
                let mut replacement = Self::of(path, &original)?;
                // What is made anew is of now, and whatever happens to the old one meanwhile does not matter.
                if let Some(original) = replacement.original.take() {
                    original.give_attributes(replacement.file(), &replacement.place)?;
                }
                Ok(replacement)
            }
            Ok(_) => Err(Failure::new(
                Exit::Failed,
                format!("{}: is not a regular file, and is not replaced", path.display()),
            )
            .hint("`-o -` writes to the standard output")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("{}: is a symbolic link to nothing", path.display()),
                    )
                    .hint("remove it, or make what it points to"));
                }
                let place = path.to_owned();
                let temporary = tempfile::Builder::new()
                    .prefix(PREFIX)
                    .permissions(Permissions::from_mode(mode))
                    .tempfile_in(folder(&place));
                let temporary = temporary.map_err(|error| beside(&place, &error))?;
                Ok(Self { temporary, place, original: None })
            }
            Err(error) => Err(Failure::file("write", path, &error)),
        }
    }

    /// Writes a small file whole, at `path`.
    pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let replacement = Self::at(path)?;
        replacement.file().write_all(bytes).map_err(|error| Failure::file("write", path, &error))?;
        replacement.commit()
    }

    /// The file to write to.
    pub(crate) fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.place
    }

    /// The file to write to, for another thread.
    pub(crate) fn writer(&self) -> Result<File, Failure> {
        self.file().try_clone().map_err(|error| Failure::file("write", &self.place, &error))
    }

    /// Puts the file in its place, once it is on the disk, and waits until its name is there too.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        let folders = Folders::default();
        self.commit_in(&folders)?;
        folders.sync()
    }

    /// Puts the file in its place, once it is on the disk. Its name is there when `folders` are.
    pub(crate) fn commit_in(self, folders: &Folders) -> Result<(), Failure> {
        self.finish()?;
        let synced = self.temporary.as_file().sync_all();
        synced.map_err(|error| Failure::file("write", &self.place, &error))?;
        folders.changed(folder(&self.place));
        self.put()
    }

    /// Puts the file in its place without waiting for the disk: for what its reader takes away at once.
    pub(crate) fn place(self) -> Result<(), Failure> {
        self.finish()?;
        self.put()
    }

    fn finish(&self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::file("write", &self.place, &error);
        let Some(original) = &self.original else { return Ok(()) };
        original.check_in_place(&self.place)?;
        original.give_attributes(self.temporary.as_file(), &self.place)?;
        // Last, as writing and attributes change them.
        self.temporary.as_file().set_times(original.times().map_err(failed)?).map_err(failed)
    }

    fn put(self) -> Result<(), Failure> {
        let place = self.place;
        let placed = self.temporary.persist(&place);
        placed.map(drop).map_err(|error| Failure::file("write", &place, &error.error))
    }
}

impl Original {
    /// Refuses to replace what is no longer the file that was read.
    fn check_in_place(&self, place: &Path) -> Result<(), Failure> {
        let same = |now: &Metadata| {
            let then = &self.metadata;
            (now.dev(), now.ino(), now.len()) == (then.dev(), then.ino(), then.len())
                && (now.mtime(), now.mtime_nsec()) == (then.mtime(), then.mtime_nsec())
        };
        match fs::metadata(place) {
            Ok(now) if same(&now) => Ok(()),
            Ok(_) => Err(Failure::new(
                Exit::Failed,
                format!("{}: changed while it was being signed", place.display()),
            )
            .hint("sign it again; the change was kept, and nothing was signed")),
            Err(error) => Err(Failure::file("replace", place, &error)),
        }
    }

    /// Owner first, as a change of owner takes set-user-id bits away; then attributes, then the mode.
    fn give_attributes(&self, to: &File, place: &Path) -> Result<(), Failure> {
        let failed = |what: &str, error: &io::Error| {
            Failure::new(
                Exit::Failed,
                format!("{}: the copy cannot have the {what}: {}", place.display(), plain(error)),
            )
            .hint("run it as the file's owner, or write into the file itself (`sign rpm --in-place`)")
        };
        let new = to.metadata().map_err(|error| failed("same owner", &error))?;
        if (new.uid(), new.gid()) != (self.metadata.uid(), self.metadata.gid()) {
            fchown(to, Some(self.metadata.uid()), Some(self.metadata.gid()))
                .map_err(|error| failed("same owner", &error))?;
        }
        self.give_extended_attributes(to).map_err(|error| failed("same extended attributes", &error))?;
        to.set_permissions(self.metadata.permissions()).map_err(|error| failed("same mode", &error))
    }

    fn give_extended_attributes(&self, to: &File) -> io::Result<()> {
        let names = match self.file.list_xattr() {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in names {
            if ABOUT_CONTENTS.iter().any(|about| name == *about) {
                continue;
            }
            let Some(value) = self.file.get_xattr(&name)? else { continue };
            if to.get_xattr(&name).ok().flatten().as_ref() == Some(&value) {
                continue;
            }
            match to.set_xattr(&name, &value) {
                // Labels of a security module and trusted attributes are not the user's to give: the new file has
                // those that the system gives to new files in this folder.
                Err(error) if !is_users(&name.to_string_lossy()) && is_not_ours(&error) => {}
                given => given?,
            }
        }
        Ok(())
    }

    fn times(&self) -> io::Result<FileTimes> {
        Ok(FileTimes::new().set_accessed(self.metadata.accessed()?).set_modified(self.metadata.modified()?))
    }
}

/// The namespaces whose attributes users give (attr(5)): their own, and access lists.
fn is_users(name: &str) -> bool {
    name.starts_with("user.") || name.starts_with("system.")
}

fn is_not_ours(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}

/// The folder that holds `place`.
fn folder(place: &Path) -> &Path {
    match place.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn beside(place: &Path, error: &io::Error) -> Failure {
    let failure = Failure::file("write a new file beside it", place, error);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            failure.hint("the new file is made beside the old one: ask for the right to write in the folder")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    fn folder_with(name: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, "old").unwrap();
        (dir, path)
    }

    fn replace(path: &Path) -> Result<(), Failure> {
        let replacement = Replacement::of(path, &File::open(path).unwrap())?;
        replacement.file().write_all(b"new").unwrap();
        replacement.commit()
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_times_and_extended_attributes() {
        let (_dir, path) = folder_with("a");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        fs::set_permissions(&path, Permissions::from_mode(0o4751)).unwrap();
        let has_attributes = xattr::set(&path, "user.origin", b"build 7").is_ok();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_accessed(long_ago).set_modified(long_ago)).unwrap();

        replace(&path).unwrap();

        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(metadata.mode() & 0o7777, 0o4751);
        assert_eq!(metadata.modified().unwrap(), long_ago);
        if has_attributes {
            assert_eq!(xattr::get(&path, "user.origin").unwrap().unwrap(), b"build 7");
        } else {
            // tmpfs has user attributes since Linux 6.6 only; CI's disk has them.
            assert!(std::env::var_os("CI").is_none(), "the temporary folder has no extended attributes");
        }
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let (_dir, path) = folder_with("a");
        if std::os::unix::fs::chown(&path, Some(12), Some(34)).is_err() {
            assert!(
                std::env::var_os("CI").is_none(),
                "only root can give files away: run the tests as root in CI"
            );
            return;
        }
        replace(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12, 34));
    }

    #[test]
    fn a_symbolic_link_stays_and_its_file_is_replaced() {
        let (dir, path) = folder_with("a");
        let link = dir.path().join("link");
        symlink("a", &link).unwrap();
        replace(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_is_not_committed_leaves_the_original_and_nothing_else() {
        let (dir, path) = folder_with("a");
        let replacement = Replacement::of(&path, &File::open(&path).unwrap()).unwrap();
        replacement.file().write_all(b"half").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        drop(replacement);
        assert_eq!(names(dir.path()), ["a"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_not_replaced() {
        let (dir, path) = folder_with("a");
        let replacement = Replacement::of(&path, &File::open(&path).unwrap()).unwrap();
        fs::write(&path, "other").unwrap();
        let failure = replacement.commit().unwrap_err();
        assert!(failure.error.ends_with("a: changed while it was being signed"), "{}", failure.error);
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn a_folder_is_synced_once_for_all_its_files_and_its_loss_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let within = dir.path().join("within");
        fs::create_dir(&within).unwrap();
        let folders = Folders::default();
        for name in ["a", "b"] {
            Replacement::at(&within.join(name)).unwrap().commit_in(&folders).unwrap();
        }
        assert_eq!(*folders.0.lock().unwrap(), BTreeSet::from([within.clone()]));
        folders.sync().unwrap();
        Replacement::at(&within.join("c")).unwrap().commit_in(&folders).unwrap();
        fs::remove_dir_all(&within).unwrap();
        let failure = folders.sync().unwrap_err();
        assert!(failure.error.contains(&*within.to_string_lossy()), "{}", failure.error);
    }

    #[test]
    fn a_new_file_has_the_mode_that_the_umask_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.asc"), dir.path().join("other"));
        let replacement = Replacement::at(&path).unwrap();
        assert!(!path.exists());
        replacement.file().write_all(b"new").unwrap();
        replacement.commit().unwrap();
        fs::write(&other, "").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode(), fs::metadata(&other).unwrap().mode());
    }

    #[test]
    fn an_output_in_the_place_of_a_file_keeps_its_mode_and_is_of_now() {
        let (_dir, path) = folder_with("a.asc");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let replacement = Replacement::at(&path).unwrap();
        replacement.file().write_all(b"new").unwrap();
        replacement.commit().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o640);
        assert!(metadata.modified().unwrap() > long_ago);
    }

    #[test]
    fn a_device_and_a_dangling_link_are_no_places_for_output() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("nothing", &link).unwrap();
        for path in [Path::new("/dev/null"), &link, dir.path()] {
            assert!(Replacement::at(path).is_err(), "{}", path.display());
        }
    }
}
