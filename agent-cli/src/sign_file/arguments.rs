//! The command line of the kernel's scripts/sign-file (Linux 6.1), and `--stack`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use chancery_formats::module::{Existing, SignerId};

/// What is said to somebody who asks, or whose command line is wrong.
pub(crate) const USAGE: &str = "\
Usage: chancery-sign-file [-dpk] [--stack] <hash algo> <key> <x509> <module> [<dest>]
       chancery-sign-file [--stack] -s <raw sig> <hash algo> <x509> <module> [<dest>]

<key> is the name of a key (`chancery keys`), or a pkcs11: URI whose object= is one.
  -p       write the signature into <module>.p7s too
  -d       write the signature into <module>.p7s only
  -k       name the certificate by its subject key identifier
  -s       append the signature in a file, as -d writes it
  --stack  sign over signatures that are there, as the kernel's sign-file does, instead of replacing them
chancery(1) tells of CHANCERY_SOCKET and CHANCERY_BUILD_ID, which are honoured here too.
";

/// What was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To sign.
    Sign(Arguments),
    /// How to ask.
    Usage,
    /// Which version this is.
    Version,
}

/// What the signature comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A key, as the command line names it.
    Key(OsString),
    /// A signature that was made elsewhere.
    Signature(PathBuf),
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// The signed module.
    Module,
    /// The signed module, and the signature beside it (`-p`).
    Both,
    /// The signature alone (`-d`).
    Signature,
}

/// A command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) by: By,
    pub(crate) hash: OsString,
    pub(crate) x509: PathBuf,
    pub(crate) module: PathBuf,
    /// `None` to replace the module.
    pub(crate) destination: Option<PathBuf>,
    pub(crate) write: Write,
    pub(crate) signer: SignerId,
    pub(crate) existing: Existing,
}

/// Reads a command line, without the program's name; `None` if it is wrong. As getopt does it, options may stand
/// anywhere and together, and `--` ends them.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Option<Asked> {
    let mut options = Vec::new();
    let mut words = Vec::new();
    let mut existing = Existing::Replace;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_bytes() {
            b"--" => words.extend(arguments.by_ref()),
            b"--stack" => existing = Existing::Stack,
            b"--help" => return Some(Asked::Usage),
            b"--version" => return Some(Asked::Version),
            [b'-', letters @ ..] if !letters.is_empty() => options.extend(letters),
            _ => words.push(argument),
        }
    }
    if !options.iter().all(|option| b"sdpk".contains(option)) {
        return None;
    }
    let given = |option| options.contains(&option);
    let mut words = words.into_iter();
    let (first, second) = (words.next()?, words.next()?);
    let (hash, by) =
        if given(b's') { (second, By::Signature(first.into())) } else { (first, By::Key(second)) };
    let (x509, module) = (words.next()?.into(), PathBuf::from(words.next()?));
    let destination = words.next().map(PathBuf::from).filter(|destination| *destination != module);
    if words.next().is_some() {
        return None;
    }
    let write = match (given(b'd'), given(b'p')) {
        (true, _) => Write::Signature,
        (_, true) => Write::Both,
        _ => Write::Module,
    };
    let signer = if given(b'k') { SignerId::SubjectKeyIdentifier } else { SignerId::IssuerAndSerialNumber };
    Some(Asked::Sign(Arguments { by, hash, x509, module, destination, write, signer, existing }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Arguments> {
        match read(line.split_whitespace().map(OsString::from)) {
            Some(Asked::Sign(arguments)) => Some(arguments),
            _ => None,
        }
    }

    #[test]
    fn the_kernels_own_call_is_read() {
        let args = parse("sha512 release certs/signing_key.x509 a.ko").unwrap();
        assert_eq!((args.by, args.hash), (By::Key("release".into()), "sha512".into()));
        assert_eq!((args.x509, args.module), ("certs/signing_key.x509".into(), "a.ko".into()));
        assert_eq!((args.destination, args.write), (None, Write::Module));
        assert_eq!((args.signer, args.existing), (SignerId::IssuerAndSerialNumber, Existing::Replace));
    }

    #[test]
    fn options_stand_anywhere_and_together() {
        for line in ["-dk sha256 k c a.ko", "sha256 -k k c a.ko -d", "-d -p -k sha256 k c a.ko"] {
            let args = parse(line).unwrap();
            assert_eq!(
                (args.write, args.signer),
                (Write::Signature, SignerId::SubjectKeyIdentifier),
                "{line}"
            );
        }
        assert_eq!(parse("-p --stack sha256 k c a.ko").unwrap().write, Write::Both);
        assert_eq!(parse("--stack sha256 k c a.ko").unwrap().existing, Existing::Stack);
        assert_eq!(parse("-- -hash k c a.ko").unwrap().hash, OsString::from("-hash"));
    }

    #[test]
    fn a_signature_takes_the_place_of_the_key() {
        let args = parse("-s a.p7s sha256 c a.ko b.ko").unwrap();
        assert_eq!((args.by, args.hash), (By::Signature("a.p7s".into()), "sha256".into()));
        assert_eq!(args.destination, Some("b.ko".into()));
    }

    #[test]
    fn a_destination_that_is_the_module_is_none() {
        assert_eq!(parse("sha256 k c a.ko a.ko").unwrap().destination, None);
    }

    #[test]
    fn wrong_command_lines_are_told_apart() {
        for line in
            ["", "sha256 k c", "sha256 k c a.ko b.ko c.ko", "-x sha256 k c a.ko", "--stak sha256 k c a.ko"]
        {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
