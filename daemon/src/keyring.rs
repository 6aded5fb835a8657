//! From a key's name to its object in a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use chancery_protocol::{Algorithm, KeyName, PublicKey};
use tokio::sync::OnceCell;

use crate::policy::Policy;
use crate::token::{Token, TokenError};

/// Every key of the policy in force, each with its token.
#[derive(Default)]
pub struct Keyring {
    keys: BTreeMap<KeyName, Arc<Keyed>>,
}

/// A key in its token.
pub struct Keyed {
    token: Token,
    object: Arc<str>,
    public: OnceCell<Public>,
}

/// What the token told about a key, once.
#[derive(Debug, Clone)]
pub struct Public {
    /// What kind of key it is.
    pub algorithm: Algorithm,
    /// DER of the SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
}

impl Public {
    /// Sums up a public key.
    pub fn of(key: &PublicKey) -> Result<Self, TokenError> {
        let unsupported = || TokenError::Request("the key's type, curve or size is not supported".to_owned());
        let algorithm = key.algorithm().ok_or_else(unsupported)?;
        Ok(Self { algorithm, spki: key.to_spki().map_err(|_| unsupported())? })
    }
}

/// A key that lies in no token of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("key `{key}`: {why}")]
pub struct Homeless {
    key: KeyName,
    why: String,
}

impl Keyring {
    /// Finds every key's token. What `before` knows of keys that have not moved is kept.
    pub fn of(policy: &Policy, tokens: &[Token], before: &Self) -> Result<Self, Homeless> {
        let mut keys = BTreeMap::new();
        for key in policy.keys() {
            let uri = &key.file.uri;
            let mut home = tokens.iter().filter(|token| uri.lies_in(token.uri()));
            let why = match (home.next(), home.next()) {
                (Some(token), None) => {
                    let object: Arc<str> = Arc::from(uri.to_string());
                    let known = before
                        .keys
                        .get(&key.name)
                        .filter(|known| known.object == object && known.token.name() == token.name());
                    let keyed = known.cloned().unwrap_or_else(|| {
                        Arc::new(Keyed { token: token.clone(), object, public: OnceCell::new() })
                    });
                    keys.insert(key.name.clone(), keyed);
                    continue;
                }
                (None, _) => format!("no [token.…] of the configuration fits its uri {uri}"),
                (Some(one), Some(other)) => {
                    format!(
                        "its uri {uri} fits both token `{}` and token `{}`; add `token=`",
                        one.name(),
                        other.name()
                    )
                }
            };
            return Err(Homeless { key: key.name.clone(), why });
        }
        Ok(Self { keys })
    }

    /// The key of this name.
    pub fn key(&self, name: &KeyName) -> Option<&Arc<Keyed>> {
        self.keys.get(name)
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Keyed>> {
        self.keys.values()
    }
}

impl Keyed {
    /// The token that holds it.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The object's URI, as workers are told it.
    pub fn object(&self) -> &Arc<str> {
        &self.object
    }

    /// What the token tells about it; asked once and kept.
    pub async fn public(&self) -> Result<&Public, TokenError> {
        let ask = || async { Public::of(&self.token.inspect(&self.object).await?) };
        self.public.get_or_try_init(ask).await
    }

    /// What is known already.
    pub fn known(&self) -> Option<&Public> {
        self.public.get()
    }
}
