//! rpm, rpmbuild and rpmsign with a database and macros of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_formats::rpm::Edited;

use super::gpg::Gpg;
use super::{run, try_run, write};

/// The samples that the project shares, where they are there.
pub fn samples() -> Vec<PathBuf> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples");
    let folder = std::env::var_os("CHANCERY_SAMPLES").unwrap_or_else(|| own.into());
    let Ok(entries) = fs::read_dir(&folder) else {
        assert!(std::env::var_os("CI").is_none(), "no samples in {}: set CHANCERY_SAMPLES", folder.display());
        eprintln!("skipped: no samples in {}: set CHANCERY_SAMPLES", folder.display());
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "rpm")).collect()
}

/// How a package is built.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Name of the package; one of `BUILDS` is a source package.
    pub name: &'static str,
    pub flag: &'static str,
    pub target: &'static str,
    /// Bytes reserved for signatures; rpmbuild adds 32.
    pub reserved: u32,
}

/// Binary, noarch and source packages, with and without room for a signature.
pub const BUILDS: [Build; 6] = [
    Build { name: "binary-roomy", flag: "-bb", target: "x86_64", reserved: 4096 },
    Build { name: "binary-tight", flag: "-bb", target: "x86_64", reserved: 0 },
    Build { name: "noarch-roomy", flag: "-bb", target: "noarch", reserved: 4096 },
    Build { name: "noarch-tight", flag: "-bb", target: "noarch", reserved: 0 },
    Build { name: "source-roomy", flag: "-bs", target: "x86_64", reserved: 4096 },
    Build { name: "source-tight", flag: "-bs", target: "x86_64", reserved: 0 },
];

/// Builds a package and returns its path.
pub fn build(folder: &Path, build: Build) -> PathBuf {
    let Build { name, flag, target, reserved } = build;
    let top = folder.join(name);
    fs::create_dir_all(&top).unwrap();
    let spec = format!(
        "Name: {name}\nVersion: 1.0\nRelease: 1\nEpoch: 3\nSummary: A test\nLicense: MIT\n\
         %description\nA test.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n\
         seq 5000 > %{{buildroot}}/usr/share/{name}/data\n%files\n/usr/share/{name}\n"
    );
    let spec = write(&top, "test.spec", spec);
    let mut command = Command::new("rpmbuild");
    command.args([flag, "--quiet", "--nodeps", "--target", target]);
    command.arg("--define").arg(format!("_topdir {}", top.display()));
    command.arg("--define").arg(format!("__gpg_reserved_space {reserved}"));
    run(command.arg(spec).env("HOME", &top));
    find(&top).expect("rpmbuild leaves one package")
}

fn find(folder: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.find_map(
        |path| {
            if path.is_dir() { find(&path) } else { (path.extension()? == "rpm").then_some(path) }
        },
    )
}

/// The name that rpm gives a package, and the SHA-256 of its header.
pub fn query(package: &Path) -> (String, String) {
    let ask = |more: &[&str]| {
        let mut command = Command::new("rpm");
        run(command.args(["-qp", "--nosignature"]).args(more).arg(package)).trim().to_owned()
    };
    (ask(&[]), ask(&["--qf", "%{SHA256HEADER}"]))
}

/// A package database with one certificate.
pub struct Database(PathBuf);

impl Database {
    pub fn with(folder: &Path, certificate: &[u8]) -> Self {
        let database = Self(folder.join("rpmdb"));
        let certificate = write(folder, "import.asc", certificate);
        run(database.command().arg("--import").arg(certificate));
        database
    }

    fn command(&self) -> Command {
        let mut command = Command::new("rpm");
        command.arg("--dbpath").arg(&self.0);
        command
    }

    /// What `rpm -Kv` says: whether all is good, and its lines.
    pub fn check(&self, package: &Path) -> (bool, String) {
        try_run(self.command().arg("-Kv").arg(package))
    }
}

/// Runs `rpmsign` with the key of a GnuPG home, named by its fingerprint: when a mail address names it, gpg adds a
/// subpacket with the signer's user id.
pub fn rpmsign(gpg: &Gpg, action: &[&str], package: &Path) {
    let mut command = Command::new("rpmsign");
    // Debian's %__gpg is /usr/bin/gpg2, which Debian does not have.
    command.args(["--define", "__gpg /usr/bin/gpg"]);
    // One time for all signatures of a package, of a day when the keys made today exist.
    command.args(["--define", "_gpg_sign_cmd_extra_args --faked-system-time 20400101T000000!"]);
    command.arg("--define").arg(format!("_gpg_name {}", gpg.fingerprint()));
    command.arg("--define").arg(format!("_gpg_path {}", gpg.home().display()));
    run(command.args(action).arg(package));
}

/// Packages of all builds, and copies of the samples.
pub fn packages(folder: &Path) -> Vec<PathBuf> {
    let built = BUILDS.iter().map(|&recipe| build(folder, recipe));
    let copies = samples().into_iter().map(|sample| {
        write(folder, sample.file_name().unwrap().to_str().unwrap(), fs::read(&sample).unwrap())
    });
    built.chain(copies).collect()
}

/// Writes the edited package beside the original.
pub fn write_out(edited: &Edited, original: &Path) -> PathBuf {
    let path = PathBuf::from(format!("{}.new", original.display()));
    let length = edited.write_to(File::open(original).unwrap(), File::create(&path).unwrap()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    path
}
