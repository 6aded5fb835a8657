//! A PKCS#11 module and one token in it: the only place that calls one. Lives in worker processes.

use std::collections::HashMap;

use chancery_protocol::{Algorithm, PublicKey};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::ckr;
use super::uri::Uri;
use super::wire::{Class, Fault, SignMechanism, Start};

/// An initialised module and the token that was looked for, logged in.
pub struct Token {
    module: Pkcs11,
    slot: Slot,
    read_only: bool,
    /// Login belongs to the application and ends with its last session, so one stays open.
    _login: Session,
}

impl Token {
    /// Loads the module, finds the token and logs in.
    pub fn open(start: &Start, pin: &AuthPin) -> Result<Self, Fault> {
        let uri: Uri = start.token.parse().map_err(|bad| operator(format!("{bad}")))?;
        let context =
            |fault: Fault| Fault { text: format!("module {}: {}", start.module, fault.text), ..fault };
        let module = Pkcs11::new(&start.module).map_err(|error| context(ckr::fault(&error)))?;
        module
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(|error| context(passing(ckr::fault(&error))))?;
        let slot = find(&module, &uri).map_err(context)?;
        let login =
            open(&module, slot, start.read_only).map_err(|error| context(passing(ckr::fault(&error))))?;
        match login.login(UserType::User, Some(pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            // Whatever a login fails with, the PIN is not tried again unless the token itself was away.
            Err(error) => {
                let fault = ckr::fault(&error);
                let class = if fault.class == Class::Request { Class::Operator } else { fault.class };
                return Err(context(Fault { class, ..fault }));
            }
        }
        Ok(Self { module, slot, read_only: start.read_only, _login: login })
    }

    /// Opens one more session, with an empty cache.
    pub fn session(&self) -> Result<TokenSession, Fault> {
        let session = open(&self.module, self.slot, self.read_only).map_err(|error| ckr::fault(&error))?;
        Ok(TokenSession { session, handles: HashMap::new() })
    }
}

fn open(module: &Pkcs11, slot: Slot, read_only: bool) -> Result<Session, Error> {
    if read_only { module.open_ro_session(slot) } else { module.open_rw_session(slot) }
}

fn operator(text: String) -> Fault {
    Fault { class: Class::Operator, text }
}

/// At the start, before anything was signed, a failure of the module is one of the token's way back, whatever its code
/// says; only the PIN's own codes and a missing module stay the operator's.
fn passing(fault: Fault) -> Fault {
    match fault.class {
        Class::Operator => fault,
        _ => Fault { class: Class::Fatal, ..fault },
    }
}

/// The slot whose token `uri` names. A slot that cannot be asked is skipped: some modules have one that always fails.
fn find(module: &Pkcs11, uri: &Uri) -> Result<Slot, Fault> {
    let slots = module.get_slots_with_token().map_err(|error| passing(ckr::fault(&error)))?;
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for slot in slots {
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        let here = Uri {
            token: Some(info.label().to_owned()),
            serial: Some(info.serial_number().to_owned()),
            manufacturer: Some(info.manufacturer_id().to_owned()),
            model: Some(info.model().to_owned()),
            ..Uri::default()
        };
        if uri.lies_in(&here) {
            found.push(slot);
        }
        seen.push(format!("`{}`", info.label()));
    }
    match found[..] {
        [slot] => Ok(slot),
        // The token may come back, so this is not the operator's fault for good.
        [] => Err(Fault {
            class: Class::Fatal,
            text: format!(
                "no token {uri} in it; {}",
                if seen.is_empty() {
                    "it has no token at all".to_owned()
                } else {
                    format!("it has {}", seen.join(", "))
                }
            ),
        }),
        _ => Err(operator(format!("{} tokens match {uri}; add `serial=` to the uri", found.len()))),
    }
}

/// A session, and the handles of objects that were looked up in it.
pub struct TokenSession {
    session: Session,
    handles: HashMap<String, ObjectHandle>,
}

impl TokenSession {
    /// Signs with the private key object that `object` names. A stale handle is looked up again, once.
    pub fn sign(&mut self, object: &str, mechanism: SignMechanism, input: &[u8]) -> Result<Vec<u8>, Fault> {
        let mechanism = mechanism_of(mechanism);
        for last in [false, true] {
            let handle = self.handle(object)?;
            match self.session.sign(&mechanism, handle, input).map_err(|error| ckr::fault(&error)) {
                Err(fault) if fault.class == Class::Stale && !last => self.handles.clear(),
                result => return result,
            }
        }
        Err(Fault { class: Class::Fatal, text: "the key's handle does not stay valid".to_owned() })
    }

