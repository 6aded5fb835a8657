//! Signatures from the daemon, over one connection that all files share.

use std::path::Path;

use chancery_formats::raw::Input;
use chancery_protocol::agent::{Agent, Context, Sign, SignMessage};
use chancery_protocol::client::Client;
use chancery_protocol::{ByteBuf, Digest, Format, KeyName, Scheme};

use crate::daemon::{Asked, failure};
use crate::failure::Failure;

/// What the audit trail is told of an artifact.
#[derive(Clone, Copy)]
pub(crate) struct Artifact<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// A digest by which it can be found again, where its format has one that is not the signed one.
    pub(crate) digest: Option<&'a Digest>,
}

impl<'a> Artifact<'a> {
    /// An artifact of which only the name is told.
    pub(crate) fn named(name: &'a str) -> Self {
        Self { name, digest: None }
    }
}

/// Asks for signatures by one key over one format.
#[derive(Clone)]
pub(crate) struct Signer {
    client: Client<Agent>,
    key: KeyName,
    format: Format,
    build: String,
}

impl Signer {
    pub(crate) fn new(client: Client<Agent>, key: KeyName, format: Format, build: Option<&str>) -> Self {
        Self { client, key, format, build: build.unwrap_or_default().to_owned() }
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &KeyName {
        &self.key
    }

    /// Raw signatures over digests of one artifact, in their order.
    pub(crate) async fn sign(
        &self,
        artifact: Artifact<'_>,
        scheme: Scheme,
        digests: &[Digest],
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let request = Sign {
            key: self.key.clone(),
            scheme: scheme.code(),
            digests: digests.iter().map(|digest| ByteBuf::from(digest.bytes())).collect(),
            context: self.context(artifact),
            extensions: Vec::new(),
        };
        self.client.sign(request).await.map_err(|error| failure(error, &Asked::about(&self.key)))
    }

    /// The raw signature over one digest, or over a message that the scheme takes whole.
    pub(crate) async fn sign_input(
        &self,
        artifact: Artifact<'_>,
        scheme: Scheme,
        input: &Input,
    ) -> Result<Vec<u8>, Failure> {
        match input {
            Input::Digest(digest) => {
                let raw = self.sign(artifact, scheme, std::slice::from_ref(digest)).await?;
                // A client hands on as many signatures as there were digests.
                Ok(raw.into_iter().next().unwrap_or_default())
            }
            Input::Message(message) => {
                let request = SignMessage {
                    key: self.key.clone(),
                    scheme: scheme.code(),
                    message: ByteBuf::from(message.as_slice()),
                    context: self.context(artifact),
                    extensions: Vec::new(),
                };
                let signed = self.client.sign_message(request).await;
                signed.map_err(|error| failure(error, &Asked::about(&self.key)))
            }
        }
    }

    /// What the audit trail is told.
    fn context(&self, artifact: Artifact<'_>) -> Context {
        Context {
            format: self.format.code(),
            artifact: cut(artifact.name),
            artifact_digest: ByteBuf::from(artifact.digest.map(Digest::bytes).unwrap_or_default()),
            build: self.build.clone(),
        }
    }
}

/// The name of an artifact in the audit trail: the file's own, without its folder.
pub(crate) fn artifact_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// `text` as far as it fits its field.
fn cut(text: &str) -> String {
    let end = (0..=Context::MAX_TEXT.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_named_without_its_folder_and_cut_at_a_character() {
        assert_eq!(artifact_name(Path::new("/srv/a/bash.rpm")), "bash.rpm");
        assert_eq!(cut(&"ä".repeat(300)).len(), Context::MAX_TEXT);
        assert_eq!(cut("bash.rpm"), "bash.rpm");
    }
}
