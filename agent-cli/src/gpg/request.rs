//! What a command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use chancery_formats::openpgp::{Content, Encoding};
use chancery_protocol::Hash;

use super::arguments::{self, Arguments, Given, Wrong};
use super::options::Meaning;
use crate::args::{Input, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shape::Shape;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    Sign(Request),
    /// Something that the real gpg does.
    HandOver,
    Version,
    Help,
}

/// A signature to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) shape: Shape,
    pub(super) signer: Signer,
    pub(super) hash: Option<Hash>,
    pub(super) input: Input,
    /// Where it goes, if not to the place that follows from the input.
    pub(super) output: Option<Output>,
    pub(super) existing: Existing,
}

/// Who is to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signer {
    /// The key that is called so.
    Named(String),
    /// Whatever key the environment or the daemon offers.
    Default,
}

/// What becomes of a file that stands where the signature goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Ask,
    Replace,
    Keep,
}

/// Where status lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatusTo {
    Descriptor(u32),
    File(PathBuf),
}

/// Understands the words behind the program's name. The place of the status lines is told whatever else is wrong.
pub(super) fn understand(words: &[OsString]) -> (Option<StatusTo>, Result<Work, Failure>) {
    let arguments = arguments::read(words);
    match status_to(&arguments) {
        Ok(status) => (status, work(arguments)),
        Err(failure) => (None, Err(failure)),
    }
}

fn status_to(arguments: &Arguments) -> Result<Option<StatusTo>, Failure> {
    let mut to = None;
    for given in &arguments.given {
        match given.meaning {
            // As in gpg, a negative number is no descriptor, and no error.
            Meaning::StatusFd => match given.text().parse::<i32>() {
                Ok(number) => to = u32::try_from(number).ok().map(StatusTo::Descriptor),
                Err(_) => return Err(usage(format!("`{}` takes the number of a descriptor", given.spelt))),
            },
            Meaning::StatusFile => to = Some(StatusTo::File(given.text().into())),
            _ => {}
        }
    }
    Ok(to)
}

fn work(arguments: Arguments) -> Result<Work, Failure> {
    let is = |meaning| arguments.given.iter().any(|given| given.meaning == meaning);
    if is(Meaning::Version) {
        return Ok(Work::Version);
    }
    if is(Meaning::Help) {
        return Ok(Work::Help);
    }
    if !is(Meaning::Sign) && !is(Meaning::DetachSign) && !is(Meaning::ClearSign) {
        return Ok(Work::HandOver);
    }
    if let Some(other) = arguments.given.iter().find(|given| given.meaning == Meaning::NotOurs) {
        return Err(refused(
            &other.spelt,
            "together with signing it is the work of a gpg with a key of its own",
        ));
    }
    if let Some(wrong) = &arguments.wrong {
        return Err(complaint(wrong));
    }
    request(arguments).map(Work::Sign)
}

fn request(arguments: Arguments) -> Result<Request, Failure> {
    let mut settings = Settings::default();
    for given in &arguments.given {
        settings.take(given)?;
    }
    let shape = settings.shape()?;
    let input = input(arguments.files, shape)?;
    if settings.passphrase_from_stdin && input == Input::Stdin {
        return Err(refused(
            "--passphrase-fd 0",
            "the standard input is signed, and a passphrase is not read from it",
        ));
    }
    Ok(Request {
        shape,
        signer: settings.signer()?,
        hash: settings.hash,
        input,
        output: settings.output,
        existing: match (settings.yes, settings.no || settings.batch) {
            (true, _) => Existing::Replace,
            (_, true) => Existing::Keep,
            _ => Existing::Ask,
        },
    })
}

/// Options as they add up; of two that say opposite things, the later one counts.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "gpg's options are independent switches")]
struct Settings {
    clear: bool,
    detach: bool,
    armor: bool,
    text: bool,
    batch: bool,
    yes: bool,
    no: bool,
    passphrase_from_stdin: bool,
    users: Vec<String>,
    default_key: Option<String>,
    hash: Option<Hash>,
    output: Option<Output>,
}

