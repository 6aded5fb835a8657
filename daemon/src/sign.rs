//! The agents' requests. Signing is told here from end to end: order, grant, intent on record, token, outcome, answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chancery_protocol::agent::{
    Agent, Certificate, DescribeKey, FetchCertificate, KeyDescription, KeySummary, Keys, ListKeys, Request,
    Response, Signatures,
};
use chancery_protocol::{ByteBuf, CertificateKind, Format, KeyName, Reason, Refusal, Scheme};

use crate::house::House;
use crate::journal::Signed;
use crate::keyring::{Keyed, Public};
use crate::peer::Peer;
use crate::policy::{self, Denied, Input, Key};
use crate::request::Order;
use crate::session::Desk;
use crate::token::TokenError;

impl Desk for Agent {
    async fn answer(house: Arc<House>, peer: Arc<Peer>, request: Request) -> Response {
        let result = match request {
            Request::Sign(request) => order(&house, &peer, Order::over_digests(request)).await,
            Request::SignMessage(request) => order(&house, &peer, Order::over_message(request)).await,
            Request::ListKeys(request) => Ok(Response::Keys(list(&house, &peer, &request))),
            Request::DescribeKey(request) => {
                describe(&house, &peer, &request).await.map(Response::KeyDescription)
            }
            Request::FetchCertificate(request) => {
                certificate(&house, &peer, &request).map(Response::Certificate)
            }
        };
        result.unwrap_or_else(|refusal| {
            house.counters.refusals.fetch_add(1, Ordering::Relaxed);
            Response::Refused(refusal)
        })
    }
}

async fn order(house: &House, peer: &Peer, order: Result<Order, Refusal>) -> Result<Response, Refusal> {
    let signatures = match order {
        Ok(order) => sign(house, peer, order).await,
        Err(refusal) => Err(refusal),
    };
    match signatures {
        Ok(signatures) => {
            house.counters.signatures.fetch_add(signatures.len() as u64, Ordering::Relaxed);
            let signatures = signatures.into_iter().map(ByteBuf::from).collect();
            Ok(Response::Signatures(Signatures { signatures }))
        }
        Err(refusal) => Err(refusal),
    }
}

async fn sign(house: &House, peer: &Peer, order: Order) -> Result<Vec<Vec<u8>>, Refusal> {
    let begin = Instant::now();
    let _watch = house.vigil.begin();
    let rules = house.rules();
    if house.config.audit.checkpoint_key.as_ref() == Some(&order.key) {
        // Whoever could have this key sign could forge the trail.
        let denied =
            Denied::not_permitted(&order.key, "this key is the audit trail's own and signs for nobody");
        return Err(refused(house, peer, &order.key, denied));
    }
    let now = jiff::ZonedDateTime::now();
    let decision = policy::decide(&rules.policy, &mut house.limiter(), peer, &order, &now);
    let grant = decision.map_err(|denied| refused(house, peer, &order.key, denied))?;
    let keyed = rules.keyring.key(&grant.key().name).ok_or_else(internal)?;
    let algorithm = keyed.public().await.map_err(|error| failed(&order.key, &error))?.algorithm;
    if !order.scheme.fits(algorithm) {
        let message = format!("key `{}` is {algorithm} and cannot sign with {}", order.key, order.scheme);
        let refusal = Refusal::new(Reason::Unsupported, message.clone());
        return Err(refused(house, peer, &order.key, Denied { refusal, detail: message }));
    }
    let (recorded, durable) = house.audit.intend(grant, peer, &order);
    let key = order.key;
    // The record is on its way to the disk while the token works; the answer waits for both. The token is waited for
    // first: a record that is there before it then wakes nobody.
    let signatures = keyed.token().sign(recorded, peer.uid(), keyed.object(), algorithm, order.input).await;
    let intent = durable.wait().await?;
    let result = signatures.map_err(|error| failed(&key, &error));
    let word = result.as_ref().map_or_else(|refusal| refusal.reason().as_str(), |_| "signed");
    let note = result.is_ok().then(|| Signed {
        key: key.to_string(),
        uid: peer.uid(),
        pid: peer.pid(),
        unit: peer.unit().map(str::to_owned),
        sequence: intent,
        artifact: order.context.artifact,
    });
    house.audit.outcome(intent, word, begin.elapsed(), note);
    result
}

fn refused(house: &House, peer: &Peer, key: &KeyName, denied: Denied) -> Refusal {
    house.refuse(peer, key.as_str(), &denied);
    denied.refusal
}

