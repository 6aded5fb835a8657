//! `chancery sign ssh`

use std::fs::File;
use std::io::Write;

use crate::args::{Global, Input, SignSsh};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{Deed, Done, blocking};
use crate::key::Key;
use crate::sources::Sources;
use crate::ssh::SshSigner;
use crate::terminal::Terminal;

/// What is appended to a file's name; ssh-keygen's habit.
const SUFFIX: &str = ".sig";

pub(crate) async fn run(global: &Global, args: SignSsh, terminal: &Terminal) -> Result<Exit, Failure> {
    let what = Sources::of(&args.files, args.output.as_ref())?;
    what.reserve_stdout(terminal);
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let signer = SshSigner::new(client, &key, args.namespace, args.digest, global)?;
    what.make_each(terminal, SUFFIX, move |input, output| sign(signer.clone(), input, output)).await
}

async fn sign(signer: SshSigner, input: Input, mut output: File) -> Result<Done, Failure> {
    let path = input.shown().to_owned();
    let signature = signer.sign(input).await?;
    let done = Done::new(Deed::Signed)
        .detail("key", signer.name())
        .detail("ssh_public_key", signer.key().line(signer.name()));
    blocking(move || {
        let written = output.write_all(signature.as_bytes());
        written.map_err(|error| Failure::file("write the signature of", &path, &error))
    })
    .await?;
    Ok(done)
}
