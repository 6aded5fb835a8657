//! `chancery sign efi-variable`

use std::fs::File;
use std::path::Path;

use chancery_formats::cms;
use chancery_formats::pe::{self, Image};
use chancery_formats::raw::Input;
use chancery_formats::variable::{Entry, Error, Update, prepare};
use chancery_formats::x509::Profile;
use chancery_protocol::{Algorithm, Format, Hash, Scheme};
use serde_json::json;

use crate::args::{Global, Output, SignVariable};
use crate::certificates::of_signer;
use crate::clock::now;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::key::Key;
use crate::module::certificate_of;
use crate::output;
use crate::signer::{Artifact, Signer};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: SignVariable, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.output == Output::Stdout {
        terminal.keep_stdout_for_product();
    }
    let update = update(&args)?;
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    if key.algorithm == Algorithm::Ed25519 {
        return Err(failure(&cms::Error::Algorithm(key.algorithm).into()));
    }
    if matches!(key.algorithm, Algorithm::P256 | Algorithm::P384 | Algorithm::P521) {
        terminal.note("note: EDK II's firmware takes RSA alone here, and most firmware is made of it");
    }
    key.serves(Format::Efi, Scheme::over_digest(key.algorithm, Hash::Sha256))?;
    let certificate = of_signer(&client, &key, args.cert.as_deref(), Profile::Efi).await?;
    let pending = prepare(&update, &certificate, &[]).map_err(|error| failure(&error))?;
    let name = match &args.output {
        Output::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Output::Stdout => format!("{}.auth", args.variable),
    };
    let signer = Signer::new(client, args.key, Format::Efi, global.build_id.as_deref());
    let input = Input::Digest(pending.digest().clone());
    let raw = signer.sign_input(Artifact::named(&name), pending.scheme(), &input).await?;
    let bytes = pending.finish(&raw).map_err(|error| failure(&error))?;
    output::deliver(&args.output, &bytes, terminal)?;
    let (variable, entries) = (args.variable, update.entries.len());
    let what = match (args.remove, args.append) {
        (true, _) => format!("removal of {variable} signed"),
        (_, true) => format!("{entries} more for {variable} signed"),
        (_, false) => format!("{variable} with {entries} entries signed"),
    };
    let object = json!({
        "variable": variable.as_str(), "entries": entries, "append": args.append, "key": signer.key().as_str(), "result": "signed",
    });
    terminal.news(what, &object);
    Ok(Exit::Done)
}

fn update(args: &SignVariable) -> Result<Update, Failure> {
    let mut entries = Vec::new();
    for path in &args.add_cert {
        entries.push(Entry::Certificate(Box::new(certificate_of(path)?)));
    }
    for path in &args.add_image {
        entries.push(image(path)?);
    }
    entries.extend(args.add_hash.iter().cloned().map(Entry::Image));
    let time = match args.time {
        Some(time) => u64::try_from(time.as_second()).map_err(|_| failure(&Error::Time))?,
        None => now().into(),
    };
    Ok(Update { variable: args.variable, entries, owner: args.owner, append: args.append, time })
}

fn image(path: &Path) -> Result<Entry, Failure> {
    let mut file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let bad = |why: String, hint: &str| {
        Failure::new(Exit::BadArtifact, format!("{}: {why}", path.display())).hint(hint)
    };
    let no_image = |error: pe::Error| bad(chain(&error), "name a PE image, such as a .efi file");
    let image = Image::read(&mut file).map_err(no_image)?;
    let length = file.metadata().map_err(|error| Failure::file("read", path, &error))?.len();
    if image.entries().next().is_none() && !length.is_multiple_of(8) {
        // A signature covers zeros up to a multiple of 8 bytes, which firmware does not see while they are not there.
        return Err(bad(
            format!(
                "has {length} bytes, no multiple of 8: firmware hashes it in one way now, and in another when it is signed"
            ),
            "name the signed image, or the hash that the firmware tells, with --add-hash",
        ));
    }
    pe::digest(&image, &mut file, Hash::Sha256).map(Entry::Image).map_err(no_image)
}

fn failure(error: &Error) -> Failure {
    Failure::new(Exit::Failed, chain(error))
}
