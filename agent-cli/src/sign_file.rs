//! `chancery-sign-file`: the kernel's scripts/sign-file, argument for argument, with a key in a token.
//!
//! What differs is meant to: the key is a name or a `pkcs11:` URI instead of a file; a signature that is there is
//! replaced instead of signed over (`--stack` for the tool's own habit); nothing is written that no kernel would load; a
//! module keeps its mode, owner and times; compressed modules (.ko.xz, .ko.zst, .ko.gz) are signed inside.
//! `KBUILD_SIGN_PIN` is not looked at: the daemon has the token's PIN.

mod arguments;
mod manual;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use chancery_formats::module::{Existing, Options, Signed, VerifyError, prepare, verify_detached};
use chancery_formats::raw::Input;
use chancery_formats::x509::Certificate;
use chancery_protocol::{Algorithm, Format, Hash, Scheme};

use crate::args::Global;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{Deed, Done, blocking};
use crate::key_argument::{self, KeyArgument};
use crate::module::{Source, belongs, certificate_of, failure, small};
use crate::output::Replacement;
use crate::signer::{Artifact, Signer, artifact_name};
use crate::stand_in;
use crate::terminal;

use self::arguments::{Arguments, By, Write};
use self::arguments::{Asked, USAGE, read};
pub(crate) use self::manual::manual;

/// The names under which this face is called: its own, and the kernel tree's, where a link takes the tool's place.
pub(crate) const NAMES: [&str; 2] = ["chancery-sign-file", "sign-file"];

/// As the kernel's tool: silent if all went well, 1 if not, 2 where the command line is wrong.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let args = match read(arguments.into_iter().skip(1)) {
        Some(Asked::Sign(args)) => args,
        Some(Asked::Usage) => return say(USAGE),
        Some(Asked::Version) => return say(concat!("chancery-sign-file ", env!("CARGO_PKG_VERSION"), "\n")),
        None => return terminal::misused(USAGE).into(),
    };
    let args = Arc::new(args);
    stand_in::run(&args.module, |global| one(global, Arc::clone(&args)))
}

fn say(text: &str) -> ExitCode {
    terminal::stand_in_says(text);
    ExitCode::SUCCESS
}

async fn one(global: Global, args: Arc<Arguments>) -> Result<Done, Failure> {
    let hash = hash(&args.hash)?;
    let source = blocking({
        let module = args.module.clone();
        move || Source::open(&module)
    });
    let source = source.await?;
    let certificate = certificate_of(&args.x509)?;
    match &args.by {
        By::Key(key) => {
            let (source, signed) = sign(&global, &args, key, hash, certificate, source).await?;
            if args.write != Write::Module {
                let mut path = args.module.clone().into_os_string();
                path.push(".p7s");
                Replacement::write(&PathBuf::from(path), signed.cms())?;
            }
            if args.write != Write::Signature {
                put(source, signed, &args).await?;
            }
        }
        By::Signature(path) => {
            let signature = small(path)?;
            let (path, existing) = (path.clone(), args.existing);
            let checked = blocking(move || append(source, &path, &signature, &certificate, existing));
            let (source, signed) = checked.await?;
            put(source, signed, &args).await?;
        }
    }
    Ok(Done::new(Deed::Signed))
}

async fn sign(
    global: &Global,
    args: &Arguments,
    key: &OsString,
    hash: Hash,
    certificate: Certificate,
    mut source: Source,
) -> Result<(Source, Signed), Failure> {
    let client = daemon::agent(global).await?;
    let argument = KeyArgument { word: key, certificate: Some(&certificate), program: NAMES[0] };
    let key = key_argument::resolve(&client, argument).await?;
    belongs(&certificate, &key, &args.x509.display().to_string())?;
    if key.algorithm != Algorithm::Ed25519 {
        key.serves(Format::Module, Scheme::over_digest(key.algorithm, hash))?;
    }
    let options = Options { hash, signer: args.signer, existing: args.existing };
    let path = args.module.clone();
    let prepared = blocking(move || {
        let (module, plain) = source.plain();
        let pending = prepare(module, plain, &certificate, &options);
        pending.map(|pending| (source, pending)).map_err(|error| failure(&path, &error))
    });
    let (source, pending) = prepared.await?;
    let token = Signer::new(client, key.name, Format::Module, global.build_id.as_deref());
    let name = artifact_name(&args.module);
    let input = Input::Digest(pending.digest().clone());
    let raw = token.sign_input(Artifact::named(&name), pending.scheme(), &input).await?;
    let signed = pending.finish(&raw).map_err(|error| failure(&args.module, &error))?;
    Ok((source, signed))
}

/// Takes a signature from a file, if it is one that a kernel would take for this module. sign-file appends whatever it is
/// given, also a bare RSA signature, with which no kernel loads the module.
fn append(
    mut source: Source,
    path: &Path,
    signature: &[u8],
    certificate: &Certificate,
    existing: Existing,
) -> Result<(Source, Signed), Failure> {
    let (module, plain) = source.plain();
    let signed = verify_detached(signature, module, plain, certificate, existing);
    let signed = signed.map_err(|error| {
        let failure = |error: &VerifyError| {
            Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(error)))
        };
        match &error {
            VerifyError::Malformed(_) => failure(&error).hint(
                "`-s` takes the whole CMS signature, such as `chancery-sign-file -d` writes into MODULE.p7s",
            ),
            VerifyError::BadSignature(_) => {
                failure(&error).hint("was it made of this module, without a signature?")
            }
            _ => failure(&error),
        }
    })?;
    Ok((source, signed))
}

/// Writes the signed module where the command line says.
async fn put(source: Source, signed: Signed, args: &Arguments) -> Result<(), Failure> {
    let replacement = match &args.destination {
        Some(destination) => Replacement::at(destination)?,
        None => Replacement::of(&args.module, &source.file)?,
    };
    let output = replacement.writer()?;
    blocking(move || source.write(&signed, &output)).await?;
    blocking(move || replacement.commit()).await
}

fn hash(name: &OsString) -> Result<Hash, Failure> {
    let found = name.to_str().and_then(|name| name.to_ascii_lowercase().parse().ok());
    found.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("hash `{}` is not signed with: use sha256, sha384 or sha512", name.to_string_lossy()),
        )
        .hint("the kernel's CONFIG_MODULE_SIG_HASH chooses it; sha1 is broken, and sha224 in no kernel's interest")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_hashes_are_refused_with_those_to_use() {
        for name in ["sha1", "sha224", "md5", "sha3-256", ""] {
            let failure = hash(&name.into()).unwrap_err();
            assert!(failure.error.ends_with("use sha256, sha384 or sha512"), "{name}");
        }
        // OpenSSL, which reads the word in sign-file, does not mind its case.
        assert_eq!(hash(&"SHA512".into()), Ok(Hash::Sha512));
    }
}
