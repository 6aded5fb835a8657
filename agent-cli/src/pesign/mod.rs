//! `chancery-pesign`: pesign's signing, argument for argument, with a key in a token.
//!
//! What differs is meant to: the nickname is a key's name, and the certificate the one that is stored with it; outputs are
//! put in their places in one step; a signature that was made elsewhere has to be good, and over this image. The
//! attributes that are signed are pesign's.

mod arguments;
mod asked;
mod manual;
mod tell;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;

use crate::args::Global;
use crate::certificates::of_signer;
use crate::daemon;
use crate::efi::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{Deed, Done};
use crate::image_signer::{ImageSigner, Product};
use crate::key::{Key, pem};
use crate::key_argument::{self, KeyArgument};
use crate::offline::Apart;
use crate::output::Replacement;
use crate::stand_in::{self, ended, like_pesign};
use crate::terminal::{self, Terminal};

use self::arguments::Pesign;
use self::asked::{Asked, Existing, Form, Made, Out};
pub(crate) use self::manual::manual;

/// The names under which this face is called: its own, and the tool's, where a link takes its place.
pub(crate) const NAMES: [&str; 2] = ["chancery-pesign", "pesign"];

/// As pesign: 0 if it is done, also where nothing was asked, and 1 for whatever else.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match stand_in::read(arguments).map(Pesign::asked) {
        Ok(Ok(asked)) => answer(asked),
        Ok(Err(failure)) => ended(Terminal::of_stand_in().fail(&failure)),
        Err(exit) => exit,
    }
}

fn answer(asked: Asked) -> ExitCode {
    let told = match &asked {
        Asked::Nothing => Ok("nothing to do: -s signs\n".to_owned()),
        Asked::Hash { image, hash } => tell::hash(image, *hash),
        Asked::List { image } => tell::signers(image),
        _ => {
            let asked = Arc::new(asked);
            let about = asked.out().map(|out| out.path.clone()).unwrap_or_default();
            return stand_in::run(&about, |global| run(global, Arc::clone(&asked)));
        }
    };
    match told {
        Ok(text) => {
            terminal::stand_in_says(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => ended(Terminal::of_stand_in().fail(&failure)),
    }
}

async fn run(global: Global, asked: Arc<Asked>) -> Result<Done, Failure> {
    if let Some(out) = asked.out() {
        out.check()?;
    }
    match &*asked {
        Asked::Sign { key, image, to, made, hash } => {
            let (client, key) = fetch(&global, key).await?;
            let (options, build) = (like_pesign(*hash)?, global.build_id.as_deref());
            let images = ImageSigner::new(client, key, None, options, build).await?;
            match made {
                Made::Image => {
                    stand_in::sign_image(images, image, Product::Image, |source| to.like(source)).await
                }
                Made::Signature(form) => {
                    let (_, signed) = Arc::new(images).sign(image).await?;
                    put(to, &form.of_signature(signed.cms())?)
                }
            }
        }
        Asked::Export { image, to, hash } => stand_in::export(image, &to.path, like_pesign(*hash)?).await,
        Asked::Import { key, image, to, attributes, signature } => {
            let certificate = stored(&global, key).await?;
            let (data, signature) = (attributes.clone(), signature.clone());
            let apart = Apart { data, signature, certificate, chain: Vec::new() };
            stand_in::attach(apart, image, |source| to.like(source)).await
        }
        Asked::Certificate { key, to, form } => put(to, &form.of_certificate(&stored(&global, key).await?)?),
        // These need neither daemon nor key, and were answered.
        Asked::Hash { .. } | Asked::List { .. } | Asked::Nothing => Ok(Done::new(Deed::Verified)),
    }
}

async fn fetch(global: &Global, key: &OsStr) -> Result<(Client<Agent>, Key), Failure> {
    let client = daemon::agent(global).await?;
    let word = KeyArgument { word: key, certificate: None, program: NAMES[0] };
    let key = key_argument::resolve(&client, word).await?;
    Ok((client, key))
}

/// The certificate that is stored with a key.
async fn stored(global: &Global, key: &OsStr) -> Result<Certificate, Failure> {
    let (client, key) = fetch(global, key).await?;
    of_signer(&client, &key, None, Profile::Efi).await
}

fn put(to: &Out, bytes: &[u8]) -> Result<Done, Failure> {
    Replacement::write(&to.path, bytes)?;
    Ok(Done::new(Deed::Signed))
}

impl Out {
    /// Refuses a file that is there, unless it is to be replaced.
    fn check(&self) -> Result<(), Failure> {
        if self.existing == Existing::Replaced || fs::symlink_metadata(&self.path).is_err() {
            return Ok(());
        }
        let error = format!("{}: exists, and --force was not given", self.path.display());
        Err(Failure::new(Exit::Failed, error).hint("give `--force`, or name another file"))
    }

    /// The file, with the mode of the image if it is new, as pesign has it.
    fn like(&self, source: &Source) -> Result<Replacement, Failure> {
        Replacement::with_mode(&self.path, source.mode()?)
    }
}

impl Form {
    fn of_signature(self, cms: &[u8]) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Der => Ok(cms.to_vec()),
            Self::Text => Ok(pem("AUTHENTICODE SIGNATURE", cms)?.into_bytes()),
        }
    }

    fn of_certificate(self, certificate: &Certificate) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Der => Ok(certificate.as_der().to_vec()),
            Self::Text => Ok(pem("CERTIFICATE", certificate.as_der())?.into_bytes()),
        }
    }
}
