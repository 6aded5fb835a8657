//! `chancery sign ssh`

use std::io::Write;
use std::path::PathBuf;

use crate::args::{Global, Input, Output, SignSsh};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::key::Key;
use crate::output::Replacement;
use crate::sources::{Sources, beside};
use crate::ssh::SshSigner;
use crate::terminal::Terminal;

/// What is appended to a file's name; ssh-keygen's habit.
const SUFFIX: &str = ".sig";

pub(crate) async fn run(global: &Global, args: SignSsh, terminal: &Terminal) -> Result<Exit, Failure> {
    let what = Sources::of(&args.files, args.output.as_ref())?;
    if let Sources::One(_, Output::Stdout) = what {
        terminal.keep_stdout_for_product();
    }
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let signer = SshSigner::new(client, &key, args.namespace, args.digest, global)?;
    match what {
        Sources::One(input, Output::Stdout) => {
            let signature = signer.sign(input).await?;
            terminal.product(signature.as_bytes())?;
            Ok(Exit::Done)
        }
        Sources::One(Input::Stdin, Output::File(output)) => {
            files::each(terminal, vec![output], |output| to_file(signer.clone(), Input::Stdin, output)).await
        }
        Sources::One(Input::File(path), Output::File(output)) => {
            files::each(terminal, vec![path], |path| {
                to_file(signer.clone(), Input::File(path), output.clone())
            })
            .await
        }
        Sources::Many(paths) => {
            files::each(terminal, paths, |path| {
                let output = beside(&path, SUFFIX);
                to_file(signer.clone(), Input::File(path), output)
            })
            .await
        }
    }
}

/// Signs to `output`, in one step.
async fn to_file(signer: SshSigner, input: Input, output: PathBuf) -> Result<Done, Failure> {
    let signature = signer.sign(input).await?;
    let done = Done::new(Deed::Signed)
        .text(format!("to {}", output.display()))
        .detail("output", output.to_string_lossy())
        .detail("key", signer.name())
        .detail("ssh_public_key", signer.key().line(signer.name()));
    blocking(move || {
        let replacement = Replacement::at(&output)?;
        let written = replacement.file().write_all(signature.as_bytes());
        written.map_err(|error| Failure::file("write", &output, &error))?;
        replacement.commit()
    })
    .await?;
    Ok(done)
}
