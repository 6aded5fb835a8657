//! The foreign tools that judge.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Output, capped, run};

/// Whether every one of these programs is there; if not, says which, and fails where nothing may be skipped.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "missing here: {missing:?}; the make target of this test installs them"
    );
    eprintln!("skipped: missing here: {missing:?}");
    false
}

fn found(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether this test runs as root; if not, says so, and fails where nothing may be skipped.
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "this test needs root, to run agents as other users");
    if !root {
        eprintln!("skipped: this test needs root, to run agents as other users");
    }
    root
}

/// rpm with a database of its own that trusts one certificate.
pub struct Rpm {
    database: TempDir,
}

impl Rpm {
    /// Imports a certificate into an empty database.
    #[track_caller]
    pub fn trusting(certificate: &Path) -> Self {
        let rpm = Self { database: tempfile::tempdir().expect("a folder") };
        run(rpm.command().arg("--import").arg(certificate)).succeeded();
        rpm
    }

    fn command(&self) -> Command {
        let mut command = capped(120, "rpm");
        command.arg("--dbpath").arg(self.database.path());
        command
    }

    /// `rpm -Kv`.
    pub fn check(&self, package: &Path) -> Output {
        run(self.command().arg("-Kv").arg(package))
    }

    /// Expects `rpm -Kv` to find a signature and digests, and every line of them good.
    #[track_caller]
    pub fn accepts(&self, package: &Path) {
        let said = self.check(package).succeeded().stdout;
        let lines: Vec<_> = said.lines().skip(1).collect();
        let good = |what: &str| {
            lines.iter().any(|line| line.contains(what)) && lines.iter().all(|l| l.ends_with(": OK"))
        };
        assert!(good(" Signature, key ID ") && good(" digest: OK"), "{said}");
    }

    /// `rpm -K` of many packages at once; the names of those that it finds signed and good.
    #[track_caller]
    pub fn good_among(&self, packages: &[PathBuf]) -> Vec<String> {
        let said = run(self.command().arg("-K").args(packages)).stdout;
        let good = said.lines().filter_map(|line| line.strip_suffix(": digests signatures OK"));
        good.map(str::to_owned).collect()
    }
}

/// gpg with a home of its own.
pub struct Gpg {
    home: TempDir,
}

impl Gpg {
    /// An empty home.
    pub fn new() -> Self {
        Self { home: tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").expect("a folder") }
    }

    /// Imports a certificate into an empty home. The path is short: gpg's sockets lie in it.
    #[track_caller]
    pub fn trusting(certificate: &Path) -> Self {
        let gpg = Self::new();
        run(gpg.command().arg("--import").arg(certificate)).succeeded();
        gpg
    }

    /// A new key of its own, without a passphrase, for the tools that sign with gpg; its fingerprint.
    #[track_caller]
    pub fn generate(&self, algorithm: &str) -> String {
        let arguments =
            ["--passphrase", "", "--quick-gen-key", "gpg@example.org", algorithm, "sign", "never"];
        run(self.command().args(arguments)).succeeded();
        let listed = run(self.command().args(["--with-colons", "--list-secret-keys"])).succeeded().stdout;
        let fingerprint =
            listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).expect("a fingerprint");
        fingerprint.trim_end_matches(':').to_owned()
    }

    /// Its home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// gpg with this home.
    pub fn command(&self) -> Command {
        let mut command = capped(120, "gpg");
        command.arg("--homedir").arg(self.home.path()).args(["--batch", "--no-tty"]);
        command
    }

    /// `gpg --verify FILE...`.
    pub fn verify(&self, files: &[&Path]) -> Output {
        run(self.command().arg("--verify").args(files))
    }

    /// Signs a package with rpmsign and the key of this fingerprint.
    #[track_caller]
    pub fn rpmsign(&self, fingerprint: &str, package: &Path) {
        let mut command = capped(120, "rpmsign");
        // Debian's %__gpg is /usr/bin/gpg2, which Debian does not have.
        command.args(["--define", "__gpg /usr/bin/gpg", "--define", &format!("_gpg_name {fingerprint}")]);
        command.arg("--define").arg(format!("_gpg_path {}", self.home().display()));
        run(command.arg("--addsign").arg(package)).succeeded();
    }

    /// `gpg --verify-files FILE...`: each a message with its own signature.
    pub fn verify_messages(&self, files: &[&Path]) -> Output {
        run(self.command().arg("--verify-files").args(files))
    }

    /// The certificates as gpgv wants them.
    pub fn keyring(&self) -> PathBuf {
        let path = self.home.path().join("exported.gpg");
        if !path.exists() {
            run(self.command().arg("--output").arg(&path).arg("--export")).succeeded();
        }
        path
    }
}

impl Default for Gpg {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = run(Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]));
    }
}

/// How a package is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// For this machine's architecture.
    Binary,
    /// For every architecture.
    Noarch,
    /// The source package.
    Source,
}

