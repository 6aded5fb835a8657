//! What PKCS#11 return values mean for the daemon: one table.

use cryptoki::error::{Error, RvError};

use super::wire::{Class, Fault};

/// Classes an error and puts it into words: code, C function, likely cause.
pub fn fault(error: &Error) -> Fault {
    match error {
        Error::Pkcs11(code, function) => {
            let (class, cause) = classed(*code);
            let text = format!("{} from C_{function:?}: {cause}", name(*code));
            Fault { class, text }
        }
        Error::LibraryLoading(error) => {
            Fault { class: Class::Operator, text: format!("the module cannot be loaded: {error}") }
        }
        Error::NullFunctionPointer | Error::MissingSymbol(_) => Fault {
            class: Class::Operator,
            text: format!("the module lacks a function that is needed: {error}"),
        },
        other => Fault { class: Class::Request, text: other.to_string() },
    }
}

/// The table. Everything that is not named is the request's own fault.
fn classed(code: RvError) -> (Class, &'static str) {
    use RvError as R;
    match code {
        R::PinIncorrect => {
            (Class::Operator, "the PIN is wrong; it is not tried again until the daemon is reloaded")
        }
        R::PinLocked => (
            Class::Operator,
            "the PIN is locked after too many wrong tries; the security officer has to reset it",
        ),
        R::PinExpired => (Class::Operator, "the PIN has expired; the token wants a new one"),
        R::PinInvalid | R::PinLenRange => {
            (Class::Operator, "the token cannot take this PIN; its length or characters do not fit")
        }
        R::UserPinNotInitialized => (Class::Operator, "the token has no user PIN yet"),
        R::TokenWriteProtected => (Class::Operator, "the token is write-protected"),
        R::SessionReadOnly => {
            (Class::Operator, "sessions are read-only; set `session-mode = \"read-write\"` to make keys")
        }
        R::SessionReadWriteSoExists | R::UserAnotherAlreadyLoggedIn => {
            (Class::Operator, "somebody else is logged in to the token")
        }

        R::FunctionFailed => (Class::Transient, "the token failed or is throttling"),
        R::SessionCount => (Class::Transient, "the token has no session left; lower `workers` or `sessions`"),
        R::DeviceMemory => (Class::Transient, "the token is out of memory"),
        R::OperationActive => (Class::Fatal, "the session is stuck in another operation"),
        R::FunctionCanceled => (Class::Transient, "the token gave the operation up"),

        R::KeyHandleInvalid | R::ObjectHandleInvalid => (Class::Stale, "the key's handle is no longer valid"),

        R::SessionClosed | R::SessionHandleInvalid => (Class::Fatal, "the session is gone"),
        R::UserNotLoggedIn => (Class::Fatal, "the login is gone"),
        R::DeviceError => (Class::Fatal, "the token has a problem, or the connection to it is gone"),
        R::DeviceRemoved => (Class::Fatal, "the token was removed, or the connection to it is gone"),
        R::TokenNotPresent | R::TokenNotRecognized | R::SlotIdInvalid => {
            (Class::Fatal, "the token is not there")
        }
        R::CryptokiNotInitialized => (Class::Fatal, "the module lost its state"),
        R::CryptokiAlreadyInitialized => (Class::Fatal, "the module was initialised twice"),
        R::GeneralError => (Class::Fatal, "the module cannot go on"),
        R::HostMemory => (Class::Fatal, "the module got no memory"),
        R::MutexBad | R::MutexNotLocked | R::CantLock | R::NeedToCreateThreads => {
            (Class::Fatal, "the module's locking failed")
        }
        R::LibraryLoadFailed => (Class::Fatal, "the module cannot load a library of its own"),
        R::FipsSelfTestFailed => (Class::Fatal, "the token's self-test failed"),

        R::KeyFunctionNotPermitted => (Class::Request, "the key may not sign (CKA_SIGN is false)"),
        R::KeyTypeInconsistent => (Class::Request, "the key is of another type than the mechanism needs"),
        R::KeySizeRange => (Class::Request, "the key's size does not fit the mechanism"),
        R::MechanismInvalid | R::MechanismParamInvalid => {
            (Class::Request, "the token does not have this mechanism")
        }
        R::DataLenRange | R::DataInvalid => (Class::Request, "the token refuses this input"),
        R::AttributeValueInvalid
        | R::AttributeTypeInvalid
        | R::TemplateInconsistent
        | R::TemplateIncomplete => (Class::Request, "the token does not take these attributes"),
        R::CurveNotSupported | R::DomainParamsInvalid => {
            (Class::Request, "the token does not have this curve")
        }
        R::FunctionNotSupported => (Class::Request, "the token does not have this function"),
        _ => (Class::Request, "the token refused"),
    }
}

/// The name of a return value as the standard writes it: `CKR_PIN_INCORRECT`.
fn name(code: RvError) -> String {
    if let RvError::VendorDefined(code) = code {
        return format!("CKR_VENDOR_DEFINED {code:#010x}");
    }
    let mut name = "CKR".to_owned();
    for c in format!("{code:?}").chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn an_error_names_code_function_and_cause() {
        let fault = fault(&Error::Pkcs11(RvError::PinIncorrect, Function::Login));
        assert_eq!(fault.class, Class::Operator);
        assert!(fault.text.starts_with("CKR_PIN_INCORRECT from C_Login: the PIN is wrong"), "{}", fault.text);
    }

    #[test]
    fn a_wrong_pin_is_never_retried_and_a_lost_device_is() {
        for code in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired, RvError::PinLenRange] {
            assert_eq!(classed(code).0, Class::Operator, "{code:?}");
        }
        for code in [
            RvError::DeviceRemoved,
            RvError::DeviceError,
            RvError::GeneralError,
            RvError::SessionHandleInvalid,
        ] {
            assert_eq!(classed(code).0, Class::Fatal, "{code:?}");
        }
    }
}
