//! `chancery-systemd-sbsign`: systemd-sbsign of systemd 257 and 258, argument for argument, with a key in a token.
//!
//! `sign` signs, writes what is to be signed elsewhere (`--prepare-offline-signing`), or attaches what was signed there
//! (`--signed-data`, `--signed-data-signature`). What differs is meant to: the key is a name or a `pkcs11:` URI; the
//! certificate may be left out where a key is named; a signature that was made elsewhere has to be good, and over this
//! image, where systemd-sbsign attaches anything.

mod arguments;
mod manual;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use chancery_protocol::Hash;

use crate::args::Global;
use crate::daemon;
use crate::efi::Source;
use crate::failure::Failure;
use crate::files::Done;
use crate::image_signer::{ImageSigner, Product};
use crate::key_argument::{self, KeyArgument};
use crate::module::certificate_of;
use crate::offline::Apart;
use crate::output::Replacement;
use crate::stand_in::{self, like_pesign};
use crate::terminal;

use self::arguments::{Asked, By, Sign};
pub(crate) use self::manual::manual;

/// The names under which this face is called: its own, and the tool's, where a link takes its place.
pub(crate) const NAMES: [&str; 2] = ["chancery-systemd-sbsign", "systemd-sbsign"];

/// As systemd-sbsign: 0 if it is done, and 1 for whatever else.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match arguments::read(arguments) {
        Ok(Asked::Sign(sign)) => {
            let sign = Arc::new(sign);
            stand_in::run(&sign.image, |global| run(global, Arc::clone(&sign)))
        }
        Ok(Asked::Told(error)) => stand_in::ended(terminal::usage(&error)),
        Err(failure) => stand_in::ended(terminal::Terminal::of_stand_in().fail(&failure)),
    }
}

async fn run(global: Global, sign: Arc<Sign>) -> Result<Done, Failure> {
    let to = |_: &Source| Replacement::at(&sign.output);
    match &sign.by {
        By::Key { key, certificate } => {
            let given = certificate.as_deref().map(certificate_of).transpose()?;
            let client = daemon::agent(&global).await?;
            let word = KeyArgument { word: key, certificate: given.as_ref(), program: NAMES[0] };
            let key = key_argument::resolve(&client, word).await?;
            let (options, build) = (like_pesign(Hash::Sha256)?, global.build_id.as_deref());
            let images = ImageSigner::new(client, key, certificate.as_deref(), options, build).await?;
            stand_in::sign_image(images, &sign.image, Product::Image, to).await
        }
        By::Nobody { certificate } => {
            certificate_of(certificate)?;
            stand_in::export(&sign.image, &sign.output, like_pesign(Hash::Sha256)?).await
        }
        By::Elsewhere { data, signature, certificate } => {
            let certificate = certificate_of(certificate)?;
            let (data, signature) = (data.clone(), signature.clone());
            let apart = Apart { data, signature, certificate, chain: Vec::new() };
            stand_in::attach(apart, &sign.image, to).await
        }
    }
}