impl Settings {
    fn take(&mut self, given: &Given) -> Result<(), Failure> {
        match given.meaning {
            Meaning::ClearSign => self.clear = true,
            Meaning::DetachSign => self.detach = true,
            Meaning::Armor => self.armor = true,
            Meaning::NoArmor => self.armor = false,
            Meaning::Textmode => self.text = true,
            Meaning::NoTextmode => self.text = false,
            Meaning::Batch => self.batch = true,
            Meaning::NoBatch => self.batch = false,
            Meaning::Yes => self.yes = true,
            Meaning::No | Meaning::Unattended => self.no = true,
            Meaning::Output => self.output = given.value.clone().map(Output::from),
            Meaning::LocalUser => self.users.push(given.text()),
            Meaning::DefaultKey => self.default_key = Some(given.text()),
            Meaning::DigestAlgo => self.hash = Some(hash(&given.text())?),
            Meaning::PassphraseFd => self.passphrase_from_stdin |= given.text().parse() == Ok(0),
            Meaning::Refused(why) => return Err(refused(&given.spelt, why)),
            Meaning::Sign
            | Meaning::NotOurs
            | Meaning::Version
            | Meaning::Help
            | Meaning::StatusFd
            | Meaning::StatusFile
            | Meaning::Ignored(_) => {}
        }
        Ok(())
    }

    /// A cleartext signature wins over a detached one, as in gpg: both are kinds of `--sign`.
    fn shape(&self) -> Result<Shape, Failure> {
        let encoding = if self.armor { Encoding::Armor } else { Encoding::Binary };
        let content = if self.text { Content::Text } else { Content::Binary };
        match (self.clear, self.detach, content) {
            (true, ..) => Ok(Shape::Clear),
            (_, true, content) => Ok(Shape::Detached(encoding, content)),
            (.., Content::Binary) => Ok(Shape::Inline(encoding)),
            (.., Content::Text) => Err(refused(
                "--textmode",
                "a message is signed as it is; a detached or cleartext signature can be of text",
            )),
        }
    }

    fn signer(&mut self) -> Result<Signer, Failure> {
        self.users.dedup();
        match self.users.as_slice() {
            [] => Ok(self.default_key.take().map_or(Signer::Default, Signer::Named)),
            [user] => Ok(Signer::Named(user.clone())),
            users => Err(refused(
                &format!("--local-user {}", users.join(" --local-user ")),
                "one signature is made at a time",
            )),
        }
    }
}

fn input(files: Vec<OsString>, shape: Shape) -> Result<Input, Failure> {
    let mut files = files.into_iter();
    let first = files.next().map_or(Input::Stdin, Input::from);
    match (files.next(), shape) {
        (None, _) => Ok(first),
        (Some(_), Shape::Detached(..)) => Err(usage(
            "several files, one behind the other, are not signed as one".into(),
        )
        .hint(
            "name one file, after all options; `chancery sign openpgp FILE...` signs many, each on its own",
        )),
        (Some(second), _) => Err(usage(format!("`{}` is one file too many", second.to_string_lossy()))
            .hint("name one file, after all options")),
    }
}

/// A hash as gpg names it: `SHA256`, or `H8` by its number (RFC 9580, section 9.5).
fn hash(name: &str) -> Result<Hash, Failure> {
    match name.to_ascii_uppercase().as_str() {
        "SHA256" | "H8" => Ok(Hash::Sha256),
        "SHA384" | "H9" => Ok(Hash::Sha384),
        "SHA512" | "H10" => Ok(Hash::Sha512),
        _ => Err(usage(format!("the digest algorithm `{}` is not signed with", name.escape_default()))
            .hint("SHA256, SHA384 and SHA512 are")),
    }
}

fn complaint(wrong: &Wrong) -> Failure {
    match wrong {
        Wrong::Unknown(word) => usage(format!("`{word}` is no option of gpg")),
        Wrong::Ambiguous(word, names) => usage(format!("`{word}` can mean --{}", names.join(", --"))),
        Wrong::ValueMissing(word) => usage(format!("`{word}` lacks its value")),
    }
}

fn refused(option: &str, why: &str) -> Failure {
    usage(format!("`{option}` is not supported: {why}"))
}

