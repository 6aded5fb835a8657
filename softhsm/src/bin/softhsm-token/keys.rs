//! What is done inside a token, through PKCS#11. Prepared tokens are named after this file: a change makes new ones.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use chancery_protocol::{Algorithm, KeyName};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

/// Loads the module at this path, which finds its configuration in the environment.
pub(crate) fn load(path: &Path) -> anyhow::Result<Pkcs11> {
    let module = Pkcs11::new(path).with_context(|| format!("cannot load {}", path.display()))?;
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .with_context(|| format!("{} does not start", path.display()))?;
    Ok(module)
}

/// Makes a token in the first slot that has none, with a security officer's PIN that nobody keeps.
pub(crate) fn initialize(module: &Pkcs11, label: &str, pin: &AuthPin) -> anyhow::Result<()> {
    let blank = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|token| !token.token_initialized());
    let slots = module.get_slots_with_token().context("cannot list the slots")?;
    let slot = slots.into_iter().find(blank).context("no slot without a token")?;
    let mut officer = [0; 16];
    getrandom::fill(&mut officer).context("cannot get random bytes for the security officer's PIN")?;
    let officer = AuthPin::from(hex::encode(officer));
    module.init_token(slot, &officer, label).context("cannot initialise the token")?;
    let session = module.open_rw_session(find(module, label)?).context("cannot open a session")?;
    session.login(UserType::So, Some(&officer)).context("cannot log in as security officer")?;
    session.init_pin(pin).context("cannot set the PIN")
}

/// A session of a logged-in user on the token with this label.
pub(crate) fn log_in(module: &Pkcs11, label: &str, pin: &AuthPin) -> anyhow::Result<Session> {
    let session = module.open_rw_session(find(module, label)?).context("cannot open a session")?;
    session.login(UserType::User, Some(pin)).context("cannot log in")?;
    Ok(session)
}

/// The slot is looked for by label: SoftHSM gives a token another slot number once it is initialised.
fn find(module: &Pkcs11, label: &str) -> anyhow::Result<Slot> {
    let ours = |slot: &Slot| {
        module.get_token_info(*slot).is_ok_and(|token| token.token_initialized() && token.label() == label)
    };
    let slots = module.get_slots_with_token().context("cannot list the slots")?;
    slots.into_iter().find(ours).with_context(|| format!("no token is labelled `{label}`"))
}

/// Generates a key pair that signs and does nothing else.
pub(crate) fn generate(session: &Session, name: &KeyName, algorithm: Algorithm) -> anyhow::Result<()> {
    let label = Attribute::Label(name.as_str().into());
    let taken = session.find_objects(std::slice::from_ref(&label)).context("cannot search the token")?;
    ensure!(taken.is_empty(), "the token already has an object `{name}`");
    let id = Attribute::Id(session.generate_random_vec(20).context("cannot get random bytes for CKA_ID")?);
    // What is left out of a template is the module's choice, and SoftHSM's is to allow it.
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        label.clone(),
        id.clone(),
    ];
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        label,
        id,
    ];
    let mechanism = match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
            let bits = u64::try_from(algorithm.signature_len() * 8)?;
            public.extend([Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])]);
            Mechanism::RsaPkcsKeyPairGen
        }
        Algorithm::P256 => elliptic(&mut public, &mut private, PRIME256V1),
        Algorithm::P384 => elliptic(&mut public, &mut private, SECP384R1),
        Algorithm::P521 => elliptic(&mut public, &mut private, SECP521R1),
        Algorithm::Ed25519 => {
            elliptic(&mut public, &mut private, EDWARDS25519);
            Mechanism::EccEdwardsKeyPairGen
        }
    };
    session
        .generate_key_pair(&mechanism, &public, &private)
        .with_context(|| format!("cannot generate `{name}` ({algorithm})"))?;
    Ok(())
}

fn elliptic(public: &mut Vec<Attribute>, private: &mut Vec<Attribute>, curve: &[u8]) -> Mechanism<'static> {
    public.push(Attribute::EcParams(curve.to_owned()));
    private.push(Attribute::Derive(false));
    Mechanism::EccKeyPairGen
}

/// Lets each private key sign a digest that its public key then verifies. One line for each key, sorted.
pub(crate) fn check(session: &Session) -> anyhow::Result<Vec<String>> {
    let keys = session
        .find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])
        .context("cannot search the token")?;
    let mut lines =
        keys.into_iter().map(|key| check_one(session, key)).collect::<anyhow::Result<Vec<_>>>()?;
    lines.sort();
    Ok(lines)
}

fn check_one(session: &Session, private: ObjectHandle) -> anyhow::Result<String> {
    let mut line = String::new();
    let mut id = None;
    let wanted = [
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::AlwaysSensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
        AttributeType::Sign,
        AttributeType::Decrypt,
        AttributeType::Derive,
    ];
    for attribute in
        session.get_attributes(private, &wanted).context("cannot read a private key's attributes")?
    {
        match attribute {
            Attribute::Label(label) => line.insert_str(0, &String::from_utf8_lossy(&label)),
            Attribute::Id(bytes) => id = Some(bytes),
            Attribute::Private(true) => line.push_str(" private"),
            Attribute::Sensitive(true) => line.push_str(" sensitive"),
            Attribute::AlwaysSensitive(true) => line.push_str(" always-sensitive"),
            Attribute::Extractable(true) => line.push_str(" EXTRACTABLE"),
            Attribute::NeverExtractable(true) => line.push_str(" never-extractable"),
            Attribute::Sign(true) => line.push_str(" signs"),
            Attribute::Decrypt(true) => line.push_str(" DECRYPTS"),
            Attribute::Derive(true) => line.push_str(" DERIVES"),
            _ => {}
        }
    }
    let id = id.with_context(|| format!("`{line}` has no CKA_ID"))?;
    let public = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    let public = session.find_objects(&public).context("cannot search the token")?;
    let [public] = public[..] else { bail!("`{line}` has {} public keys", public.len()) };
    sign_and_verify(session, private, public).with_context(|| format!("`{line}` does not sign"))?;
    Ok(line)
}

/// Signs 32 bytes, as they stand: they have the length of a SHA-256 digest.
fn sign_and_verify(session: &Session, private: ObjectHandle, public: ObjectHandle) -> anyhow::Result<()> {
    let kind = session.get_attributes(private, &[AttributeType::KeyType])?;
    let mechanism = match kind[..] {
        [Attribute::KeyType(KeyType::RSA)] => Mechanism::RsaPkcs,
        [Attribute::KeyType(KeyType::EC)] => Mechanism::Ecdsa,
        [Attribute::KeyType(KeyType::EC_EDWARDS)] => {
            Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure))
        }
        _ => return Err(anyhow!("its type is not one that Chancery knows: {kind:?}")),
    };
    let digest = [0x5a; 32];
    let signature = session.sign(&mechanism, private, &digest)?;
    Ok(session.verify(&mechanism, public, &digest, &signature)?)
}

/// CKA_EC_PARAMS in DER: the curves' object identifiers (RFC 5480, section 2.1.1.1).
const PRIME256V1: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const SECP521R1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
/// The curve's name as a PrintableString (PKCS#11 3.0, section 2.3.5), the form that SoftHSM and Kryoptic both take.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
