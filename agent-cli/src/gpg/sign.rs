//! A signature: the key, the data, the daemon's answer, the file.

use std::io::Seek;

use chancery_formats::openpgp::Error;
use chancery_protocol::Scheme;
use tempfile::SpooledTempFile;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::data::{self, Data};
use super::place::Target;
use super::request::Request;
use super::select;
use super::status::Status;
use super::{Environment, Stop};
use crate::clock::now;
use crate::commands::sign_openpgp;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shape;
use crate::signer::{Artifact, Signer};

/// Largest product that is held in memory, in bytes; what is larger goes through a file without a name. Nothing is seen
/// of either until it has its signature.
const IN_MEMORY: usize = 1024 * 1024;

/// Makes the signature that is asked for.
pub(super) async fn run(
    environment: &Environment,
    request: Request,
    status: &mut Status,
) -> Result<(), Stop> {
    let global = &environment.global;
    let client = daemon::agent(global).await?;
    let chosen = select::choose(&client, &request.signer, environment.key.as_deref()).await?;
    status.key_considered(&chosen.primary());

    let mut data = Data::open(&request.input)?;
    let hash = request.hash.unwrap_or_else(|| chosen.signing.default_hash());
    let (format, scheme) = (data.format(), Scheme::over_digest(chosen.key.algorithm, hash));
    chosen.key.serves(format, scheme)?;
    let target = Target::of(&request)?;

    status.begin_signing(hash);
    let (shown, created) = (request.input.shown().to_owned(), now());
    let failed = |error: Error| sign_openpgp::failure(&shown, &error);
    let spool = SpooledTempFile::new(IN_MEMORY);
    let begun = shape::begin(request.shape, &chosen.signing, hash, created, &mut data, spool);
    let begun = begun.map_err(failed)?;

    // Better to know it before a signature is made. From here on there may be a temporary file.
    let mut signals = Signals::caught()?;
    let place = target.open()?;
    let name = data::artifact(format, &request.input, request.output.as_ref());
    let digest = data.header_digest();
    let artifact = Artifact { name: &name, digest: digest.as_ref() };
    let signer = Signer::new(client, chosen.key.name.clone(), format, global.build_id.as_deref());
    let raw = signals.or(signer.sign(artifact, begun.scheme, &[begun.digest])).await?;
    let mut product = (begun.finish)(raw.first().map_or(&[], Vec::as_slice)).map_err(failed)?;
    product.rewind().map_err(|error| Failure::file("read", &std::env::temp_dir(), &error))?;
    place.deliver(product)?;
    status.sig_created(request.shape, &chosen.signing, hash, created);
    Ok(())
}

/// The signals that end a run. Once they are caught they end it in order, and no temporary file is left behind.
struct Signals([Signal; 3]);

impl Signals {
    fn caught() -> Result<Self, Failure> {
        let cannot = |error| Failure::new(Exit::Failed, format!("signals cannot be waited for: {error}"));
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt.map_err(cannot)?, terminate.map_err(cannot)?, hang_up.map_err(cannot)?]))
    }

    /// What `work` gives, unless a signal comes first.
    async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            done = work => return done,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        Err(Failure::new(Exit::Interrupted, "stopped by a signal; nothing was written"))
    }
}