    fn handle(&mut self, object: &str) -> Result<ObjectHandle, Fault> {
        if let Some(&handle) = self.handles.get(object) {
            return Ok(handle);
        }
        let handle = self.find(object, ObjectClass::PRIVATE_KEY)?;
        self.handles.insert(object.to_owned(), handle);
        Ok(handle)
    }

    fn find(&self, object: &str, class: ObjectClass) -> Result<ObjectHandle, Fault> {
        let request = |text: String| Fault { class: Class::Request, text };
        let uri: Uri = object.parse().map_err(|bad| request(format!("{bad}")))?;
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        template.extend(uri.object.map(|label| Attribute::Label(label.into_bytes())));
        template.extend(uri.id.map(Attribute::Id));
        let found = self.session.find_objects(&template).map_err(|error| ckr::fault(&error))?;
        let kind = if class == ObjectClass::PUBLIC_KEY { "public key" } else { "private key" };
        match found[..] {
            [handle] => Ok(handle),
            [] => Err(request(format!("the token has no {kind} object {object}"))),
            _ => Err(request(format!(
                "the token has {} {kind} objects {object}; add `id=` to the uri",
                found.len()
            ))),
        }
    }

    /// The public key that belongs to the private key object `object`.
    pub fn public_key(&mut self, object: &str) -> Result<PublicKey, Fault> {
        let private = self.handle(object)?;
        // RSA private objects hold modulus and exponent; a curve's point is only in the public object.
        if let Some(key) = self.rsa(private)? {
            return Ok(key);
        }
        let public = self.find(object, ObjectClass::PUBLIC_KEY).map_err(|fault| Fault {
            text: format!("{}; it is needed to know the key's point: import the public key too", fault.text),
            ..fault
        })?;
        match self.rsa(public)? {
            Some(key) => Ok(key),
            None => self.point(public),
        }
    }

    fn rsa(&self, handle: ObjectHandle) -> Result<Option<PublicKey>, Fault> {
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let attributes = match self.session.get_attributes(handle, &wanted) {
            Ok(attributes) => attributes,
            Err(Error::Pkcs11(RvError::AttributeTypeInvalid, _)) => return Ok(None),
            Err(error) => return Err(ckr::fault(&error)),
        };
        let (mut n, mut e) = (Vec::new(), Vec::new());
        for attribute in attributes {
            match attribute {
                Attribute::Modulus(bytes) => n = unpadded(&bytes),
                Attribute::PublicExponent(bytes) => e = unpadded(&bytes),
                _ => {}
            }
        }
        Ok((!n.is_empty() && !e.is_empty()).then_some(PublicKey::Rsa { n, e }))
    }

    fn point(&self, handle: ObjectHandle) -> Result<PublicKey, Fault> {
        let attributes = self
            .session
            .get_attributes(handle, &[AttributeType::EcPoint])
            .map_err(|error| ckr::fault(&error))?;
        let unusable =
            || Fault { class: Class::Request, text: "the key's CKA_EC_POINT is of no known form".to_owned() };
        let Some(Attribute::EcPoint(bytes)) = attributes.into_iter().next() else { return Err(unusable()) };
        let point = octet_string(&bytes).unwrap_or(&bytes);
        match point.len() {
            32 => Ok(PublicKey::Ed25519 { point: point.try_into().map_err(|_| unusable())? }),
            65 | 97 | 133 if point[0] == 4 => Ok(PublicKey::Ec { point: point.to_vec() }),
            _ => Err(unusable()),
        }
    }

