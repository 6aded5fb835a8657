//! SSH signatures by a key of the daemon, for `chancery sign ssh` and `chancery-ssh-keygen`.

use std::io;
use std::path::Path;

use chancery_formats::ssh::{self, Error, MessageHash, Namespace, SigningKey};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;
use chancery_protocol::{Format, Scheme};

use crate::args::{Global, Input};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::blocking;
use crate::key::Key;
use crate::signer::{Artifact, Signer, artifact_name};

/// What all files of a run share.
#[derive(Clone)]
pub(crate) struct SshSigner {
    signer: Signer,
    key: SigningKey,
    namespace: Namespace,
    hash: MessageHash,
}

impl SshSigner {
    /// Signatures by `key`, if it may make them.
    pub(crate) fn new(
        client: Client<Agent>,
        key: &Key,
        namespace: Namespace,
        hash: MessageHash,
        global: &Global,
    ) -> Result<Self, Failure> {
        let name = &key.name;
        let signing_key = key.ssh()?;
        key.serves(Format::Ssh, signing_key.scheme()).map_err(|failure| match signing_key.scheme() {
            Scheme::Ed25519 => failure.hint(format!(
                "SSH has Ed25519 keys sign messages: the operator sets `inputs = [\"digest\", \"message\"]` in keys.d/{name}.toml"
            )),
            _ => failure,
        })?;
        let signer = Signer::new(client, name.clone(), Format::Ssh, global.build_id.as_deref());
        Ok(Self { signer, key: signing_key, namespace, hash })
    }

    /// The name of the key that signs.
    pub(crate) fn name(&self) -> &str {
        self.signer.key().as_str()
    }

    /// The key that signs.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The armored signature over what `input` holds: hashed on a thread, signed by the daemon.
    pub(crate) async fn sign(&self, input: Input) -> Result<String, Failure> {
        let path = input.shown().to_owned();
        let artifact = artifact_name(&path);
        let pending = blocking({
            let (job, path) = (self.clone(), path.clone());
            move || {
                let data = input.open().map_err(Error::Read);
                data.and_then(|data| ssh::sign(&job.key, &job.namespace, job.hash, data))
                    .map_err(|error| failure(&path, &error))
            }
        });
        let pending = pending.await?;
        let artifact = Artifact { name: &artifact, digest: Some(pending.message_digest()) };
        let raw = self.signer.sign_input(artifact, pending.scheme(), pending.input()).await?;
        let signature = pending.finish(&raw).map_err(|error| failure(&path, &error))?;
        Ok(ssh::armor(&signature))
    }
}

/// What went wrong with a signature, with the path and the next step.
fn failure(path: &Path, error: &Error) -> Failure {
    match error {
        Error::Read(source) if source.kind() == io::ErrorKind::IsADirectory => {
            Failure::new(Exit::BadArtifact, format!("{}: is a directory", path.display()))
                .hint("name the files in it")
        }
        Error::Read(source) => Failure::file("read", path, source),
        _ => Failure::new(Exit::Failed, format!("{}: {}", path.display(), chain(error))),
    }
}
