//! `chancery-sbsign`: sbsign of sbsigntools 0.9.4, argument for argument, with a key in a token.
//!
//! What differs is meant to: the key is a name or a `pkcs11:` URI instead of a file; the certificate may be left out;
//! an option that sbsign has not ends the run, where sbsign goes on; the output is put in its place in one step.
//! `SOURCE_DATE_EPOCH` is the time that is told, if it is set: with the same one and an RSA key, every byte is sbsign's.

mod arguments;
mod manual;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use chancery_formats::pe::{Attributes, Existing, Options, PageHashes};
use chancery_protocol::Hash;

use crate::args::Global;
use crate::clock::signing_time;
use crate::daemon;
use crate::failure::Failure;
use crate::files::Done;
use crate::image_signer::{ImageSigner, Product};
use crate::key_argument::{self, KeyArgument};
use crate::module::certificate_of;
use crate::output::Replacement;
use crate::sources::beside;
use crate::stand_in;

use self::arguments::Sbsign;
pub(crate) use self::manual::manual;

/// The names under which this face is called: its own, and the tool's, where a link takes its place.
pub(crate) const NAMES: [&str; 2] = ["chancery-sbsign", "sbsign"];

/// As sbsign: 0 if the image is signed, and 1 for whatever else.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match stand_in::read(arguments) {
        Ok(args) => {
            let args: Arc<Sbsign> = Arc::new(args);
            stand_in::run(&args.image, |global| sign(global, Arc::clone(&args)))
        }
        Err(exit) => exit,
    }
}

async fn sign(global: Global, args: Arc<Sbsign>) -> Result<Done, Failure> {
    let options = Options {
        // sbsign knows no other hash.
        hash: Hash::Sha256,
        existing: Existing::Append,
        attributes: Attributes::Sbsign,
        signing_time: Some(signing_time()?),
        page_hashes: PageHashes::Leave,
    };
    let given = args.cert.as_deref().map(certificate_of).transpose()?;
    let client = daemon::agent(&global).await?;
    let word = KeyArgument { word: &args.key, certificate: given.as_ref(), program: NAMES[0] };
    let key = key_argument::resolve(&client, word).await?;
    let build = global.build_id.as_deref();
    let images = ImageSigner::new(client, key, args.cert.as_deref(), options, build).await?;
    let images = images.with_chain(&args.addcert)?;
    let (product, suffix) =
        if args.detached { (Product::Signature, ".pk7") } else { (Product::Image, ".signed") };
    let to = args.output.clone().unwrap_or_else(|| beside(&args.image, suffix));
    stand_in::sign_image(images, &args.image, product, |_| Replacement::at(&to)).await
}
