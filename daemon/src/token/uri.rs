//! PKCS#11 URIs (RFC 7512): which token, and which object in it.
//!
//! Our own parser, because the one on the crate registry (`pk11-uri-parser`) neither decodes percent-encoding nor keeps
//! from printing. Query attributes are refused: a PIN or a module does not belong into a key's name.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A parsed URI. Absent attributes match anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Uri {
    /// `token`: CK_TOKEN_INFO's label.
    pub token: Option<String>,
    /// `serial`: its serial number.
    pub serial: Option<String>,
    /// `manufacturer`.
    pub manufacturer: Option<String>,
    /// `model`.
    pub model: Option<String>,
    /// `object`: CKA_LABEL.
    pub object: Option<String>,
    /// `id`: CKA_ID.
    pub id: Option<Vec<u8>>,
}

/// A text that is no PKCS#11 URI that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{uri}` is not a usable PKCS#11 URI (RFC 7512): {why}")]
pub struct BadUri {
    uri: String,
    why: String,
}

/// Longest URI, in bytes.
const MAX_LEN: usize = 1024;

impl Uri {
    /// Whether it narrows the token at all.
    pub fn names_a_token(&self) -> bool {
        self.token.is_some() || self.serial.is_some() || self.manufacturer.is_some() || self.model.is_some()
    }

    /// Whether it names an object.
    pub fn names_an_object(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }

    /// Whether an object with this URI lies in a token with the URI `token`: whatever both say is the same.
    pub fn lies_in(&self, token: &Self) -> bool {
        fn agree(a: Option<&String>, b: Option<&String>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        agree(self.token.as_ref(), token.token.as_ref())
            && agree(self.serial.as_ref(), token.serial.as_ref())
            && agree(self.manufacturer.as_ref(), token.manufacturer.as_ref())
            && agree(self.model.as_ref(), token.model.as_ref())
    }
}

impl FromStr for Uri {
    type Err = BadUri;

    fn from_str(text: &str) -> Result<Self, BadUri> {
        let bad = |why: &str| BadUri { uri: text.chars().take(80).collect(), why: why.to_owned() };
        if text.len() > MAX_LEN {
            return Err(bad("it is too long"));
        }
        let path = text.strip_prefix("pkcs11:").ok_or_else(|| bad("it does not begin with `pkcs11:`"))?;
        if path.contains('?') {
            return Err(bad("it has a query; the module and the PIN are settings of the token"));
        }
        let mut uri = Self::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            let (name, value) =
                attribute.split_once('=').ok_or_else(|| bad(&format!("`{attribute}` has no value")))?;
            let bytes =
                decode(value).ok_or_else(|| bad(&format!("`{name}` has a broken percent-encoding")))?;
            if name == "id" {
                if uri.id.replace(bytes).is_some() {
                    return Err(bad("`id` stands twice"));
                }
                continue;
            }
            let value = String::from_utf8(bytes).map_err(|_| bad(&format!("`{name}` is not UTF-8")))?;
            let field = match name {
                "token" => &mut uri.token,
                "serial" => &mut uri.serial,
                "manufacturer" => &mut uri.manufacturer,
                "model" => &mut uri.model,
                "object" => &mut uri.object,
                "type" if value == "private" => continue,
                "type" => return Err(bad("its type is not `private`")),
                _ => return Err(bad(&format!("`{name}` is not used here"))),
            };
            if field.replace(value).is_some() {
                return Err(bad(&format!("`{name}` stands twice")));
            }
        }
        Ok(uri)
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (pair, tail) = rest.split_at_checked(2)?;
        let mut decoded = [0];
        hex::decode_to_slice(pair, &mut decoded).ok()?;
        out.push(decoded[0]);
        rest = tail;
    }
    Some(out)
}

/// The characters that RFC 7512, section 2.3, lets stand in a path attribute.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&byte)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("token", self.token.as_deref()),
            ("serial", self.serial.as_deref()),
            ("manufacturer", self.manufacturer.as_deref()),
            ("model", self.model.as_deref()),
            ("object", self.object.as_deref()),
        ];
        let mut separator = "pkcs11:";
        for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            write!(f, "{separator}{name}=")?;
            for byte in value.bytes() {
                if is_plain(byte) { write!(f, "{}", char::from(byte))? } else { write!(f, "%{byte:02X}")? }
            }
            separator = ";";
        }
        if let Some(id) = &self.id {
            write!(f, "{separator}id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            separator = ";";
        }
        if self.names_an_object() { write!(f, "{separator}type=private") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Uri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_read_and_decoded() {
        let uri: Uri = "pkcs11:token=my%20token;object=key;id=%01%ff;type=private".parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("my token"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
        assert_eq!(uri.to_string(), "pkcs11:token=my%20token;object=key;id=%01%FF;type=private");
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for bad in [
            "",
            "token=x",
            "pkcs11:token",
            "pkcs11:token=%4",
            "pkcs11:token=%zz",
            "pkcs11:token=a;token=b",
            "pkcs11:object=x?pin-value=1234",
            "pkcs11:type=public;object=x",
            "pkcs11:x-vendor=1",
            "pkcs11:token=%ff",
        ] {
            assert!(bad.parse::<Uri>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives_its_uri(token in ".{0,40}", object in ".{0,40}", id in prop::collection::vec(any::<u8>(), 0..20)) {
            let uri = Uri { token: Some(token), object: Some(object), id: Some(id), ..Uri::default() };
            prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
        }
    }
}
