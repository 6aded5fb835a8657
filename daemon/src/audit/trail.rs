//! The trail's files: `audit-SEQ.jsonl`, where SEQ is the number of the first record in twenty digits, so that names
//! sort as the trail runs.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chancery_audit::{Chain, Entry, Link, Record};

/// The trail, open at its end.
pub struct Trail {
    folder: PathBuf,
    max_file: u64,
    path: PathBuf,
    file: File,
    /// Length of the file up to the last whole record.
    length: u64,
    chain: Chain,
    /// A sync that failed: what the kernel then holds is unknown, so this file is not written any more.
    lost: bool,
    /// Held locked, so that two daemons never write one trail.
    _lock: File,
}

/// Longest line that is looked for at a file's end, in bytes.
const MAX_LINE: u64 = 256 * 1024;

/// Bytes of an unfinished line that are kept, in the next record.
const MAX_TORN: usize = 4096;

impl Trail {
    /// Opens the trail in `folder`, and cuts off a last line that a crash left unfinished; returns that too.
    pub fn open(folder: &Path, max_file: u64) -> io::Result<(Self, Vec<u8>)> {
        fs::create_dir_all(folder)?;
        let lock = File::options().create(true).append(true).mode(0o600).open(folder.join("lock"))?;
        lock.try_lock().map_err(|_| io::Error::other("another chanceryd writes it"))?;
        let mut names = files(folder)?;
        let (mut head, mut torn) = (Link::start(), Vec::new());
        // The newest file may still be empty; then the one before it has the last record.
        for path in names.iter().rev() {
            let (link, rest) = recover(path)?;
            torn.extend(rest);
            if let Some(link) = link {
                head = link;
                break;
            }
        }
        let path = names.pop().unwrap_or_else(|| folder.join(name(head.seq + 1)));
        let file = open(&path)?;
        let length = file.metadata()?.len();
        sync_folder(folder)?;
        let chain = Chain::after(head);
        let folder = folder.to_owned();
        Ok((Self { folder, max_file, path, file, length, chain, lost: false, _lock: lock }, torn))
    }

    /// Where the trail stands.
    pub fn head(&self) -> &Link {
        self.chain.head()
    }

    /// The file that is written now.
    pub fn file_name(&self) -> String {
        self.path.display().to_string()
    }

    /// Appends records, all or none.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.lost || self.length >= self.max_file {
            self.next_file()?;
        }
        let mut chain = self.chain.clone();
        let mut lines = Vec::with_capacity(1024);
        for record in records {
            chain.put(record, &mut lines).map_err(io::Error::other)?;
        }
        if let Err(error) = self.file.write_all(&lines) {
            // What arrived of it is taken back, so that the chain's last whole record is again the file's end.
            // Where even that fails, the trail goes on in a new file.
            let undone =
                self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            self.lost = undone.is_err();
            return Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display())));
        }
        self.length += lines.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// Brings everything that was appended to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|_| self.lost = true)
    }

    fn next_file(&mut self) -> io::Result<()> {
        if !self.lost {
            self.sync()?;
        }
        let path = self.folder.join(name(self.head().seq + 1));
        self.file = open(&path)?;
        self.length = self.file.metadata()?.len();
        self.path = path;
        self.lost = false;
        sync_folder(&self.folder)
    }
}

fn name(first: u64) -> String {
    format!("audit-{first:020}.jsonl")
}

fn open(path: &Path) -> io::Result<File> {
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).mode(0o640).open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The files of the trail in `folder`, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if stem.starts_with("audit-") && path.extension().is_some_and(|extension| extension == "jsonl") {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// The last whole record of a file, and what stood unfinished behind it, which is cut off.
fn recover(path: &Path) -> io::Result<(Option<Link>, Vec<u8>)> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut window = 2 * MAX_LINE;
    let mut tail = Vec::new();
    let whole = loop {
        file.seek(SeekFrom::Start(length.saturating_sub(window)))?;
        tail.clear();
        file.read_to_end(&mut tail)?;
        // Two line ends are around the last whole line, unless it is the file's first.
        let mut ends =
            tail.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
        match (ends.next(), ends.next()) {
            (Some(last), Some(_)) => break last,
            (last, _) if window >= length => break last.unwrap_or(0),
            _ => window *= 2,
        }
    };
    let mut torn = tail.split_off(whole);
    if !torn.is_empty() {
        file.set_len(length - torn.len() as u64)?;
        file.sync_all()?;
    }
    torn.truncate(MAX_TORN);
    tail.pop();
    let line = tail.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    if line.is_empty() {
        return Ok((None, torn));
    }
    let entry: Entry = chancery_audit::entry(line).map_err(|error| {
        let text = format!(
            "{}: the last line is not a record ({error}); see `chancery audit verify`",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    Ok((Some(Link::of(entry.seq, line)), torn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_audit::{Event, Verifier};

    fn stopped() -> Record {
        Record { time: jiff::Timestamp::UNIX_EPOCH, event: Event::Stopped {} }
    }

    fn verify(folder: &Path) -> chancery_audit::Summary {
        let mut verifier = Verifier::new(None);
        for path in files(folder).unwrap() {
            verifier.file(&path.display().to_string(), File::open(&path).unwrap()).unwrap();
        }
        verifier.finish()
    }

    #[test]
    fn a_trail_goes_on_after_a_restart_and_over_files() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let (mut trail, torn) = Trail::open(folder.path(), 300).unwrap();
            assert!(torn.is_empty());
            for _ in 0..4 {
                trail.append(&[stopped()]).unwrap();
            }
            trail.sync().unwrap();
        }
        assert_eq!(verify(folder.path()).last, 12);
        assert!(files(folder.path()).unwrap().len() > 2);
    }

    #[test]
    fn an_unfinished_line_is_cut_off_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let (mut trail, _) = Trail::open(folder.path(), 1000).unwrap();
        trail.append(&[stopped()]).unwrap();
        let path = trail.path.clone();
        drop(trail);
        File::options().append(true).open(&path).unwrap().write_all(b"{\"seq\":2,").unwrap();
        let (mut trail, torn) = Trail::open(folder.path(), 1000).unwrap();
        assert_eq!(torn, b"{\"seq\":2,");
        trail.append(&[stopped()]).unwrap();
        assert_eq!(verify(folder.path()).last, 2);
    }

    #[test]
    fn a_trail_is_written_by_one_daemon_only() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Trail::open(folder.path(), 1000).unwrap();
        assert!(Trail::open(folder.path(), 1000).err().unwrap().to_string().contains("another chanceryd"));
    }
}
