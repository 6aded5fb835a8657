//! Who made a timestamp: the certificate that a token holds, and whether it is one for that (RFC 3161, section 2.3).

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};

use super::Error;
use super::error::told;
use crate::cms::{Signature, check_named, embedded, path};
use crate::x509::{Certificate, Subject};

/// id-kp-timeStamping (RFC 3161, section 2.3).
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Whose timestamps are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Those of any TSA: whoever verifies the signature later decides.
    #[default]
    Anyone,
    /// Those of TSAs that one of these certificates vouches for.
    Among(Vec<Certificate>),
}

/// Checks the signature of a token over what it says, of which `time` is a part, and who made it. Gives the TSA's name.
pub(super) fn check(signature: &Signature, time: u64, trust: &Trust) -> Result<Subject, Error> {
    let held = embedded(signature);
    let signer = held.iter().find(|one| signature.names(one));
    let signer =
        signer.ok_or(Error::Malformed("does not hold its TSA's certificate, or one that is known here"))?;
    let subject = signer.subject();
    let bad = |why| Error::Certificate { subject: subject.to_string(), why };
    let malformed = |error| Error::Malformed(told(&error));
    signature.check(signer).map_err(malformed)?;
    // Or a certificate of the same name could be put into its place (section 2.4.2; RFC 5816, section 2.2.1).
    let attributes = signature.attributes.as_ref().ok_or(Error::Malformed("has no signed attributes"))?;
    check_named(attributes, signer).map_err(malformed)?;
    if !is_for_timestamps(signer) {
        return Err(bad(
            "is not for timestamps alone (a critical extended key usage, RFC 3161, section 2.3)",
        ));
    }
    let valid = |one: &Certificate| {
        let validity = one.parsed().tbs_certificate().validity();
        let (begin, end) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        (begin.as_secs()..=end.as_secs()).contains(&time)
    };
    if !valid(signer) {
        return Err(bad("was not valid at the timestamp's time"));
    }
    if let Trust::Among(anchors) = trust {
        let path = path(signer, &held, anchors).ok_or_else(|| Error::Untrusted(subject.to_string()))?;
        if !path.into_iter().all(valid) {
            return Err(bad("is vouched for by one that was not valid at the timestamp's time"));
        }
    }
    Ok(subject)
}

/// Whether the key may sign timestamps, and nothing else.
fn is_for_timestamps(certificate: &Certificate) -> bool {
    let said = certificate.parsed().tbs_certificate();
    let alone = matches!(
        said.get_extension::<ExtendedKeyUsage>(),
        Ok(Some((true, usage))) if usage.0 == [TIME_STAMPING]
    );
    let signs = match said.get_extension::<KeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, usage))) => usage.digital_signature() || usage.non_repudiation(),
        Err(_) => false,
    };
    alone && signs
}
