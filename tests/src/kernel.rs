//! Kernel modules, Debian's kernel headers, and what is appended to modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Output, capped, run};

/// What stands behind a signature: `struct module_signature` and the magic.
const TRAILER: usize = 12 + MAGIC.len();
const MAGIC: &[u8] = b"~Module signature appended~\n";

/// The build folder of some kernel's headers (`/lib/modules/VERSION/build`). If there is none, says so, and fails where
/// nothing may be skipped.
#[track_caller]
pub fn headers() -> Option<PathBuf> {
    let versions = fs::read_dir("/lib/modules").into_iter().flatten().filter_map(Result::ok);
    let found =
        versions.map(|version| version.path().join("build")).find(|build| build.join("Makefile").is_file());
    missing(found, "kernel headers (linux-headers-amd64)")
}

/// The kernel's own sign-file, as Debian packages it.
#[track_caller]
pub fn sign_file() -> Option<PathBuf> {
    let found = headers().map(|build| build.join("scripts/sign-file")).filter(|tool| tool.is_file());
    missing(found, "scripts/sign-file (linux-kbuild-6.1)")
}

#[track_caller]
fn missing(found: Option<PathBuf>, what: &str) -> Option<PathBuf> {
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "missing here: {what}");
    if found.is_none() {
        eprintln!("skipped: missing here: {what}");
    }
    found
}

/// A module's source in a folder of its own, ready for `make -C HEADERS M=FOLDER`.
#[track_caller]
pub fn module_source(folder: &Path, name: &str) -> PathBuf {
    let source = folder.join(name);
    fs::create_dir_all(&source).expect("a folder");
    let text = format!(
        "#include <linux/module.h>\nstatic int __init begin(void)\n{{\n\tpr_info(\"{name} is here\\n\");\n\treturn 0;\n}}\n\
         module_init(begin);\nMODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"1.0\");\n"
    );
    fs::write(source.join(format!("{name}.c")), text).expect("a source");
    fs::write(source.join("Makefile"), format!("obj-m := {name}.o\n")).expect("a makefile");
    source
}

/// make in the headers, for the module in a folder.
pub fn make(headers: &Path, source: &Path) -> Command {
    let mut command = capped(300, "make");
    command.arg("-C").arg(headers).arg(format!("M={}", source.display()));
    // The test's own make, if there is one, has nothing to say here.
    command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    command
}

/// Builds a module against the headers.
#[track_caller]
pub fn build_module(headers: &Path, folder: &Path, name: &str) -> PathBuf {
    let source = module_source(folder, name);
    run(make(headers, &source).arg("modules")).succeeded();
    source.join(format!("{name}.ko"))
}

/// `modinfo`.
#[track_caller]
pub fn modinfo(module: &Path) -> Output {
    run(capped(30, "modinfo").arg(module))
}

/// A signed module's contents and its last signature.
#[track_caller]
pub fn parts(module: &[u8]) -> (&[u8], &[u8]) {
    assert!(module.ends_with(MAGIC), "the module is not signed");
    let info = &module[module.len() - TRAILER..];
    let length = u32::from_be_bytes(info[8..12].try_into().expect("four bytes"));
    let end = module.len() - TRAILER;
    module[..end].split_at(end - usize::try_from(length).expect("a length"))
}

/// `openssl cms -verify` of a module's last signature.
#[track_caller]
pub fn openssl_verify(module: &[u8], certificate: &Path) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let (contents, signature) = parts(module);
    let [contents, signature] = [("contents", contents), ("signature", signature)].map(|(name, bytes)| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a part of the module");
        path
    });
    let mut command = capped(30, "openssl");
    command.args([
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-nointern",
        "-noverify",
        "-out",
        "/dev/null",
    ]);
    command.arg("-certfile").arg(certificate).arg("-in").arg(signature).arg("-content").arg(contents);
    run(&mut command)
}
