//! A key as other tools' command lines have it: a name, a `pkcs11:` URI, or, where a build system wants a file, the
//! certificate of the key.

mod pkcs11_uri;

use std::ffi::OsStr;
use std::path::Path;

use chancery_formats::x509::Certificate;
use chancery_protocol::agent::Agent;
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::{KeyName, Reason};

use self::pkcs11_uri::{SCHEME, Uri};
use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::Key;
use crate::module::small;

/// The word for a key on the command line of a stand-in.
#[derive(Clone, Copy)]
pub(crate) struct KeyArgument<'a> {
    /// The word.
    pub(crate) word: &'a OsStr,
    /// The certificate that is named beside it, if one is.
    pub(crate) certificate: Option<&'a Certificate>,
    /// The stand-in, for messages.
    pub(crate) program: &'a str,
}

/// The key that the command line means.
pub(crate) async fn resolve(client: &Client<Agent>, argument: KeyArgument<'_>) -> Result<Key, Failure> {
    let text = argument.word.to_str();
    if let Some(uri) = text.filter(|text| text.starts_with(SCHEME)) {
        return of_uri(client, uri).await;
    }
    let path = Path::new(argument.word);
    let name = text.and_then(|text| text.parse::<KeyName>().ok());
    if let Some(name) = name {
        // A key's name counts even where a file is called so too.
        match client.describe(&name).await {
            Ok(described) => return Key::of(described),
            Err(ClientError::Refused(refusal))
                if refusal.reason() == Reason::NotPermitted && path.is_file() => {}
            Err(error) => return Err(daemon::failure(error, &Asked::about(&name))),
        }
    }
    if path.exists() { of_file(client, path, argument).await } else { Err(not_a_key(argument.word)) }
}

async fn of_uri(client: &Client<Agent>, text: &str) -> Result<Key, Failure> {
    let bad =
        |why: String| Failure::new(Exit::Failed, format!("`{text}` is not a usable PKCS#11 URI: {why}"));
    let uri = Uri::parse(text).map_err(bad)?;
    // Where the daemon shows a key's URI, it decides; otherwise the object's label is the key's name.
    let named = uri.object().and_then(|object| object.parse::<KeyName>().ok());
    if let Some(name) = &named {
        match client.describe(name).await {
            Ok(described) => {
                let key = Key::of(described)?;
                let shown = key.uri.as_deref().and_then(|shown| Uri::parse(shown).ok());
                if shown.is_none_or(|shown| uri.fits(&shown)) {
                    return Ok(key);
                }
            }
            Err(ClientError::Refused(refusal)) if refusal.reason() == Reason::NotPermitted => {}
            Err(error) => return Err(daemon::failure(error, &Asked::about(name))),
        }
    }
    let fits = |key: &Key| {
        let shown = key.uri.as_deref().and_then(|shown| Uri::parse(shown).ok());
        shown.is_some_and(|shown| uri.fits(&shown))
    };
    let found = find(client, fits).await?;
    found.ok_or_else(|| {
        Failure::new(Exit::Refused, format!("no key that you may use fits `{text}`"))
            .hint("`chancery keys` lists yours; give a name, or `pkcs11:object=NAME`")
    })
}

/// What a file says of the key. A certificate is as good as a name: the kernel's configuration
/// (`CONFIG_MODULE_SIG_KEY`) takes no name, but a file with nothing else in it.
async fn of_file(client: &Client<Agent>, path: &Path, argument: KeyArgument<'_>) -> Result<Key, Failure> {
    let bytes = small(path)?;
    let private = PRIVATE.as_bytes();
    let is_private = bytes.windows(private.len()).any(|window| window == private);
    let own = if is_private { None } else { Certificate::parse(&bytes).ok() };
    let told = |hint: String| {
        let what = if is_private { "holds a private key" } else { "is a file" };
        let error =
            format!("{}: {what}, and {} signs with a key in a token", path.display(), argument.program);
        Err(Failure::new(Exit::Failed, error).hint(hint))
    };
    let Some(certificate) = argument.certificate.or(own.as_ref()) else {
        return told("give the name of a key in its place; `chancery keys` lists yours".to_owned());
    };
    let subject = certificate.subject().common_name();
    let same = own.as_ref().is_some_and(|own| own.public_key() == certificate.public_key());
    match find(client, |key| key.public == *certificate.public_key()).await? {
        Some(key) if same => Ok(key),
        Some(key) => told(format!(
            "the certificate of `{subject}` belongs to key `{0}`: give `{0}` in place of the file",
            key.name
        )),
        None => told(format!(
            "give the name of a key (`chancery keys`) and its certificate; that of `{subject}` belongs to none of yours"
        )),
    }
}

/// What PEM of a private key has in its first line, whatever its kind (RFC 7468, section 10).
const PRIVATE: &str = "PRIVATE KEY-----";

/// The first key of this user of which `is_meant` is true.
async fn find(client: &Client<Agent>, is_meant: impl Fn(&Key) -> bool) -> Result<Option<Key>, Failure> {
    let keys = client.keys().await.map_err(|error| daemon::failure(error, &Asked::agent()))?;
    for key in keys {
        // One whose token is away, or of a kind from the future, is not the one.
        let Ok(described) = client.describe(&key.name).await else { continue };
        let Ok(key) = Key::of(described) else { continue };
        if is_meant(&key) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn not_a_key(argument: &OsStr) -> Failure {
    Failure::new(
        Exit::Failed,
        format!(
            "`{}` is neither the name of a key, nor a PKCS#11 URI, nor a file",
            argument.to_string_lossy()
        ),
    )
    .hint("`chancery keys` lists the keys that you may use")
}
