//! Names of subjects (RFC 5280, section 4.1.2.6), as people write them: RFC 4514, or the slashes of openssl's `-subj`.

use std::fmt;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;
use der::{Any, Decode, Encode, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use super::Error;
use super::error::library;

/// The name of a certificate's subject; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Name);

impl Subject {
    pub(crate) fn of(name: Name) -> Self {
        Self(name)
    }

    pub(super) const fn name(&self) -> &Name {
        &self.0
    }

    /// The common name, or else the whole name.
    pub fn common_name(&self) -> String {
        match self.0.common_name() {
            Ok(Some(name)) => name.value().into_owned(),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: String| Error::Subject { found: text.chars().take(MAX_SHOWN).collect(), why };
        // DER has the widest part first. RFC 4514, section 2.1 writes it last; openssl writes it as it stands.
        let parts: Vec<Vec<Part<'_>>> = match text.strip_prefix('/') {
            Some(slashed) => split(slashed, '/')
                .into_iter()
                .map(|part| split(part, '+').into_iter().map(Part::Slashed).collect())
                .collect(),
            None => split(text, ',')
                .into_iter()
                .rev()
                .map(|part| split(part, '+').into_iter().map(Part::Rfc4514).collect())
                .collect(),
        };
        let what = "write a subject";
        let mut names = RdnSequence::default();
        for part in parts {
            let mut name = RelativeDistinguishedName::default();
            for attribute in part {
                let attribute = attribute.parse().map_err(bad)?;
                if name.iter().any(|other| other.oid == attribute.oid) {
                    return Err(bad("has an attribute twice between two plus signs".to_owned()));
                }
                name.insert(attribute).map_err(library(what))?;
            }
            names.push(name);
        }
        let der = names.to_der().map_err(library(what))?;
        Ok(Self(Name::from_der(&der).map_err(library(what))?))
    }
}

/// How much of a wrong subject an error shows, in characters.
const MAX_SHOWN: usize = 100;
/// ub-common-name and its like (RFC 5280, appendix A.1); OpenSSL makes none longer.
const MAX_VALUE: usize = 64;

/// The attributes that have a name here (RFC 4514, section 3, and RFC 5280, section 4.1.2.4); others go by their numbers.
const ATTRIBUTES: [(&str, ObjectIdentifier); 13] = [
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("C", COUNTRY),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
    ("DC", DOMAIN_COMPONENT),
    ("UID", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1")),
    ("emailAddress", EMAIL_ADDRESS),
    ("serialNumber", SERIAL_NUMBER),
    ("GN", ObjectIdentifier::new_unwrap("2.5.4.42")),
    ("SN", ObjectIdentifier::new_unwrap("2.5.4.4")),
];
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const DOMAIN_COMPONENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// `TYPE=value`, and the rules by which its value is escaped.
enum Part<'a> {
    Rfc4514(&'a str),
    Slashed(&'a str),
}

impl Part<'_> {
    fn parse(&self) -> Result<AttributeTypeAndValue, String> {
        let (Self::Rfc4514(text) | Self::Slashed(text)) = self;
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("has a part without `=`: `{}`", text.trim()))?;
        let name = name.trim();
        let oid = oid(name)?;
        let value = match self {
            Self::Rfc4514(_) => rfc_4514(value)?,
            Self::Slashed(_) => slashed(value)?,
        };
        let tag = tag(oid, name, &value)?;
        let value =
            Any::new(tag, value.as_bytes()).map_err(|error| format!("cannot hold `{value}`: {error}"))?;
        Ok(AttributeTypeAndValue { oid, value })
    }
}

fn oid(name: &str) -> Result<ObjectIdentifier, String> {
    let known = ATTRIBUTES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, oid)| *oid);
    let known = known.or_else(|| name.contains('.').then(|| ObjectIdentifier::new(name).ok()).flatten());
    known.ok_or_else(|| {
        let names = ATTRIBUTES.map(|(name, _)| name).join(", ");
        format!("has an attribute `{name}`, which is none of {names}, nor a number such as 2.5.4.15")
    })
}

/// The kind of string that RFC 5280, section 4.1.2.4 and appendix A.1 want, if `value` fits it.
fn tag(oid: ObjectIdentifier, name: &str, value: &str) -> Result<Tag, String> {
    if value.is_empty() {
        return Err(format!("has an empty {name}"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!("has a control character in {name}"));
    }
    if value.chars().count() > MAX_VALUE && oid != EMAIL_ADDRESS {
        return Err(format!("has a {name} of more than {MAX_VALUE} characters"));
    }
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    match oid {
        COUNTRY if value.len() == 2 && value.chars().all(|c| c.is_ascii_uppercase()) => {
            Ok(Tag::PrintableString)
        }
        COUNTRY => Err("has a country that is not of two capital letters, such as DE".to_owned()),
        SERIAL_NUMBER if value.chars().all(printable) => Ok(Tag::PrintableString),
        DOMAIN_COMPONENT | EMAIL_ADDRESS if value.is_ascii() => Ok(Tag::Ia5String),
        SERIAL_NUMBER | DOMAIN_COMPONENT | EMAIL_ADDRESS => {
            Err(format!("has a {name} with characters that cannot stand there"))
        }
        _ => Ok(Tag::Utf8String),
    }
}

/// Splits at every `separator` that no backslash stands before.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[begin..at]);
            begin = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[begin..]);
    parts
}

