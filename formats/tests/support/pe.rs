//! PE images to sign, and the tools that judge them.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_formats::pe::{Image, Options, Pending, prepare};
use chancery_formats::raw::Input;
use chancery_formats::x509::Certificate;

use super::openssl::OpenSslKey;
use super::{run, try_run, write};

/// The stub of unified kernel images, which systemd-boot-efi holds.
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
/// Programs and libraries, PE32 and PE32+, for three processors, and the package that each one is of.
const INSTALLED: [(&str, &str); 7] = [
    ("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot-efi"),
    (STUB, "systemd-boot-efi"),
    ("/usr/lib/shim/mmx64.efi", "shim-unsigned"),
    ("/usr/lib/python3/dist-packages/distlib/t32.exe", "python3-distlib"),
    ("/usr/lib/python3/dist-packages/distlib/t64.exe", "python3-distlib"),
    ("/usr/lib/python3/dist-packages/distlib/t64-arm.exe", "python3-distlib"),
    ("/usr/share/nsis/Plugins/x86-unicode/System.dll", "nsis-common"),
];

/// An image that is not signed, or not by us.
pub struct Sample {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What tests/images/fetch.sh leaves in the folder that CHANCERY_IMAGES names.
const FETCHED: [&str; 3] = ["vmlinuz-amd64", "vmlinuz-arm64", "shimx64.efi.signed"];

/// Images of Debian's packages, a unified kernel image and a compressed kernel made of them, and what the project shares.
/// What is not there is told, and missed in CI.
pub fn images() -> Vec<Sample> {
    let mut images = Vec::new();
    for (path, package) in INSTALLED {
        if installed(path, package) {
            images.push(sample(Path::new(path)));
        }
    }
    images.extend(FETCHED.into_iter().filter_map(fetched).map(|path| sample(&path)));
    images.extend(unified_kernel_image());
    images.extend(fetched("vmlinuz-arm64").map(|kernel| zboot(&kernel)));
    images.extend(samples().map(|path| sample(&path)));
    images
}

/// An image that tests/images/fetch.sh fetches, which `make test` runs.
pub fn fetched(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("CHANCERY_IMAGES").map(|folder| Path::new(&folder).join(name));
    let path = path.filter(|path| path.is_file());
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "missing in CI: {name} in CHANCERY_IMAGES");
    if path.is_none() {
        eprintln!("skipped: {name}: `tests/images/fetch.sh FOLDER` fetches it, for CHANCERY_IMAGES=FOLDER");
    }
    path
}

/// The images among the samples that the project shares.
fn samples() -> impl Iterator<Item = PathBuf> {
    let folder = std::env::var_os("CHANCERY_SAMPLES").unwrap_or_default();
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "efi"))
}

fn sample(path: &Path) -> Sample {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Sample { name, bytes: fs::read(path).unwrap() }
}

/// Whether a file of a package is there.
pub fn installed(path: &str, package: &str) -> bool {
    let there = Path::new(path).is_file();
    assert!(there || std::env::var_os("CI").is_none(), "missing in CI: {path} of {package}");
    if !there {
        eprintln!("skipped: install {package}");
    }
    there
}

/// systemd's stub with a kernel, its command line and a name.
fn unified_kernel_image() -> Option<Sample> {
    let kernel = fetched("vmlinuz-amd64")?;
    if !super::have(&["objcopy"]) || !installed(STUB, "systemd-boot-efi") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let cmdline = write(folder.path(), "cmdline", "quiet root=/dev/vda2");
    let release = write(folder.path(), "os-release", "ID=test\nNAME=Test\n");
    let image = folder.path().join("linux.efi");
    let mut command = Command::new("objcopy");
    for (name, at, path) in
        [(".osrel", "0x20000", &release), (".cmdline", "0x30000", &cmdline), (".linux", "0x2000000", &kernel)]
    {
        command.args(["--add-section", &format!("{name}={}", path.display())]);
        command.args(["--change-section-vma", &format!("{name}={at}")]);
    }
    run(command.arg(STUB).arg(&image));
    Some(sample(&image))
}