fn usage(error: String) -> Failure {
    Failure::new(Exit::Usage, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> Result<Work, Failure> {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        understand(&words).1
    }

    #[track_caller]
    fn asked(line: &str) -> Request {
        match understood(line) {
            Ok(Work::Sign(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    const BINARY: Shape = Shape::Detached(Encoding::Binary, Content::Binary);

    #[test]
    fn git_asks_for_an_armored_detached_signature() {
        let request = asked("--status-fd=2 -bsau KEY");
        assert_eq!(request.shape, Shape::Detached(Encoding::Armor, Content::Binary));
        assert_eq!(request.signer, Signer::Named("KEY".into()));
        assert_eq!((request.input, request.output), (Input::Stdin, None));
    }

    #[test]
    fn rpmsign_asks_for_a_binary_detached_signature_in_a_file() {
        let request = asked("--no-armor --digest-algo=sha512 -u k -sbo t.rpm.sig -- -");
        assert_eq!((request.shape, request.hash), (BINARY, Some(Hash::Sha512)));
        assert_eq!(request.output, Some(Output::File("t.rpm.sig".into())));
        assert_eq!(request.existing, Existing::Ask);
    }

    #[test]
    fn the_shape_follows_from_commands_and_armor() {
        let text = Shape::Detached(Encoding::Binary, Content::Text);
        for (line, shape) in [
            ("-s", Shape::Inline(Encoding::Binary)),
            ("-sa", Shape::Inline(Encoding::Armor)),
            ("-a --no-armor -b", BINARY),
            ("-bt", text),
            ("--clearsign -b --textmode", Shape::Clear),
            ("--detach-signature", BINARY),
        ] {
            assert_eq!(asked(line).shape, shape, "{line}");
        }
    }

    #[test]
    fn what_does_not_sign_is_handed_over_whatever_else_is_wrong() {
        for line in [
            "--verify a.asc",
            "-k",
            "--bogus",
            "--verify --bogus",
            "",
            "file",
            "--list",
            "--export -a k",
            "-e -r x f",
        ] {
            assert_eq!(understood(line), Ok(Work::HandOver), "{line}");
        }
        assert_eq!(understood("-b --version"), Ok(Work::Version));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (line, word) in [
            ("-se -r x", "`-e`"),
            ("-b --sig-notation a@b=c", "`--sig-notation`"),
            ("-b -n", "`-n`"),
            ("-b -u a -u b", "--local-user a --local-user b"),
            ("-b --digest-algo SHA1", "`SHA1`"),
            ("-b a b", "several files"),
            ("-s a b", "`b`"),
            ("-sat f", "--textmode"),
            ("-b --passphrase-fd 00", "--passphrase-fd 0"),
            ("-b --bogus", "`--bogus`"),
            ("-b --status-fd x", "`--status-fd`"),
        ] {
            let failure = understood(line).unwrap_err();
            assert!(failure.error.contains(word), "{line}: {}", failure.error);
            assert_eq!(failure.exit, Exit::Usage, "{line}");
        }
        asked("-b --passphrase-fd 0 file");
        asked("-b -u a -u a");
    }

    #[test]
    fn existing_files_are_asked_about_unless_told() {
        for (line, existing) in [
            ("-b", Existing::Ask),
            ("-b --batch", Existing::Keep),
            ("-b --no", Existing::Keep),
            ("-b --no-tty", Existing::Keep),
            ("-b --command-fd 5", Existing::Keep),
            ("-b --batch --yes", Existing::Replace),
            ("-b --batch --no-batch", Existing::Ask),
        ] {
            assert_eq!(asked(line).existing, existing, "{line}");
        }
    }

    #[test]
    fn status_lines_go_to_a_descriptor_or_a_file() {
        let to = |line: &str| understand(&[OsString::from(line)]).0;
        assert_eq!(to("--status-fd=7"), Some(StatusTo::Descriptor(7)));
        assert_eq!(to("--status-file=s"), Some(StatusTo::File("s".into())));
        assert_eq!(to("--status-fd=-1"), None);
    }
}
