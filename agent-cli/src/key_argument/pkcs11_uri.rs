//! What a PKCS#11 URI (RFC 7512) says of an object, as far as it takes to find a key by it.

use std::collections::BTreeMap;

/// The attributes of a URI's path, decoded. What stands behind `?` (PIN, module) is for whoever opens the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uri(BTreeMap<String, Vec<u8>>);

impl Uri {
    /// Reads a URI; says what is wrong with one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix(SCHEME).ok_or_else(|| format!("it does not begin with `{SCHEME}`"))?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut attributes = BTreeMap::new();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) =
                attribute.split_once('=').ok_or_else(|| format!("`{attribute}` has no `=`"))?;
            if attributes.insert(name.to_owned(), decoded(value)?).is_some() {
                return Err(format!("`{name}` stands in it twice"));
            }
        }
        Ok(Self(attributes))
    }

    /// The label of the object.
    pub(super) fn object(&self) -> Option<&str> {
        self.0.get("object").and_then(|object| str::from_utf8(object).ok())
    }

    /// Whether a key with the URI `other` can be meant: what both say is the same, and they say something in common
    /// that tells one key from others.
    pub(super) fn fits(&self, other: &Self) -> bool {
        // A certificate and its private key share all but this.
        let told = |name: &&String| *name != "type";
        let same = |name: &String| other.0.get(name).is_none_or(|value| self.0.get(name) == Some(value));
        let telling = |name: &str| self.0.contains_key(name) && other.0.contains_key(name);
        self.0.keys().filter(told).all(same) && (telling("object") || telling("id"))
    }
}

/// What PKCS#11 URIs begin with.
pub(super) const SCHEME: &str = "pkcs11:";

/// Percent-decoding (RFC 3986, section 2.1).
fn decoded(value: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("`{value}` has a percent sign without two hexadecimal digits");
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(bad);
        if byte == b'%' {
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            // Two hexadecimal digits make a byte.
            bytes.push(u8::try_from(high << 4 | low).map_err(|_| bad())?);
        } else {
            bytes.push(byte);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    #[test]
    fn the_object_is_found_decoded_and_the_query_left_alone() {
        assert_eq!(uri("pkcs11:token=My%20Token;object=rel%65ase?pin-value=1;2").object(), Some("release"));
        assert_eq!(uri("pkcs11:").object(), None);
    }

    #[test]
    fn a_key_is_meant_if_nothing_contradicts_and_something_tells_it() {
        let key = uri("pkcs11:token=hsm;object=release;type=private");
        for meant in [
            "pkcs11:object=release",
            "pkcs11:token=hsm;object=release;type=cert",
            "pkcs11:object=release;serial=7",
        ] {
            assert!(uri(meant).fits(&key), "{meant}");
        }
        for other in
            ["pkcs11:object=other", "pkcs11:token=usb;object=release", "pkcs11:token=hsm", "pkcs11:id=%01"]
        {
            assert!(!uri(other).fits(&key), "{other}");
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for bad in ["release", "pkcs11:object", "pkcs11:object=%4", "pkcs11:object=%zz", "pkcs11:id=1;id=2"] {
            assert!(Uri::parse(bad).is_err(), "{bad}");
        }
    }
}
