//! What is signed, and how.

use std::path::PathBuf;

use chancery_formats::ssh::{MessageHash, Namespace};
use chancery_protocol::{Hash, KeyName};
use clap::{ArgGroup, Subcommand};

use super::cms::SignCms;
use super::efi::SignEfi;
use super::module::SignModule;
use super::values::{self, Input, Output};
use super::variable::SignVariable;

#[derive(Debug, Subcommand)]
pub(crate) enum SignCommand {
    /// Sign files with OpenPGP: detached, cleartext or inline
    ///
    /// Without FILE, the standard input is signed to the standard output. A detached signature is written to FILE.asc,
    /// or to FILE.sig without armor; a cleartext message to FILE.asc; an inline message to FILE.asc or FILE.gpg. A file
    /// whose detached signature by the same key is there already, and good, is left alone.
    Openpgp(SignOpenpgp),
    /// Sign RPM packages
    ///
    /// The signature goes into the package's signature header. A package that the key has signed already is left
    /// alone. The package is replaced in one step by a copy with the same mode, owner, times and extended attributes,
    /// or left as it was if anything fails; hard links to it keep the unsigned package.
    Rpm(SignRpm),
    /// Sign files with SSH signatures, as `ssh-keygen -Y sign` does
    ///
    /// Without FILE, the standard input is signed to the standard output. A signature is written to FILE.sig.
    /// `ssh-keygen -Y verify` is the judge.
    Ssh(SignSsh),
    /// Sign Linux kernel modules
    ///
    /// The signature is appended as the kernel's scripts/sign-file does it, in place of those that are there. A module
    /// that the key has signed already is left alone. Compressed modules (.ko.xz, .ko.zst, .ko.gz) are signed inside,
    /// and compressed again as the kernel's build does it. A module is replaced in one step by a copy with the same
    /// mode, owner, times and extended attributes, or left as it was if anything fails.
    Module(SignModule),
    /// Sign PE images for UEFI Secure Boot and Windows: UEFI programs, kernels, unified kernel images
    ///
    /// The signature is Authenticode's, as sbsign makes it, beside those that are there. An image that the key has signed
    /// already is left alone. A kernel in a gzip file is signed inside, and wrapped again. An image is replaced in one step
    /// by a copy with the same mode, owner, times and extended attributes, or left as it was if anything fails.
    Efi(SignEfi),
    /// Sign updates of the firmware's Secure Boot variables: PK, KEK, db and dbx
    ///
    /// What is written (`.auth`) goes to the firmware by efi-updatevar, by its own setup, or by systemd-boot from
    /// loader/keys. While there is no PK, the firmware takes any.
    EfiVariable(SignVariable),
    /// Sign files with CMS (PKCS#7): firmware, images, root hashes, whatever `openssl cms` verifies
    ///
    /// Without FILE, the standard input is signed to the standard output. A signature is written beside the file, to FILE.p7s,
    /// or around it, to FILE.p7m. fs-verity and dm-verity in the Linux kernel want it without attributes and certificates.
    Cms(SignCms),
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("shape"))]
pub(crate) struct SignOpenpgp {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// Make a detached signature (the default)
    #[arg(long, group = "shape")]
    pub(crate) detach: bool,
    /// Make a cleartext signed message
    #[arg(long, group = "shape", conflicts_with = "no_armor")]
    pub(crate) clear: bool,
    /// Make a message that holds data and signature
    #[arg(long, group = "shape")]
    pub(crate) inline: bool,
    /// Write text (the default)
    #[arg(long, overrides_with = "no_armor")]
    pub(crate) armor: bool,
    /// Write bytes
    #[arg(long)]
    pub(crate) no_armor: bool,
    /// The hash; otherwise the one that suits the key
    #[arg(long, value_name = "HASH", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) digest: Option<Hash>,
    /// Where to write it, for one file; `-` is the standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    /// The files; `-`, or none, is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<Input>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignRpm {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// Sign the header, which holds the payload's digest (the default)
    #[arg(long, conflicts_with = "v3")]
    pub(crate) header_only: bool,
    /// Sign header and payload too, for rpm older than 4.14; done unasked where a package has no payload digest
    #[arg(long)]
    pub(crate) v3: bool,
    /// Write the signature of rpm 6 (tag 278) into a version 4 package too; packages of version 6 have it anyway
    #[arg(long)]
    pub(crate) v6: bool,
    /// Keep signatures of other keys where the package can hold them
    #[arg(long, conflicts_with = "replace")]
    pub(crate) keep_existing: bool,
    /// Replace every signature that is there (the default)
    #[arg(long)]
    pub(crate) replace: bool,
    /// Write into the package itself, as rpmsign does: faster, but not in one step
    ///
    /// Only the signature header is written, if it has room; hard links see the change, and the time of change is now.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// The hash; otherwise the one that suits the key
    #[arg(long, value_name = "HASH", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) digest: Option<Hash>,
    /// The packages
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignSsh {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// What the signatures are for; verifiers have to expect the same
    #[arg(long, short, value_name = "NAMESPACE", default_value = "file")]
    pub(crate) namespace: Namespace,
    /// The hash of the message; the key signs with a hash of its own
    #[arg(long, value_name = "HASH", value_parser = values::message_hashes(), default_value = MessageHash::default().as_str())]
    pub(crate) digest: MessageHash,
    /// Where to write it, for one file; `-` is the standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    /// The files; `-`, or none, is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<Input>,
}