/// A value without the escapes of RFC 4514, section 3, and without blanks around it that are not escaped.
fn rfc_4514(value: &str) -> Result<String, String> {
    let value = value.trim_start_matches(' ');
    if value.starts_with('#') {
        return Err("has a value in hexadecimal (#...), which is not read; write it as text".to_owned());
    }
    let mut bytes = Vec::new();
    let mut rest = value.chars();
    // How much of the value is certainly no blank at its end.
    let mut kept = 0;
    while let Some(c) = rest.next() {
        if c == '\\' {
            bytes.extend(escape(&mut rest)?.as_bytes());
            kept = bytes.len();
        } else if "\"<>;".contains(c) {
            return Err(format!("has a `{c}` without a backslash before it"));
        } else {
            bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            if c != ' ' {
                kept = bytes.len();
            }
        }
    }
    bytes.truncate(kept);
    String::from_utf8(bytes).map_err(|_| "has a value that is not UTF-8".to_owned())
}

/// What follows a backslash: a special character, or bytes of UTF-8 in hexadecimal.
fn escape(rest: &mut std::str::Chars<'_>) -> Result<String, String> {
    let bad = || "has a backslash before something that needs none".to_owned();
    let mut bytes = Vec::new();
    loop {
        let first = rest.next().ok_or_else(bad)?;
        if bytes.is_empty() && " \"#+,;<=>\\/".contains(first) {
            return Ok(first.to_string());
        }
        let second = rest.next().ok_or_else(bad)?;
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(bad);
        bytes.push(digit(first)? << 4 | digit(second)?);
        if let Ok(text) = String::from_utf8(bytes.clone()) {
            return Ok(text);
        }
        // Further bytes of the same character.
        if bytes.len() > 4 || rest.next() != Some('\\') {
            return Err("has a value that is not UTF-8".to_owned());
        }
    }
}

/// A value without openssl's escapes: a backslash takes the next character as it is.
fn slashed(value: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let c = if c == '\\' { rest.next().ok_or("ends in a backslash")? } else { c };
        text.push(c);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Subject>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn both_spellings_of_a_name_are_the_same_name() {
        let name: Subject = "CN=Example, O=Example Org, C=DE".parse().unwrap();
        assert_eq!(name, "/C=DE/O=Example Org/CN=Example".parse().unwrap());
        assert_eq!(name, "cn=Example,o=Example Org,c=DE".parse().unwrap());
        assert_eq!(name.common_name(), "Example");
        assert_eq!(shown("CN=Example, O=Example Org, C=DE"), "CN=Example,O=Example Org,C=DE");
    }

    #[test]
    fn escapes_are_undone_and_blanks_around_values_dropped() {
        for (text, expected) in [
            (r"CN=Smith\, John", r"CN=Smith\, John"),
            (r"CN=a\+b + OU=c ", r"OU=c+CN=a\+b"),
            (r"CN= a\20", r"CN=a\ "),
            (r"CN=\c3\a4", "CN=ä"),
            (r"/CN=a\/b", "CN=a/b"),
            (r"/CN=C\+\+ Team", r"CN=C\+\+ Team"),
            ("CN=http://example.org/", "CN=http://example.org/"),
            ("CN=x,2.5.4.15=Private", "CN=x,BUSINESSCATEGORY=Private"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "without `=`"),
            ("/", "without `=`"),
            ("Example", "without `=`"),
            ("/CN=C++ Team", "without `=`"),
            ("CN=", "empty CN"),
            ("CN= ", "empty CN"),
            ("CN=a,", "without `=`"),
            ("XY=a", "attribute `XY`"),
            ("sha256=a", "attribute `sha256`"),
            ("CN=a,C=Germany", "two capital letters"),
            ("CN=a\n", "control character"),
            (r"CN=a\q", "backslash"),
            ("CN=a\\", "backslash"),
            ("CN=\"a\"", "without a backslash"),
            (r"CN=\ff", "UTF-8"),
            ("CN=#0c0161", "hexadecimal"),
            ("emailAddress=ä@example.org", "cannot stand there"),
            ("CN=a+CN=a", "twice"),
            (&format!("CN={}", "x".repeat(65)), "more than 64"),
        ] {
            let error = text.parse::<Subject>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
