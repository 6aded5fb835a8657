//! `chancery prepare efi`

use chancery_formats::cms;
use chancery_formats::pe::{Attributes, Existing, Options, PageHashes};
use chancery_protocol::Algorithm;
use serde_json::json;

use crate::args::{Output, PrepareEfi};
use crate::efi::failure;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::blocking;
use crate::module::certificate_of;
use crate::offline;
use crate::output;
use crate::terminal::Terminal;

pub(crate) async fn run(args: PrepareEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(path) = &args.cert {
        let algorithm = certificate_of(path)?.public_key().algorithm();
        if algorithm == Some(Algorithm::Ed25519) {
            return Err(failure(path, &cms::Error::Algorithm(Algorithm::Ed25519).into()));
        }
    }
    // As `sign efi` signs, so that the same image and key give the same signature.
    let options = Options {
        hash: args.hash,
        existing: Existing::Append,
        attributes: Attributes::Authenticode,
        signing_time: None,
        page_hashes: PageHashes::Leave,
    };
    let file = args.file.clone();
    let attributes = blocking(move || offline::prepare(&file, &options)).await?;
    output::deliver(&args.output, attributes.as_der(), terminal)?;
    if let Output::File(path) = &args.output {
        let (image, to, hash) = (args.file.display(), path.display(), args.hash);
        terminal.news(
            format_args!("{image}: to be signed by {hash}: {to}"),
            &json!({
                "file": args.file.to_string_lossy(),
                "result": "prepared",
                "output": path.to_string_lossy(),
                "hash": hash.as_str(),
            }),
        );
    }
    Ok(Exit::Done)
}