/// The one place where the token's failures become refusals; the detail stays in the journal.
pub fn failed(key: &KeyName, error: &TokenError) -> Refusal {
    // An unavailable token has told the journal once; each request that meets it need not.
    if !matches!(error, TokenError::Unavailable { .. } | TokenError::Busy) {
        tracing::warn!(chancery_key = %key, "key `{key}`: {error}");
    }
    error.refusal()
}

fn internal() -> Refusal {
    Refusal::new(Reason::Internal, "the daemon failed; its journal says how")
}

fn list(house: &House, peer: &Peer, request: &ListKeys) -> Keys {
    let rules = house.rules();
    let mut theirs = rules
        .policy
        .keys()
        .filter(|key| request.after.as_ref().is_none_or(|after| key.name > *after))
        .filter(|key| policy::permitted(key, peer).is_some());
    let keys = theirs.by_ref().take(Keys::PAGE).map(|key| {
        let algorithm =
            rules.keyring.key(&key.name).and_then(|keyed| keyed.known()).map(|key| key.algorithm.code());
        KeySummary { name: key.name.clone(), algorithm }
    });
    Keys { keys: keys.collect(), more: theirs.next().is_some() }
}

/// A key that a peer may use, and how.
struct Permitted {
    key: Arc<Key>,
    keyed: Arc<Keyed>,
    formats: Vec<Format>,
    schemes: Vec<Scheme>,
}

/// The key of this name, if `peer` may use it; for every other name the same answer.
fn permitted(house: &House, peer: &Peer, name: &KeyName) -> Result<Permitted, Refusal> {
    let rules = house.rules();
    let found = rules.policy.key(name).and_then(|key| {
        let (formats, schemes) = policy::permitted(key, peer)?;
        let keyed = Arc::clone(rules.keyring.key(name)?);
        Some(Permitted { key: Arc::clone(key), keyed, formats, schemes })
    });
    found.ok_or_else(|| {
        let exists = rules.policy.key(name).is_some();
        let detail = if exists { "no rule names this peer" } else { "there is no such key" };
        refused(house, peer, name, Denied::not_permitted(name, detail))
    })
}

async fn describe(house: &House, peer: &Peer, request: &DescribeKey) -> Result<KeyDescription, Refusal> {
    let Permitted { key, keyed, formats, schemes } = permitted(house, peer, &request.key)?;
    let public = keyed.public().await.map_err(|error| failed(&key.name, &error))?;
    let mut description = description(house, &key, public);
    description.schemes = schemes
        .into_iter()
        .filter(|scheme| scheme.fits(public.algorithm))
        .filter(|scheme| scheme.hash().is_some() || key.file.inputs.contains(&Input::Message))
        .map(Scheme::code)
        .collect();
    description.formats = formats.into_iter().map(Format::code).collect();
    if key.file.uri_is == policy::Visibility::Shown {
        description.uri = Some(key.file.uri.to_string());
    }
    Ok(description)
}

/// What is said of a key to everybody who may use it.
pub fn description(house: &House, key: &Key, public: &Public) -> KeyDescription {
    let seconds = |time: jiff::Timestamp| u64::try_from(time.as_second()).unwrap_or(0);
    KeyDescription {
        name: key.name.clone(),
        description: key.file.description.clone(),
        algorithm: public.algorithm.code(),
        public_key: ByteBuf::from(public.spki.clone()),
        schemes: public.algorithm.schemes().map(Scheme::code).collect(),
        formats: Vec::new(),
        created: key.file.created.and_then(|time| u32::try_from(time.as_second()).ok()),
        not_after: key.file.not_after.map(seconds),
        uri: None,
        certificates: house.certificates.kinds(&key.name).into_iter().map(CertificateKind::code).collect(),
        extensions: Vec::new(),
    }
}

fn certificate(house: &House, peer: &Peer, request: &FetchCertificate) -> Result<Certificate, Refusal> {
    let Permitted { key, .. } = permitted(house, peer, &request.key)?;
    let kind = CertificateKind::from_code(request.kind).ok_or_else(|| {
        Refusal::new(Reason::Unsupported, format!("certificate kind {} is not known here", request.kind))
    })?;
    match house.certificates.fetch(&key.name, kind) {
        Ok(Some(bytes)) => Ok(Certificate { kind: kind.code(), bytes: ByteBuf::from(bytes) }),
        Ok(None) => Err(Refusal::new(
            Reason::Unsupported,
            format!("no {kind} certificate is stored with key `{}`", key.name),
        )),
        Err(error) => {
            tracing::error!(chancery_key = %key.name, "the {kind} certificate of key `{}`: {error}", key.name);
            Err(internal())
        }
    }
}
