//! A key in the token, as a program uses it that calls the module itself.

use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

/// A session with its key, whose handle is looked up once.
pub struct Signer {
    session: Session,
    handle: ObjectHandle,
    algorithm: Algorithm,
    input: Vec<u8>,
    number: u32,
}

impl Signer {
    /// Logs in and opens `COUNT` sessions.
    pub fn open<const COUNT: usize>(module: &Path, label: &str, pin: &Path, key: &str) -> [Self; COUNT] {
        let algorithm: Algorithm = key.parse().unwrap();
        let module = Pkcs11::new(PathBuf::from(module)).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slots = module.get_slots_with_token().unwrap();
        let slot = slots
            .into_iter()
            .find(|&slot| module.get_token_info(slot).is_ok_and(|info| info.label() == label));
        let slot = slot.unwrap();
        let pin = std::fs::read_to_string(pin).unwrap();
        let pin = AuthPin::new(pin.trim_end().into());
        // What the daemon hands to the token: a DigestInfo for RSA, else the digest.
        let length = match algorithm {
            Algorithm::Ed25519 => 64,
            Algorithm::P256 => 32,
            _ => 51,
        };
        let mut first = true;
        [(); COUNT].map(|()| {
            let session = module.open_rw_session(slot).unwrap();
            if std::mem::take(&mut first) {
                session.login(UserType::User, Some(&pin)).unwrap();
            }
            let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(key.into())];
            let handle = session.find_objects(&template).unwrap()[0];
            Self { session, handle, algorithm, input: vec![0x5a; length], number: 0 }
        })
    }

    /// C_SignInit and C_Sign over another input each time.
    pub fn sign(&mut self) -> Vec<u8> {
        let mechanism = match self.algorithm {
            Algorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
            Algorithm::P256 => Mechanism::Ecdsa,
            _ => Mechanism::RsaPkcs,
        };
        self.input[..4].copy_from_slice(&self.number.to_be_bytes());
        self.number = self.number.wrapping_add(1);
        self.session.sign(&mechanism, self.handle, &self.input).unwrap()
    }
}
