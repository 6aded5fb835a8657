//! Checkpoints: from time to time a key in the token signs where the trail stands, so that nobody can write the part
//! before it anew.

use std::sync::Arc;

use chancery_audit::{Checkpoint, Event};
use chancery_protocol::{Algorithm, Hash, Scheme};
use tokio::time::sleep;

use super::Recorded;
use crate::house::House;
use crate::request::OrderInput;

/// The daemon's own user, under whose turn checkpoints wait for the token.
const OWN_TURN: u32 = 0;

/// Makes a checkpoint whenever the trail has grown for long enough.
pub async fn keep(house: Arc<House>) {
    let mut covered = 0;
    loop {
        sleep(house.config.audit.checkpoint_every).await;
        make(&house, &mut covered).await;
    }
}

/// Makes a last one before the daemon ends.
pub async fn last(house: &House) {
    make(house, &mut 0).await;
}

/// Makes a checkpoint unless the trail has not grown since the one before, which `covered` remembers.
async fn make(house: &House, covered: &mut u64) {
    let Some(name) = &house.config.audit.checkpoint_key else { return };
    let Some(head) = house.audit.head().await else { return };
    if head.seq <= *covered {
        return;
    }
    let text = Checkpoint::signed_text(head.seq, &head.hash);
    match sign(house, &text).await {
        Ok((scheme, signature)) => {
            let checkpoint = Checkpoint {
                covers: head.seq,
                hash: head.hash,
                key: name.to_string(),
                scheme: scheme.to_string(),
                signature: hex::encode(signature),
            };
            // The checkpoint's own record is not worth another one; what was written while the token signed is.
            if let Ok(seq) = house.audit.append(Event::Checkpoint(checkpoint)).wait().await {
                *covered = if seq == head.seq + 1 { seq } else { head.seq };
            }
        }
        Err(why) => tracing::error!(chancery_key = %name, "no checkpoint of the audit trail was made: {why}"),
    }
}

async fn sign(house: &House, text: &str) -> Result<(Scheme, Vec<u8>), String> {
    let rules = house.rules();
    let name = house.config.audit.checkpoint_key.as_ref();
    let keyed = name.and_then(|name| rules.keyring.key(name)).ok_or("the policy names no such key")?;
    let algorithm = keyed.public().await.map_err(|error| error.to_string())?.algorithm;
    // Schemes that `openssl pkeyutl` checks as they are.
    let scheme = match algorithm {
        Algorithm::Ed25519 => Scheme::Ed25519,
        Algorithm::P384 => Scheme::EcdsaSha384,
        Algorithm::P521 => Scheme::EcdsaSha512,
        _ => Scheme::over_digest(algorithm, Hash::Sha256),
    };
    // The one use of the token that no peer asked for: it signs the trail itself, which is its record.
    let recorded = Recorded { scheme, _grant: None };
    let input = OrderInput::Message(text.as_bytes().to_vec());
    let signed = keyed.token().sign(recorded, OWN_TURN, keyed.object(), algorithm, input).await;
    let mut signatures = signed.map_err(|error| error.to_string())?;
    signatures.pop().map(|signature| (scheme, signature)).ok_or_else(|| "no signature".to_owned())
}
