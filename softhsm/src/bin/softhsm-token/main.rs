//! `softhsm-token` makes private SoftHSM tokens: for the tests, `make demo`, `make sandbox` and whoever wants one.

mod keys;

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chancery_protocol::{Algorithm, KeyName};
use chancery_softhsm::Folder;
use clap::{Args, Parser, Subcommand};

/// Makes private PKCS#11 tokens (SoftHSM's, or those of the module that CHANCERY_TEST_MODULE names)
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token in a new folder, with a random PIN in DIR/pin and chanceryd's table for it in DIR/token.toml
    Create {
        /// The folder; it must not exist yet, or be empty
        dir: PathBuf,
        /// The token's label: 1 to 32 of A-Z, a-z, 0-9, `-`, `_` and `.`
        #[arg(long, default_value = chancery_softhsm::Token::LABEL)]
        label: String,
        /// A key to generate: rsa2048, rsa3072, rsa4096, p256, p384, p521 or ed25519; may be repeated
        #[arg(long = "key", value_name = "NAME=ALGORITHM")]
        keys: Vec<NewKey>,
    },
    /// Generate keys in a token that `create` made
    Generate {
        /// The token's folder
        dir: PathBuf,
        /// The keys
        #[arg(value_name = "NAME=ALGORITHM", required = true)]
        keys: Vec<NewKey>,
    },
    /// Let every key of a token sign once, verify that, and list the keys with their attributes
    Check {
        /// The token's folder
        dir: PathBuf,
    },
    /// Print the token as the table [token.NAME] of chanceryd.toml
    Config {
        /// The token's folder
        dir: PathBuf,
        /// The table's name
        #[arg(long, default_value = "main")]
        name: String,
    },
    /// What the others run, with the module's configuration in the environment and the PIN on standard input
    #[command(hide = true)]
    Inside(Inside),
}

/// Work on a token, within the process that loads its module.
#[derive(Debug, Args)]
struct Inside {
    #[arg(long)]
    module: PathBuf,
    #[arg(long)]
    label: String,
    /// Make the token first.
    #[arg(long)]
    initialize: bool,
    #[arg(long = "key")]
    keys: Vec<NewKey>,
    #[arg(long)]
    check: bool,
}

/// A key to be generated, written `NAME=ALGORITHM`.
#[derive(Debug, Clone)]
struct NewKey(KeyName, Algorithm);

impl std::str::FromStr for NewKey {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let Some((name, algorithm)) = text.split_once('=') else {
            bail!("write NAME=ALGORITHM, such as demo=p256")
        };
        Ok(Self(name.parse()?, algorithm.parse()?))
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { dir, label, keys } => {
            let keys: Vec<_> = keys.into_iter().map(|NewKey(name, algorithm)| (name, algorithm)).collect();
            let folder = Folder::create(&dir, &label, &keys)?;
            println!("made token {} in {}", folder.uri(), folder.folder().display());
        }
        Command::Generate { dir, keys } => {
            let folder = Folder::open(&dir)?;
            for NewKey(name, algorithm) in keys {
                folder.generate(name.as_str(), algorithm)?;
                println!("generated {name} ({algorithm}) in {}", folder.uri());
            }
        }
        Command::Check { dir } => print!("{}", Folder::open(&dir)?.check()?),
        Command::Config { dir, name } => print!("{}", Folder::open(&dir)?.config_toml(&name)),
        Command::Inside(inside) => work(&inside)?,
    }
    Ok(())
}

fn work(inside: &Inside) -> anyhow::Result<()> {
    let mut pin = String::new();
    io::stdin().read_to_string(&mut pin).context("cannot read the PIN from standard input")?;
    let pin = pin.into();
    let module = keys::load(&inside.module)?;
    if inside.initialize {
        keys::initialize(&module, &inside.label, &pin)?;
    }
    let session = keys::log_in(&module, &inside.label, &pin)?;
    for NewKey(name, algorithm) in &inside.keys {
        keys::generate(&session, name, *algorithm)?;
    }
    if inside.check {
        for line in keys::check(&session)? {
            println!("{line}");
        }
    }
    Ok(())
}
