//! gpg's way to read a command line: clustered short options, abbreviated long ones, and files from the first word on
//! that is no option.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::options::{self, Entry, Meaning, Takes};

/// An option as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// As the user wrote it, for messages: `-u`, `--local-user`.
    pub(super) spelt: String,
    pub(super) meaning: Meaning,
    pub(super) value: Option<OsString>,
}

impl Given {
    /// The value as text.
    pub(super) fn text(&self) -> String {
        self.value.as_deref().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What is wrong with a word of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    Unknown(String),
    Ambiguous(String, Vec<&'static str>),
    ValueMissing(String),
}

/// A command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Arguments {
    pub(super) given: Vec<Given>,
    pub(super) files: Vec<OsString>,
    /// The first thing that is wrong. What follows was read all the same: it may hold a command that is not ours, and
    /// then the complaint is not ours either.
    pub(super) wrong: Option<Wrong>,
}

/// Takes the words behind the program's name apart.
pub(super) fn read(words: &[OsString]) -> Arguments {
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            break;
        }
        let read = match bytes {
            [b'-', b'-', long @ ..] => read_long(long, &mut words, &mut arguments.given),
            [b'-', _, ..] => read_cluster(&bytes[1..], &mut words, &mut arguments.given),
            _ => {
                arguments.files.push(word.clone());
                break;
            }
        };
        if let Err(wrong) = read {
            arguments.wrong.get_or_insert(wrong);
        }
    }
    arguments.files.extend(words.cloned());
    arguments
}

/// The words that are not read yet.
type Rest<'a> = std::slice::Iter<'a, OsString>;