/// A kernel in the form that arm64's CONFIG_EFI_ZBOOT makes (Linux 6.1, drivers/firmware/efi/libstub/zboot-header.S): a PE
/// image that holds the kernel in gzip. Debian builds none. The code that unpacks it is left out; nobody starts this one.
fn zboot(kernel: &Path) -> Sample {
    const HEADERS: usize = 0x1000;
    // Six data directories, so that the section table begins earlier than elsewhere.
    const OPTIONAL: usize = 112 + 6 * 8;
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut payload = Command::new("gzip").args(["-n", "-1", "-c"]).arg(kernel).output().unwrap().stdout;
    let length = payload.len();
    payload.resize(length.next_multiple_of(512), 0);
    let (end, data) = (HEADERS + payload.len(), 512);
    let mut image = vec![0; HEADERS];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ\0\0zimg");
    put(8, &[number(HEADERS), number(length)].concat());
    put(24, b"gzip");
    put(0x3c, &number(0x40));
    // IMAGE_FILE_MACHINE_ARM64, two sections.
    put(0x40, b"PE\0\0\x64\xaa\x02\0");
    put(0x54, &u16::try_from(OPTIONAL).unwrap().to_le_bytes());
    // Characteristics, the magic, and IMAGE_SUBSYSTEM_EFI_APPLICATION.
    put(0x56, b"\x06\x02\x0b\x02");
    put(0x58 + 68, &[10]);
    // SectionAlignment and FileAlignment, SizeOfImage and SizeOfHeaders, NumberOfRvaAndSizes.
    put(0x58 + 32, &[number(4096), number(512)].concat());
    put(0x58 + 56, &[number(end + data), number(HEADERS)].concat());
    put(0x58 + 108, &number(6));
    for (section, name, begin, end) in [(0, ".text", HEADERS, end), (40, ".data", end, end + data)] {
        let at = 0x58 + OPTIONAL + section;
        put(at, name.as_bytes());
        put(at + 8, &[end - begin, begin, end - begin, begin].map(number).concat());
    }
    image.extend(payload);
    image.resize(end + data, 0);
    Sample { name: "vmlinuz.efi (zboot)".to_owned(), bytes: image }
}

/// A small image whose parts are known: one section of 512 bytes at 0x200, and whatever lies behind it.
pub fn small(optional_magic: u16, overlay: &[u8]) -> Vec<u8> {
    // Where the data directories begin, and IMAGE_FILE_MACHINE_AMD64 or IMAGE_FILE_MACHINE_I386.
    let (directories, machine) = if optional_magic == 0x20b { (112, 0x8664_u16) } else { (96, 0x14c) };
    let mut image = vec![0; 0x200];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x44, &machine.to_le_bytes());
    put(0x46, &1_u16.to_le_bytes());
    put(0x54, &(directories + 16 * 8_u16).to_le_bytes());
    put(0x58, &optional_magic.to_le_bytes());
    put(0x58 + 60, &0x200_u32.to_le_bytes());
    put(0x58 + usize::from(directories) - 4, &16_u32.to_le_bytes());
    let section = 0x58 + usize::from(directories) + 16 * 8;
    put(section, b".text");
    put(section + 16, &0x200_u32.to_le_bytes());
    put(section + 20, &0x200_u32.to_le_bytes());
    image.extend((0..0x200_u32).map(|n| (n % 251) as u8));
    image.extend(overlay);
    image
}