    /// Makes a key pair that never leaves the token, and tells the public half.
    pub fn generate(&mut self, label: &str, algorithm: Algorithm) -> Result<PublicKey, Fault> {
        let same_label = [Attribute::Label(label.as_bytes().to_vec())];
        if !self.session.find_objects(&same_label).map_err(|error| ckr::fault(&error))?.is_empty() {
            let text = format!("the token has an object labelled `{label}` already");
            return Err(Fault { class: Class::Request, text });
        }
        let id = self.session.generate_random_vec(ID_LEN).map_err(|error| ckr::fault(&error))?;
        let (mechanism, parameters) = generation(algorithm);
        let both = [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id)];
        let mut public = vec![Attribute::Private(false), Attribute::Verify(true)];
        public.extend(parameters);
        public.extend_from_slice(&both);
        let mut private = vec![
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            // A signing key does nothing else; some tokens allow what a template leaves out.
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ];
        private.extend_from_slice(&both);
        self.session.generate_key_pair(&mechanism, &public, &private).map_err(|error| ckr::fault(&error))?;
        self.public_key(&Uri { object: Some(label.to_owned()), ..Uri::default() }.to_string())
    }
}

/// Length of the CKA_ID of keys that are made here, in bytes.
const ID_LEN: u32 = 16;

fn unpadded(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|&byte| byte == 0).collect()
}

/// The content of a DER OCTET STRING that fills `bytes`: how PKCS#11 wraps a point (section 6.3.3); some modules do not.
fn octet_string(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [0x04, length, content @ ..] if usize::from(*length) == content.len() && *length < 0x80 => {
            Some(content)
        }
        [0x04, 0x81, length, content @ ..] if usize::from(*length) == content.len() => Some(content),
        _ => None,
    }
}

fn mechanism_of(mechanism: SignMechanism) -> Mechanism<'static> {
    let pss = |hash_alg, mgf, length: u8| {
        Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len: u64::from(length).into() })
    };
    match mechanism {
        SignMechanism::RsaPkcs => Mechanism::RsaPkcs,
        SignMechanism::RsaPssSha256 => pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        SignMechanism::RsaPssSha384 => pss(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        SignMechanism::RsaPssSha512 => pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
        SignMechanism::Ecdsa => Mechanism::Ecdsa,
        SignMechanism::Eddsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
    }
}

/// How a key pair is made: mechanism, and the public template's parameters.
fn generation(algorithm: Algorithm) -> (Mechanism<'static>, Vec<Attribute>) {
    let rsa = |bits: u64| {
        let parameters = vec![Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])];
        (Mechanism::RsaPkcsKeyPairGen, parameters)
    };
    // DER of the named curve's object identifier (RFC 5480, section 2.1.1.1).
    let curve = |oid: &[u8]| (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(oid.to_vec())]);
    match algorithm {
        Algorithm::Rsa2048 => rsa(2048),
        Algorithm::Rsa3072 => rsa(3072),
        Algorithm::Rsa4096 => rsa(4096),
        Algorithm::P256 => curve(&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]),
        Algorithm::P384 => curve(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]),
        Algorithm::P521 => curve(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]),
        // PrintableString "edwards25519" (PKCS#11 3.0, section 2.3.10): the form that SoftHSM and Kryoptic both take.
        Algorithm::Ed25519 => {
            let name = [&[0x13, 12][..], b"edwards25519"].concat();
            (Mechanism::EccEdwardsKeyPairGen, vec![Attribute::EcParams(name)])
        }
    }
}