fn read_long(word: &[u8], rest: &mut Rest<'_>, given: &mut Vec<Given>) -> Result<(), Wrong> {
    let (name, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let name = String::from_utf8_lossy(name);
    let entry = find(&name)?;
    let spelt = format!("--{}", entry.name);
    let value = match (entry.takes, value) {
        // gpg does not look at a value where it expects none.
        (Takes::Nothing, _) => None,
        (_, Some([])) => return Err(Wrong::ValueMissing(spelt)),
        (_, Some(value)) => Some(OsString::from_vec(value.to_vec())),
        (Takes::Value, None) => Some(rest.next().ok_or_else(|| Wrong::ValueMissing(spelt.clone()))?.clone()),
        (Takes::MaybeValue, None) => {
            let is_option = |word: &&OsString| word.as_bytes().first() == Some(&b'-');
            rest.clone().next().filter(|word| !is_option(word)).and_then(|_| rest.next()).cloned()
        }
    };
    given.push(Given { spelt, meaning: entry.meaning, value });
    Ok(())
}

fn read_cluster(cluster: &[u8], rest: &mut Rest<'_>, given: &mut Vec<Given>) -> Result<(), Wrong> {
    for (at, byte) in cluster.iter().enumerate() {
        let letter = char::from(*byte);
        let spelt = format!("-{}", letter.escape_default());
        let entry = options::long(letter).and_then(|name| options::all().find(|entry| entry.name == name));
        let entry = entry.ok_or_else(|| Wrong::Unknown(spelt.clone()))?;
        if entry.takes == Takes::Nothing {
            given.push(Given { spelt, meaning: entry.meaning, value: None });
            continue;
        }
        // What is left of the word, or the next one.
        let value = match &cluster[at + 1..] {
            [] => rest.next().cloned(),
            left => Some(OsStr::from_bytes(left).to_owned()),
        };
        let value = Some(value.ok_or_else(|| Wrong::ValueMissing(spelt.clone()))?);
        given.push(Given { spelt, meaning: entry.meaning, value });
        return Ok(());
    }
    Ok(())
}

/// The option of this name, or the only one that begins so.
fn find(name: &str) -> Result<Entry, Wrong> {
    let begin: Vec<_> = options::all().filter(|entry| entry.name.starts_with(name)).collect();
    if let Some(exact) = begin.iter().find(|entry| entry.name == name) {
        return Ok(*exact);
    }
    let spelt = || format!("--{}", name.escape_default());
    let first = *begin.first().ok_or_else(|| Wrong::Unknown(spelt()))?;
    let same = match first.meaning {
        Meaning::Ignored(_) | Meaning::Refused(_) => begin.len() == 1,
        meaning => begin.iter().all(|entry| entry.meaning == meaning),
    };
    if same {
        return Ok(first);
    }
    Err(Wrong::Ambiguous(spelt(), begin.iter().map(|entry| entry.name).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
    }

    /// Each option as `spelt` or `spelt=value`, then the files behind `|`.
    fn told(line: &str) -> String {
        let arguments = read(&words(line));
        assert_eq!(arguments.wrong, None, "{line}");
        let value = |given: &Given| given.value.as_ref().map(|_| format!("={}", given.text()));
        let given = arguments.given.iter().map(|one| one.spelt.clone() + &value(one).unwrap_or_default());
        let files = arguments.files.iter().map(|file| file.to_string_lossy().into_owned());
        let [given, files] = [given.collect::<Vec<_>>(), files.collect()].map(|list| list.join(" "));
        format!("{given} | {files}")
    }

    #[test]
    fn command_lines_of_real_callers_are_taken_apart_as_gpg_does() {
        for (line, expected) in [
            ("--status-fd=2 -bsau KEY", "--status-fd=2 -b -s -a -u=KEY | "),
            (
                "--no-verbose --no-armor --no-secmem-warning --digest-algo=sha256 -u a@b -sbo t.rpm.sig -- -",
                "--no-verbose --no-armor --no-secmem-warning --digest-algo=sha256 -u=a@b -s -b -o=t.rpm.sig | -",
            ),
            ("-buKEY -- -x y", "-b -u=KEY | -x y"),
            ("--openpgp --detach-sign --default-key K", "--openpgp --detach-sign --default-key=K | "),
            ("-b f -u K", "-b | f -u K"),
            ("-ab -", "-a -b | -"),
            ("--passphrase --batch -b", "--passphrase --batch -b | "),
            ("--passphrase x -b", "--passphrase=x -b | "),
            ("-o -- -b", "-o=-- -b | "),
            ("--batch=yes -b", "--batch -b | "),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    #[test]
    fn a_long_option_may_be_cut_where_nothing_else_begins_so() {
        let meaning = |word: &str| find(word).map(|entry| entry.meaning);
        assert_eq!(meaning("cl"), Ok(Meaning::ClearSign));
        assert_eq!(meaning("det"), Ok(Meaning::DetachSign));
        assert_eq!(meaning("sign"), Ok(Meaning::Sign));
        assert_eq!(meaning("arm"), Ok(Meaning::Armor));
        assert_eq!(meaning("local"), Ok(Meaning::LocalUser));
        assert_eq!(meaning("verify-f"), Ok(Meaning::NotOurs));
        for ambiguous in ["sig", "v", "no-a", "passphrase-f"] {
            assert!(matches!(meaning(ambiguous), Err(Wrong::Ambiguous(..))), "{ambiguous}");
        }
        assert_eq!(meaning("bogus"), Err(Wrong::Unknown("--bogus".into())));
    }

    #[test]
    fn the_first_fault_is_kept_and_the_rest_is_read() {
        let read = read(&words("--bogus -b --output"));
        assert_eq!(read.wrong, Some(Wrong::Unknown("--bogus".into())));
        assert_eq!(read.given.len(), 1);
        let faults = [
            ("-u", Wrong::ValueMissing("-u".into())),
            ("--status-fd=", Wrong::ValueMissing("--status-fd".into())),
            ("-bX", Wrong::Unknown("-X".into())),
        ];
        for (line, wrong) in faults {
            assert_eq!(super::read(&words(line)).wrong, Some(wrong), "{line}");
        }
    }
}
