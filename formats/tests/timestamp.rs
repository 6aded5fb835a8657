//! Timestamps by `openssl ts`, and what hostile or careless servers could send instead.
#![cfg(feature = "pe")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use chancery_formats::timestamp::{Error, Imprint, Kind, MAX_LEN, Request, Trust, attach, is_stamped, read};
use chancery_formats::x509::Certificate;
use proptest::prelude::*;
use support::{have, run, write};
use tempfile::TempDir;

/// The policy that is asked for where one is, and the one that the server takes unasked.
const POLICY: &str = "1.2.3.4.2";
const USUAL: &str = "1.2.3.4.1";
/// Dates that any timestamp here lies between.
const LONG: &str = "-startdate 20200101000000Z -enddate 20491231235959Z";
/// What a certificate for timestamps says.
const PURPOSE: &str = "extendedKeyUsage = critical, timeStamping\n";

/// A signature in DER that is kept, so that no key is needed: Authenticode by a P-256 key.
fn signature(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/pe_signature").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// `openssl ts` with an authority of its own.
struct Tsa {
    folder: TempDir,
}

impl Tsa {
    fn new() -> Self {
        Self::with("ess_cert_id_alg = sha256\n")
    }

    fn with(settings: &str) -> Self {
        let tsa = Self { folder: TempDir::new().unwrap() };
        let settings = format!(
            "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\n\
             certs = ca.pem\nsigner_key = tsa.key\nsigner_digest = sha256\ndefault_policy = {USUAL}\n\
             other_policies = {POLICY}\ndigests = sha256, sha384\naccuracy = secs:1\nordering = yes\n\
             tsa_name = yes\ness_cert_id_chain = no\n{settings}"
        );
        write(tsa.folder.path(), "tsa.cnf", settings);
        write(tsa.folder.path(), "serial", "01\n");
        tsa.shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj /CN=Authority",
        );
        tsa.certificate("tsa", PURPOSE, LONG);
        tsa
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shell(&self, line: &str) -> String {
        run(Command::new("sh").args(["-e", "-c", line]).current_dir(self.folder.path()))
    }

    /// Makes `NAME.pem` and `NAME.key`, of a certificate that the authority issued, with `dates` of `openssl ca`.
    fn certificate(&self, name: &str, extensions: &str, dates: &str) {
        write(self.folder.path(), "extensions", format!("[e]\nbasicConstraints = CA:false\n{extensions}"));
        write(
            self.folder.path(),
            "ca.cnf",
            "[ca]\ndefault_ca = c\n[c]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\n\
             policy = p\nunique_subject = no\ndefault_days = 3650\n[p]\ncommonName = supplied\n",
        );
        self.shell(&format!(
            ": > index
             openssl req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj '/CN=TSA {name}'
             openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in {name}.csr -out {name}.pem \
                -extfile extensions -extensions e {dates}"
        ));
    }

    /// The answer to a request.
    fn answer(&self, request: &Request) -> Vec<u8> {
        write(self.folder.path(), "query", request.to_der().unwrap());
        self.shell("openssl ts -reply -config tsa.cnf -queryfile query -out reply");
        fs::read(self.path("reply")).unwrap()
    }

    /// The token of an answer.
    fn token(&self, request: &Request) -> Vec<u8> {
        self.answer(request);
        self.shell("openssl ts -reply -in reply -token_out -out token");
        fs::read(self.path("token")).unwrap()
    }

    /// A token that says the same as `token`, signed by the key of another certificate; `options` of `openssl cms`.
    fn forged(&self, token: &[u8], name: &str, options: &str) -> Vec<u8> {
        write(self.folder.path(), "token", token);
        self.shell(&format!(
            "openssl cms -verify -noverify -in token -inform DER -binary -out info
             openssl cms -sign -nodetach -binary -in info -econtent_type 1.2.840.113549.1.9.16.1.4 \
                -signer {name}.pem -inkey {name}.key -outform DER -out forged {options}"
        ));
        fs::read(self.path("forged")).unwrap()
    }

    fn trust(&self) -> Trust {
        Trust::Among(vec![Certificate::parse(&fs::read(self.path("ca.pem")).unwrap()).unwrap()])
    }
}

fn request(name: &str) -> Request {
    Request::of(&signature(name), None).unwrap()
}

#[test]
fn a_timestamp_of_openssl_is_checked_attached_and_read_again() {
    if !have(&["openssl"]) {
        return;
    }
    // Also the older way to name the certificate by its hash.
    for settings in ["ess_cert_id_alg = sha256\n", "ess_cert_id_alg = sha1\n", "ess_cert_id_alg = sha384\n"] {
        let tsa = Tsa::with(settings);
        for name in ["p256", "rsa2048"] {
            let signature = signature(name);
            for policy in [None, Some(POLICY)] {
                let policy = policy.map(|policy| policy.parse().unwrap());
                let request = Request::of(&signature, policy).unwrap();
                let token = request.answered(&tsa.answer(&request), &tsa.trust(), now()).unwrap();
                assert_eq!(token.tsa().to_string(), "CN=TSA tsa");
                assert_eq!(
                    token.policy().to_string(),
                    policy.map_or(USUAL.into(), |policy| policy.to_string())
                );
                assert!(token.time().abs_diff(now()) < 60);
                for (kind, other) in [(Kind::Authenticode, Kind::Cms), (Kind::Cms, Kind::Authenticode)] {
                    let stamped = attach(&signature, &token, kind).unwrap();
                    assert!(is_stamped(&stamped, kind).unwrap() && !is_stamped(&stamped, other).unwrap());
                    assert_eq!(read(&stamped, kind, &tsa.trust()).unwrap(), Some(token.clone()));
                    assert_eq!(read(&stamped, other, &tsa.trust()).unwrap(), None);
                }
            }
        }
    }
}

#[test]
fn a_query_is_what_openssl_reads() {
    if !have(&["openssl"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let signature = signature("p256");
    let request = Request::of(&signature, Some(POLICY.parse().unwrap())).unwrap();
    let query = write(folder.path(), "query", request.to_der().unwrap());
    let said = run(Command::new("openssl").args(["ts", "-query", "-text", "-in"]).arg(query));
    for line in ["Version: 1", "Hash Algorithm: sha256", "Policy OID: 1.2.3.4.2", "Certificate required: yes"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("Nonce: 0x"), "{said}");
    let again = Request::of(&signature, Some(POLICY.parse().unwrap())).unwrap();
    assert_ne!(request.to_der().unwrap(), again.to_der().unwrap(), "nonces do not come twice");
}

#[test]
fn what_is_not_the_answer_to_this_request_is_refused() {
    if !have(&["openssl"]) {
        return;
    }
    let tsa = Tsa::new();
    let trust = tsa.trust();
    let (first, again, other) = (request("p256"), request("p256"), request("rsa2048"));
    let answer = tsa.answer(&first);
    assert!(first.answered(&answer, &trust, now()).is_ok());
    assert!(matches!(again.answered(&answer, &trust, now()), Err(Error::Nonce)));
    assert!(matches!(other.answered(&answer, &trust, now()), Err(Error::AnotherSignature { .. })));
    for wrong in [now() - 7200, now() + 7200, 0] {
        assert!(matches!(first.answered(&answer, &trust, wrong), Err(Error::Clock { .. })), "{wrong}");
    }
    let asked = Request::of(&signature("p256"), Some(POLICY.parse().unwrap())).unwrap();
    let token = tsa.token(&first);
    assert!(matches!(asked.kept(&token, &trust), Err(Error::Policy { .. })));
    // A kept one is good for any request about the same signature, and for no other.
    let kept = again.kept(&token, &trust).unwrap();
    assert!(matches!(other.kept(&token, &trust), Err(Error::AnotherSignature { .. })));
    let refused = attach(&signature("rsa2048"), &kept, Kind::Cms).unwrap_err();
    assert!(matches!(refused, Error::AnotherSignature { .. }), "{refused}");
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    if !have(&["openssl"]) {
        return;
    }
    let tsa = Tsa::new();
    let request = Request::of(&signature("p256"), Some("1.2.3.4.9".parse().unwrap())).unwrap();
    let error = request.answered(&tsa.answer(&request), &Trust::Anyone, now()).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if !refusal.may_pass()));
    let told = error.to_string();
    assert!(told.starts_with("the server gives no timestamp: rejection, unacceptedPolicy ("), "{told}");
    assert!(told.contains("`Requested policy is not supported.`"), "{told}");
    // Status, failure bits, and whether it may pass.
    let answers: [(&[u8], &str, bool); 5] = [
        (b"\x30\x05\x30\x03\x02\x01\x03", "waiting", true),
        (b"\x30\x0c\x30\x0a\x02\x01\x02\x03\x05\x06\x00\x00\x00\x40", "rejection, systemFailure (", true),
        (b"\x30\x09\x30\x07\x02\x01\x02\x03\x02\x07\x80", "rejection, badAlg (", false),
        (b"\x30\x05\x30\x03\x02\x01\x02", "rejection", false),
        (
            b"\x30\x14\x30\x12\x02\x01\x02\x30\x0d\x0c\x04\x1b[2J\x0c\x05again",
            "rejection, `[2J; again`",
            false,
        ),
    ];
    for (answer, begin, passes) in answers {
        let error = request.answered(answer, &Trust::Anyone, now()).unwrap_err();
        let Error::Refused(refusal) = error else { panic!("{begin}: {error}") };
        assert!(refusal.to_string().starts_with(begin), "{refusal}");
        assert_eq!(refusal.may_pass(), passes, "{refusal}");
    }
}

#[test]
fn only_a_certificate_for_timestamps_that_was_valid_then_makes_them() {
    if !have(&["openssl"]) {
        return;
    }
    let tsa = Tsa::new();
    let request = request("p256");
    let token = tsa.token(&request);
    let past = "-startdate 20200101000000Z -enddate 20210101000000Z";
    let certificates = [
        ("good", PURPOSE, LONG, "-cades", None),
        ("nothing", "", LONG, "-cades", Some("not for timestamps alone")),
        ("weak", "extendedKeyUsage = timeStamping\n", LONG, "-cades", Some("not for timestamps alone")),
        (
            "code",
            "extendedKeyUsage = critical, codeSigning\n",
            LONG,
            "-cades",
            Some("not for timestamps alone"),
        ),
        (
            "both",
            "extendedKeyUsage = critical, timeStamping, codeSigning\n",
            LONG,
            "-cades",
            Some("not for timestamps alone"),
        ),
        (
            "usage",
            "extendedKeyUsage = critical, timeStamping\nkeyUsage = critical, keyEncipherment\n",
            LONG,
            "-cades",
            Some("not for timestamps alone"),
        ),
        ("expired", PURPOSE, past, "-cades", Some("was not valid at the timestamp's time")),
        ("unnamed", PURPOSE, LONG, "", Some("names no signing certificate by its hash")),
        ("absent", PURPOSE, LONG, "-cades -nocerts", Some("does not hold its TSA's certificate")),
    ];
    for (name, extensions, dates, options, wrong) in certificates {
        tsa.certificate(name, extensions, dates);
        let forged = tsa.forged(&token, name, options);
        let checked = request.kept(&forged, &tsa.trust());
        match wrong {
            None => assert_eq!(checked.unwrap().tsa().to_string(), format!("CN=TSA {name}")),
            Some(why) => {
                let error = checked.unwrap_err().to_string();
                assert!(error.contains(why), "{name}: {error}");
            }
        }
    }
    // The same of an authority that nobody asked for.
    let other = Tsa::new();
    let error = request.kept(&token, &other.trust()).unwrap_err();
    assert!(matches!(&error, Error::Untrusted(subject) if subject == "CN=TSA tsa"), "{error}");
    assert!(request.kept(&token, &Trust::Anyone).is_ok());
}

#[test]
fn a_certificate_of_the_same_name_is_not_taken_for_the_tsas() {
    if !have(&["openssl"]) {
        return;
    }
    let tsa = Tsa::new();
    let request = request("p256");
    // The same key, name and serial number, but another certificate.
    tsa.certificate("twin", PURPOSE, LONG);
    tsa.shell(
        "printf 'basicConstraints = CA:false\\nextendedKeyUsage = critical, timeStamping\\n' > e
         serial=0x$(openssl x509 -in twin.pem -noout -serial | cut -d= -f2)
         openssl x509 -req -in twin.csr -CA ca.pem -CAkey ca.key -set_serial $serial -days 99 -extfile e -out other.pem
         openssl x509 -in other.pem -outform DER -out other.der
         openssl x509 -in twin.pem -outform DER -out twin.der",
    );
    let token = tsa.token(&request);
    let forged = tsa.forged(&token, "twin", "-cades");
    assert!(request.kept(&forged, &tsa.trust()).is_ok());
    tsa.shell("mv twin.pem real.pem && cp other.pem twin.pem");
    let signed_by_other = tsa.forged(&token, "twin", "-cades");
    assert!(request.kept(&signed_by_other, &tsa.trust()).is_ok(), "it names itself");
    // The hash of one, and the other beside it in its place.
    let (real, other) = (fs::read(tsa.path("twin.der")).unwrap(), fs::read(tsa.path("other.der")).unwrap());
    let at = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).position(|part| part == needle);
    let place = at(&forged, &real).unwrap();
    assert_eq!(real.len(), other.len(), "DER around it stays as it is");
    let mut swapped = forged.clone();
    swapped[place..place + other.len()].copy_from_slice(&other);
    let error = request.kept(&swapped, &tsa.trust()).unwrap_err().to_string();
    assert!(error.contains("names another signing certificate than its signer's"), "{error}");
}