/// An image with a signature.
pub fn sign(
    key: &OpenSslKey,
    certificate: &Certificate,
    chain: &[Certificate],
    options: &Options,
    image: &[u8],
) -> Vec<u8> {
    let mut file = Cursor::new(image);
    let read = Image::read(&mut file).unwrap();
    let signed = finish(key, prepare(&read, &mut file, certificate, chain, options).unwrap());
    let mut output = Vec::new();
    let len = signed.edited().write_to(&mut file, &mut output).unwrap();
    assert_eq!((len, output.len() as u64), (signed.edited().file_len(), signed.edited().file_len()));
    output
}

/// The signature, made by openssl.
pub fn finish(key: &OpenSslKey, pending: Pending) -> chancery_formats::pe::Signed {
    let raw = key.sign(&Input::Digest(pending.digest().clone()));
    pending.finish(&raw).unwrap()
}

/// What sbverify says.
pub fn sbverify(image: &Path, certificate: &Path) -> (bool, String) {
    try_run(Command::new("sbverify").arg("--cert").arg(certificate).arg(image))
}

/// Whether osslsigncode takes a dwLength that does not count the zeros behind a signature, as sbsign writes it. That of
/// Debian 12, 2.5, refuses sbsign's own images.
pub fn takes_sbsigns_lengths() -> bool {
    let (_, said) = try_run(Command::new("osslsigncode").arg("--version"));
    !said.starts_with("osslsigncode 2.5,")
}

/// What osslsigncode says. It takes one signature a file.
pub fn osslsigncode(image: &Path, certificate: &Path) -> (bool, String) {
    try_run(Command::new("osslsigncode").arg("verify").arg("-CAfile").arg(certificate).arg("-in").arg(image))
}

/// The names of the signers that pesign finds.
pub fn pesign(image: &Path) -> Vec<String> {
    let said = run(Command::new("pesign").arg("-S").arg("-i").arg(image));
    said.lines()
        .filter_map(|line| line.strip_prefix("The signer's common name is "))
        .map(String::from)
        .collect()
}

/// The SHA-256 that pesign makes.
pub fn pesign_digest(image: &Path) -> String {
    let said = run(Command::new("pesign").args(["-h", "-i"]).arg(image));
    let digest = said.split_whitespace().find(|word| word.len() == 64);
    digest.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// Signs with sbsign, in the file's place.
pub fn sbsign(key: &OpenSslKey, certificate: &Path, chain: Option<&Path>, image: &Path) {
    let mut command = Command::new("sbsign");
    command.arg("--key").arg(key.path()).arg("--cert").arg(certificate);
    command.args(chain.into_iter().flat_map(|chain| [Path::new("--addcert"), chain]));
    run(command.arg("--output").arg(image).arg(image));
}

/// An authority as openssl makes it. sbverify takes none with an extended key usage, which our own profiles have.
pub fn authority(key: &OpenSslKey, name: &str) -> Certificate {
    let path = key.folder().join("authority.pem");
    run(Command::new("openssl")
        .args(["req", "-x509", "-new", "-days", "3650", "-subj", name, "-key"])
        .arg(key.path())
        .arg("-out")
        .arg(&path));
    Certificate::parse(&fs::read(path).unwrap()).unwrap()
}

/// A certificate that another key issued, made by openssl.
pub fn issued(key: &OpenSslKey, name: &str, issuer: &OpenSslKey, authority: &Certificate) -> Certificate {
    let folder = key.folder();
    let ca = write(folder, "ca.pem", authority.to_pem().unwrap());
    let (request, path): (PathBuf, PathBuf) = (folder.join("request"), folder.join("issued.pem"));
    run(Command::new("openssl")
        .args(["req", "-new", "-subj", name, "-key"])
        .arg(key.path())
        .arg("-out")
        .arg(&request));
    run(Command::new("openssl")
        .args(["x509", "-req", "-days", "3650", "-in"])
        .arg(&request)
        .arg("-CA")
        .arg(ca)
        .arg("-CAkey")
        .arg(issuer.path())
        .args(["-CAcreateserial", "-out"])
        .arg(&path));
    Certificate::parse(&fs::read(path).unwrap()).unwrap()
}
