//! A machine whose firmware does Secure Boot: its disks, its variables, and what its console says (tests/efi).

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::debian_images::fetched;
use crate::process::{capped, run};
use crate::tools::have;

/// What `build.sh` and `boot.sh` take.
const NEEDS: [&str; 9] = [
    "gcc",
    "ld",
    "objcopy",
    "/usr/lib/crt0-efi-x86_64.o",
    "/usr/include/efi/efi.h",
    "mformat",
    "mcopy",
    "qemu-system-x86_64",
    "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
];

/// Where on a disk firmware looks for a program, BOOTX64.EFI.
const BOOT_FOLDER: &str = "EFI/BOOT";

/// A machine, which is off.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A new one, in setup mode: its variables are empty. If this host cannot build one, says so, and fails where nothing
    /// may be skipped.
    #[track_caller]
    pub fn new() -> Option<Self> {
        if !have(&NEEDS) {
            return None;
        }
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(machine.path("programs")).expect("a folder");
        run(capped(60, script("build.sh")).arg(machine.path("programs"))).succeeded();
        Some(machine)
    }

    /// A path in the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program that says `hello: letter A`, unsigned.
    pub fn hello(&self) -> PathBuf {
        self.path("programs/hello.efi")
    }

    /// The program that takes steps and turns the machine off, unsigned.
    pub fn steps(&self) -> PathBuf {
        self.path("programs/steps.efi")
    }

    /// The disk of this number, which begins at 1 and is its place in the boot order, gets a program.
    #[track_caller]
    pub fn insert(&self, disk: usize, program: &Path) {
        self.insert_beside(disk, "BOOTX64.EFI", program);
    }

    /// The disk gets another program, beside the one that firmware looks for.
    #[track_caller]
    pub fn insert_beside(&self, disk: usize, name: &str, program: &Path) {
        let folder = self.disk(disk).join(BOOT_FOLDER);
        fs::create_dir_all(&folder).expect("a disk");
        fs::copy(program, folder.join(name)).expect("a program");
    }

    /// Boots from one disk after another; the last has the program `steps`, and gets these steps and the files that they name.
    #[track_caller]
    pub fn boot(&self, steps: &[&str], files: &Path) -> Console {
        let disks = fs::read_dir(self.path("disks")).expect("disks").count();
        let last = self.disk(disks);
        for file in steps.iter().filter_map(|step| step.split(' ').nth(2)) {
            let copied = fs::copy(files.join(file), last.join(file));
            copied.unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        fs::write(last.join("steps"), steps.join("\n")).expect("steps");
        let console = self.boot_anything();
        assert_eq!(console.steps().last(), Some(&"end"), "{console}");
        console
    }

    /// Boots from one disk after another, until a program turns the machine off.
    #[track_caller]
    pub fn boot_anything(&self) -> Console {
        let text = run(capped(180, script("boot.sh")).arg(self.folder.path())).succeeded().stdout;
        Console { text }
    }

    /// Takes all disks out.
    pub fn empty(&self) {
        fs::remove_dir_all(self.path("disks")).expect("disks");
    }

    /// A unified kernel image of Debian's kernel, unsigned: it says `init: runs` and turns the machine off.
    #[track_caller]
    pub fn unified_kernel_image(&self) -> Option<PathBuf> {
        const NEEDS: [&str; 4] =
            ["objcopy", "busybox", "cpio", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"];
        let kernel = fetched("vmlinuz-amd64").filter(|_| have(&NEEDS))?;
        let image = self.path("linux.efi");
        run(capped(60, script("uki.sh")).arg(kernel).arg(&image)).succeeded();
        Some(image)
    }

    // In the order of their names, as the shell sorts them.
    fn disk(&self, number: usize) -> PathBuf {
        self.path(&format!("disks/{number:02}"))
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("efi").join(name)
}

/// What came on the console during one boot.
pub struct Console {
    text: String,
}

/// What became of the program on a disk.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It ran, and said these lines.
    Started(Vec<&'a str>),
    /// The firmware refused to load it.
    Refused {
        /// The boot manager's words.
        error: &'a str,
        /// The reason in the firmware's table of images that it did not run (UEFI 2.10, section 32.4.2).
        reason: &'a str,
    },
}

impl Console {
    /// What became of the program on the disk of this number.
    #[track_caller]
    pub fn outcome(&self, disk: usize) -> Outcome<'_> {
        let place = format!("PciRoot(0x0)/Pci(0x{disk:X},0x0)");
        let mut attempts = self.text.split("BdsDxe: loading ").skip(1);
        let tried = attempts.find(|text| text.lines().next().is_some_and(|line| line.ends_with(&place)));
        let tried =
            tried.unwrap_or_else(|| panic!("the firmware has not come to disk {disk}:\n{}", self.text));
        let manager = |what: &str| tried.lines().find(|line| line.starts_with(&format!("BdsDxe: {what} ")));
        if manager("starting").is_some() {
            let said = tried.lines().skip(1).filter(|line| !line.starts_with("BdsDxe: ") && !line.is_empty());
            return Outcome::Started(said.collect());
        }
        let refused = manager("failed to load").unwrap_or_else(|| panic!("disk {disk}:\n{}", self.text));
        let error = refused.rsplit(": ").next().expect("a last part");
        let noted = format!("refused PciRoot(0)/Pci(0x{disk:X},0x0)/");
        let reason = self.steps().into_iter().find(|line| line.starts_with(&noted));
        let reason = reason.and_then(|line| line.rsplit(": ").next()).unwrap_or("none noted");
        Outcome::Refused { error, reason }
    }

    /// What the program `steps` says: its mode, what the firmware has refused, and what became of each step.
    pub fn steps(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("steps: ")).collect()
    }

    /// What became of each step.
    pub fn results(&self) -> Vec<&str> {
        let is_result = |line: &&str| line.starts_with("write ") || line.starts_with("append ");
        self.steps().into_iter().filter(is_result).collect()
    }

    /// `SetupMode` and `SecureBoot`, as the variables of these names say.
    #[track_caller]
    pub fn mode(&self) -> &str {
        let mode = self.steps().into_iter().find_map(|line| line.strip_prefix("begin, "));
        mode.unwrap_or_else(|| panic!("{self}"))
    }
}

impl std::fmt::Display for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