/// Builds a package with rpmbuild, reserving so many bytes for signatures.
#[track_caller]
pub fn build_package(folder: &Path, name: &str, kind: Package, reserved: u32) -> PathBuf {
    let top = folder.join(format!("rpmbuild-{name}"));
    std::fs::create_dir_all(&top).expect("a folder");
    let spec = top.join(format!("{name}.spec"));
    let arch = if kind == Package::Noarch { "BuildArch: noarch\n" } else { "" };
    let text = format!(
        "Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: A package\nLicense: MIT\n{arch}%description\nA package.\n\
         %install\nmkdir -p %{{buildroot}}/usr/share/{name}\necho {name} > %{{buildroot}}/usr/share/{name}/file\n\
         %files\n/usr/share/{name}/file\n"
    );
    std::fs::write(&spec, text).expect("a spec file");
    let mut command = capped(120, "rpmbuild");
    command.arg(if kind == Package::Source { "-bs" } else { "-bb" });
    command.args(["--define", &format!("_topdir {}", top.display()), "--define", "debug_package %{nil}"]);
    command.args(["--define", &format!("__gpg_reserved_space {reserved}")]).arg(&spec);
    run(&mut command).succeeded();
    find_rpm(&top).unwrap_or_else(|| panic!("no package under {}", top.display()))
}

/// Builds a package whose payload is a file of so many bytes, not compressed.
#[track_caller]
pub fn build_large_package(folder: &Path, bytes: u64) -> PathBuf {
    std::fs::create_dir_all(folder).expect("a folder");
    let spec = folder.join("large.spec");
    let text = format!(
        "Name: large\nVersion: 1.0\nRelease: 1\nSummary: A package\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n\
         %description\nA package.\n%install\nmkdir %{{buildroot}}/srv\ntruncate -s {bytes} %{{buildroot}}/srv/large\n\
         %clean\nrm -rf %{{buildroot}}\n%files\n/srv/large\n"
    );
    std::fs::write(&spec, text).expect("a spec file");
    let mut command = capped(120, "rpmbuild");
    command.args([
        "-bb",
        "--define",
        &format!("_topdir {}", folder.display()),
        "--define",
        "debug_package %{nil}",
    ]);
    // Neither compression nor what distributions do to installed files is wanted here, and MD5 is quick.
    command.args(["--define", "_binary_payload w.ufdio", "--define", "__os_install_post %{nil}"]);
    command.args(["--define", "_binary_filedigest_algorithm 1"]).arg(&spec);
    run(&mut command).succeeded();
    find_rpm(folder).unwrap_or_else(|| panic!("no package under {}", folder.display()))
}

/// A binary, a noarch and a source package, each with room for a signature and without.
#[track_caller]
pub fn build_packages(folder: &Path) -> Vec<PathBuf> {
    let kinds = [("binary", Package::Binary), ("noarch", Package::Noarch), ("source", Package::Source)];
    let build = |(name, kind): (&str, Package)| {
        [("roomy", 4096), ("tight", 0)]
            .map(|(room, bytes)| build_package(folder, &format!("{name}-{room}"), kind, bytes))
    };
    kinds.into_iter().flat_map(build).collect()
}

fn find_rpm(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            find_rpm(&path)
        } else {
            path.extension().is_some_and(|e| e == "rpm").then_some(path)
        }
    })
}

/// The real packages that the project keeps for its tests, copied into a folder. Without them a test fails where
/// nothing may be skipped, and goes on with what it builds itself elsewhere.
#[track_caller]
pub fn sample_packages(folder: &Path) -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let places = [std::env::var_os("CHANCERY_SAMPLES").map(PathBuf::from), Some(own)];
    let packages = |place: PathBuf| {
        let entries =
            std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let packages: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "rpm")).collect();
        (!packages.is_empty()).then_some(packages)
    };
    let found = places.into_iter().flatten().find_map(packages).unwrap_or_default();
    assert!(!found.is_empty() || std::env::var_os("CI").is_none(), "no samples: set CHANCERY_SAMPLES");
    let copy = |sample: PathBuf| {
        let copy = folder.join(sample.file_name().expect("a name"));
        std::fs::write(&copy, std::fs::read(&sample).expect("a sample")).expect("a copy");
        copy
    };
    found.into_iter().map(copy).collect()
}

/// A file system of a few KiB, mounted for a test of what happens when it is full. Needs root.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many KiB on a folder.
    #[track_caller]
    pub fn on(folder: &Path, kib: u32) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={kib}k,mode=0755");
        run(capped(30, "mount").args(["-t", "tmpfs", "-o", &size, "small-disk"]).arg(folder)).succeeded();
        Self { folder: folder.to_owned() }
    }

    /// Writes until there is no room at all.
    #[track_caller]
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.filler()).expect("a file");
        let full =
            std::iter::repeat_with(|| file.write_all(&[0; 512])).find_map(Result::err).expect("an error");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub fn clear(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon may still have its files open.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.folder));
    }
}
