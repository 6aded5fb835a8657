//! Secure Boot as firmware does it: OVMF in qemu, with keys of our own, which it has taken from signed variables itself.
//! `make test-efi`.

use std::fs;
use std::path::{Path, PathBuf};

use chancery_tests::firmware::{Console, Machine, Outcome};
use chancery_tests::tools::have;
use chancery_tests::{capped, run};

/// The programs that make keys, signed programs and variables.
const MAKERS: [&str; 5] =
    ["openssl", "sbsign", "cert-to-efi-sig-list", "hash-to-efi-sig-list", "sign-efi-sig-list"];

/// Who has put a certificate into a variable. It says nothing to the firmware.
const OWNER: &str = "8d5cf2a8-6b5e-4f0e-9f6c-2f7a3f0c5b11";

/// The letter in `hello: letter A`, as UTF-16.
const LETTER: &[u8] = b"l\0e\0t\0t\0e\0r\0 \0A\0";

const NOT_ALLOWED: Verdict = Verdict::Refused("untested");
const REVOKED_CERTIFICATE: Verdict = Verdict::Refused("signature failed");
const REVOKED_HASH: Verdict = Verdict::Refused("signature found");

#[derive(Clone, Copy)]
enum Verdict {
    /// It runs, with this letter.
    Runs(char),
    /// The firmware denies access, and notes this reason.
    Refused(&'static str),
}

use Verdict::Runs;

/// A program on a disk, and what becomes of it: in setup mode, under Secure Boot, and when dbx has been written too.
type Case = (&'static str, [Verdict; 3]);

/// In the order of the disks. Each that is refused has run before: with Secure Boot off, or before it was revoked.
const CASES: [Case; 10] = [
    ("signed", [Runs('A'); 3]),
    ("unsigned", [Runs('A'), NOT_ALLOWED, NOT_ALLOWED]),
    ("flipped", [Runs('@'), NOT_ALLOWED, NOT_ALLOWED]),
    ("stranger", [Runs('A'), NOT_ALLOWED, NOT_ALLOWED]),
    ("revoked", [Runs('A'), Runs('A'), REVOKED_CERTIFICATE]),
    ("revoked-by-hash", [Runs('B'), Runs('B'), REVOKED_HASH]),
    // Of an authority that db has, through another one that the signature brings along.
    ("chain", [Runs('A'); 3]),
    ("broken-chain", [Runs('A'), NOT_ALLOWED, NOT_ALLOWED]),
    // Two signatures: one that is good is enough, one that is revoked is too many.
    ("also-stranger", [Runs('A'); 3]),
    ("also-revoked", [Runs('A'), Runs('A'), REVOKED_CERTIFICATE]),
];

#[test]
fn firmware_starts_what_a_trusted_key_has_signed_and_nothing_that_is_changed_or_revoked() {
    let Some(machine) = machine() else { return };
    let keys = Keys::generate(&machine.path(""));
    let program = |name: &str| machine.path(&format!("{name}.efi"));
    let signed_by = |signer: &Signer, name: &str, unsigned: &Path| sign_efi(signer, unsigned, &program(name));
    signed_by(&keys.db, "signed", &machine.hello());
    fs::copy(machine.hello(), program("unsigned")).unwrap();
    // One bit of the letter, after it was signed.
    change_letter(&program("signed"), &program("flipped"), b'@');
    signed_by(&keys.stranger, "stranger", &machine.hello());
    signed_by(&keys.revoked, "revoked", &machine.hello());
    // Another program, by the key that signed the first: its hash is revoked, not who signed it.
    change_letter(&machine.hello(), &program("other"), b'B');
    signed_by(&keys.db, "revoked-by-hash", &program("other"));
    signed_by(&keys.leaf, "chain", &machine.hello());
    signed_by(&Signer { chain: None, ..keys.leaf.clone() }, "broken-chain", &machine.hello());
    signed_by(&keys.db, "also-stranger", &program("stranger"));
    signed_by(&keys.db, "also-revoked", &program("revoked"));
    signed_by(&keys.db, "steps", &machine.steps());
    for (disk, (name, _)) in (1..).zip(CASES) {
        machine.insert(disk, &program(name));
    }
    machine.insert(CASES.len() + 1, &program("steps"));
    let variables = machine.path("variables");
    make_variables(&keys, &program("revoked-by-hash"), &variables);

    // In setup mode KEK, db and dbx are taken from anybody; as soon as PK is there, they are verified.
    let enrol = ["write PK PK.auth", "write KEK KEK.auth", "write db db.auth"];
    let console = machine.boot(&enrol, &variables);
    assert_eq!(console.mode(), "SetupMode 1, SecureBoot 0");
    expect_success(&console, &enrol);
    expect(&console, 0);

    let revoke = ["write dbx dbx.auth"];
    let console = machine.boot(&revoke, &variables);
    assert_eq!(console.mode(), "SetupMode 0, SecureBoot 1");
    expect(&console, 1);
    expect_success(&console, &revoke);

    let console = machine.boot(&[], &variables);
    assert_eq!(console.mode(), "SetupMode 0, SecureBoot 1");
    expect(&console, 2);
}

#[test]
fn firmware_takes_variables_from_those_alone_who_may_write_them() {
    const REFUSED: &str = "Security Policy Violation";
    let Some(machine) = machine() else { return };
    let keys = Keys::generate(&machine.path(""));
    machine.insert(1, &machine.steps());
    let variables = machine.path("variables");
    make_variables(&keys, &machine.hello(), &variables);
    // The same lists, signed by who may not.
    for variable in ["PK", "KEK", "db", "dbx"] {
        sign_variable(variable, &keys.stranger, &variables, &format!("{variable}-by-stranger.auth"));
    }
    sign_variable("KEK", &keys.kek, &variables, "KEK-by-KEK.auth");
    // The right signature over something else.
    let mut changed = fs::read(variables.join("dbx.auth")).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(variables.join("dbx-flipped.auth"), changed).unwrap();

    let steps = [
        ("write PK PK-by-stranger.auth", REFUSED),
        ("write PK PK.auth", "Success"),
        ("write KEK KEK-by-stranger.auth", REFUSED),
        ("write KEK KEK-by-KEK.auth", REFUSED),
        ("write KEK KEK.auth", "Success"),
        ("write db db-by-stranger.auth", REFUSED),
        ("write db db.auth", "Success"),
        ("write dbx dbx-by-stranger.auth", REFUSED),
        ("write dbx dbx-flipped.auth", REFUSED),
        ("write dbx db.auth", REFUSED),
        ("write dbx dbx.auth", "Success"),
        // Not newer than what is there.
        ("write dbx dbx.auth", REFUSED),
    ];
    let console = machine.boot(&steps.map(|(step, _)| step), &variables);
    assert_eq!(console.mode(), "SetupMode 1, SecureBoot 0");
    assert_eq!(console.results(), steps.map(|(step, result)| format!("{step}: {result}")), "{console}");
}

/// A new machine. If something is missing here to make what it needs, says so, and fails where nothing may be skipped.
#[track_caller]
fn machine() -> Option<Machine> {
    if have(&MAKERS) { Machine::new() } else { None }
}

#[track_caller]
fn expect(console: &Console, boot: usize) {
    for (disk, (name, verdicts)) in (1..).zip(CASES) {
        let outcome = console.outcome(disk);
        let said;
        let expected = match verdicts[boot] {
            Runs(letter) => {
                said = format!("hello: letter {letter}");
                Outcome::Started(vec![&said])
            }
            Verdict::Refused(reason) => Outcome::Refused { error: "Access Denied", reason },
        };
        assert_eq!(outcome, expected, "{name}:\n{console}");
    }
}

#[track_caller]
fn expect_success(console: &Console, steps: &[&str]) {
    let expected: Vec<_> = steps.iter().map(|step| format!("{step}: Success")).collect();
    assert_eq!(console.results(), expected, "{console}");
}

/// Makes a copy of a program in which another letter stands.
fn change_letter(program: &Path, copy: &Path, letter: u8) {
    let mut bytes = fs::read(program).unwrap();
    let places: Vec<_> =
        bytes.windows(LETTER.len()).enumerate().filter(|(_, window)| *window == LETTER).collect();
    let [(at, _)] = places[..] else { panic!("the letter stands at {} places", places.len()) };
    bytes[at + LETTER.len() - 2] = letter;
    fs::write(copy, bytes).unwrap();
}

/// A key and its certificate, and the certificate of who issued that, if a signature needs it.
#[derive(Clone)]
struct Signer {
    key: PathBuf,
    certificate: PathBuf,
    chain: Option<PathBuf>,
}

struct Keys {
    pk: Signer,
    kek: Signer,
    db: Signer,
    /// In db too.
    authority: Signer,
    /// Issued by one that the authority has issued.
    leaf: Signer,
    /// Its certificate is in db, and then in dbx too.
    revoked: Signer,
    /// Its certificate is nowhere.
    stranger: Signer,
}

impl Keys {
    #[track_caller]
    fn generate(folder: &Path) -> Self {
        let authority = Signer::generate(folder, "authority", &[]);
        let intermediate = authority.issue(folder, "intermediate", &[]);
        let leaf = intermediate.issue(folder, "leaf", &["-extensions", "usr_cert"]);
        Self {
            pk: Signer::generate(folder, "PK", &[]),
            kek: Signer::generate(folder, "KEK", &[]),
            db: Signer::generate(folder, "db", &[]),
            leaf: Signer { chain: Some(intermediate.certificate), ..leaf },
            authority,
            revoked: Signer::generate(folder, "revoked", &[]),
            stranger: Signer::generate(folder, "stranger", &[]),
        }
    }
}

impl Signer {
    #[track_caller]
    fn generate(folder: &Path, name: &str, options: &[&str]) -> Self {
        let [key, certificate] = ["key", "pem"].map(|suffix| folder.join(format!("{name}.{suffix}")));
        let mut command = capped(30, "openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "3650"]);
        command.args(["-subj", &format!("/CN={name} of a test")]).args(options);
        run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).succeeded();
        Self { key, certificate, chain: None }
    }

    #[track_caller]
    fn issue(&self, folder: &Path, name: &str, options: &[&str]) -> Self {
        let [key, certificate] = [&self.key, &self.certificate].map(|path| path.to_str().unwrap());
        let options = [options, &["-CA", certificate, "-CAkey", key]].concat();
        Self::generate(folder, name, &options)
    }
}

/// Makes a copy of a program with one more signature. Whatever signs programs stands here alone.
#[track_caller]
fn sign_efi(signer: &Signer, program: &Path, copy: &Path) {
    let mut command = capped(30, "sbsign");
    command.arg("--key").arg(&signer.key).arg("--cert").arg(&signer.certificate);
    if let Some(certificate) = &signer.chain {
        command.arg("--addcert").arg(certificate);
    }
    run(command.arg("--output").arg(copy).arg(program)).succeeded();
}

/// Fills a folder with PK.auth, KEK.auth, db.auth and dbx.auth, each signed by the key above it. dbx has a certificate
/// and the hash of a program.
#[track_caller]
fn make_variables(keys: &Keys, revoked_program: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let list = |variable: &str, certificates: &[&Signer], programs: &[&Path]| {
        let lists = certificates
            .iter()
            .map(|signer| ("cert-to-efi-sig-list", signer.certificate.as_path()))
            .chain(programs.iter().map(|program| ("hash-to-efi-sig-list", *program)));
        let part = folder.join("part.esl");
        let list: Vec<u8> = lists
            .flat_map(|(maker, of)| {
                let mut command = capped(30, maker);
                if maker == "cert-to-efi-sig-list" {
                    command.args(["-g", OWNER]);
                }
                run(command.arg(of).arg(&part)).succeeded();
                fs::read(&part).unwrap()
            })
            .collect();
        fs::write(folder.join(format!("{variable}.esl")), list).unwrap();
    };
    list("PK", &[&keys.pk], &[]);
    list("KEK", &[&keys.kek], &[]);
    list("db", &[&keys.db, &keys.authority, &keys.revoked], &[]);
    list("dbx", &[&keys.revoked], &[revoked_program]);
    for (variable, signer) in [("PK", &keys.pk), ("KEK", &keys.pk), ("db", &keys.kek), ("dbx", &keys.kek)] {
        sign_variable(variable, signer, folder, &format!("{variable}.auth"));
    }
}

/// Signs the list of a variable, VARIABLE.esl in the folder. Whatever signs variables stands here alone.
///
/// What OVMF (2022.11) wants: SignedData without ContentInfo around it, SHA-256, RSA PKCS#1 v1.5, the signer's certificate
/// inside, nothing behind it; of the time nothing but date and time of day, and later than the last; in PK, KEK, db and
/// dbx no certificate whose key is not RSA.
#[track_caller]
fn sign_variable(variable: &str, signer: &Signer, folder: &Path, name: &str) {
    let mut command = capped(30, "sign-efi-sig-list");
    command.args(["-g", OWNER, "-k"]).arg(&signer.key).arg("-c").arg(&signer.certificate).arg(variable);
    run(command.arg(folder.join(format!("{variable}.esl"))).arg(folder.join(name))).succeeded();
}