#[test]
fn what_is_cut_long_or_followed_by_more_is_no_answer() {
    if !have(&["openssl"]) {
        return;
    }
    let tsa = Tsa::new();
    let request = request("p256");
    let (answer, token) = (tsa.answer(&request), tsa.token(&request));
    for end in 0..answer.len() {
        assert!(request.answered(&answer[..end], &Trust::Anyone, now()).is_err(), "{end}");
    }
    for end in 0..token.len() {
        assert!(request.kept(&token[..end], &Trust::Anyone).is_err(), "{end}");
    }
    let more = [&answer[..], &[0]].concat();
    assert!(matches!(request.answered(&more, &Trust::Anyone, now()), Err(Error::NotAnAnswer(_))));
    assert!(request.kept(&[&token[..], &[0]].concat(), &Trust::Anyone).is_err());
    let long = [answer, vec![0; MAX_LEN]].concat();
    assert!(matches!(request.answered(&long, &Trust::Anyone, now()), Err(Error::TooLarge)));
    assert!(matches!(request.kept(&long, &Trust::Anyone), Err(Error::TooLarge)));
}

/// A signature with its timestamp, as a seed of the fuzzer keeps it.
fn stamped() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/timestamp/authenticode");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_second_timestamp_makes_none_readable_and_two_signers_none_possible() {
    let stamped = stamped();
    let token = read(&stamped, Kind::Authenticode, &Trust::Anyone).unwrap().unwrap();
    let twice = attach(&stamped, &token, Kind::Authenticode).unwrap();
    assert!(is_stamped(&twice, Kind::Authenticode).unwrap());
    let error = read(&twice, Kind::Authenticode, &Trust::Anyone).unwrap_err().to_string();
    assert!(error.contains("is one of several"), "{error}");
    for bytes in [&b""[..], b"\x30\x00", &stamped[..stamped.len() - 1]] {
        assert!(matches!(Imprint::of(bytes), Err(Error::Signature(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A changed timestamp is not good, or what was changed is none of what it says.
    #[test]
    fn no_change_of_a_timestamp_makes_it_say_something_else(at in 0..10_000_usize, bit in 0..8_u32) {
        let mut bytes = stamped();
        let token = read(&bytes, Kind::Authenticode, &Trust::Anyone).unwrap().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(Some(changed)) = read(&bytes, Kind::Authenticode, &Trust::Anyone) {
            prop_assert_eq!(changed.time(), token.time());
            prop_assert_eq!(changed.tsa(), token.tsa());
            prop_assert_eq!(changed.imprint(), token.imprint());
            prop_assert_eq!(changed.policy(), token.policy());
        }
    }

    #[test]
    fn any_bytes_are_refused_quietly(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let request = Request::for_imprint(Imprint::of(&stamped()).unwrap(), None).unwrap();
        prop_assert!(request.answered(&bytes, &Trust::Anyone, 0).is_err());
        prop_assert!(request.kept(&bytes, &Trust::Anyone).is_err());
        prop_assert!(read(&bytes, Kind::Cms, &Trust::Anyone).is_err());
    }
}
