//! Secure Boot as firmware does it: OVMF in qemu, with keys of our own, which it has taken from signed variables itself.
//! `chancery` signs variables and programs, with keys in a token. `make test-efi`.

use std::fs;
use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use chancery_tests::firmware::{Console, Machine, Outcome};
use chancery_tests::tools::have;
use chancery_tests::{House, capped, run};

/// Who has put a certificate into a variable. It says nothing to the firmware.
const OWNER: &str = "8d5cf2a8-6b5e-4f0e-9f6c-2f7a3f0c5b11";

/// Debian's shim, unsigned.
const SHIM: &str = "/usr/lib/shim/shimx64.efi";

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
    let keys = Keys::generate();
    let program = |name: &str| machine.path(&format!("{name}.efi"));
    let signed_by =
        |signer: &Signer, name: &str, unsigned: &Path| keys.sign_program(signer, unsigned, &program(name));
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
    keys.sign_variables(&program("revoked-by-hash"), &variables);

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
    let keys = Keys::generate();
    machine.insert(1, &machine.steps());
    let variables = machine.path("variables");
    let revoked = machine.path("revoked.efi");
    keys.sign_program(&keys.db, &machine.hello(), &revoked);
    keys.sign_variables(&revoked, &variables);
    // The same entries, signed by who may not.
    for variable in ["PK", "KEK", "db", "dbx"] {
        let file = variables.join(format!("{variable}-by-stranger.auth"));
        keys.sign_variable(variable, &keys.stranger, &revoked, &file);
    }
    keys.sign_variable("KEK", &keys.kek, &revoked, &variables.join("KEK-by-KEK.auth"));
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

#[test]
fn firmware_starts_a_kernel_that_a_trusted_key_has_signed_and_none_that_is_changed() {
    let Some(machine) = machine() else { return };
    let Some(unsigned) = machine.unified_kernel_image() else { return };
    if !have(&[SHIM]) {
        return;
    }
    let keys = Keys::generate();
    let program = |name: &str| machine.path(&format!("{name}.efi"));
    keys.sign_program(&keys.db, &unsigned, &program("signed"));
    keys.sign_program(&keys.db, Path::new(SHIM), &program("shim"));
    // One letter of the kernel's command line, after it was signed.
    let mut changed = fs::read(program("signed")).unwrap();
    let places: Vec<_> =
        changed.windows(8).enumerate().filter(|(_, window)| *window == b"letter=A").collect();
    let [(at, _)] = places[..] else { panic!("the letter stands at {} places", places.len()) };
    changed[at + 7] = b'B';
    fs::write(program("changed"), changed).unwrap();

    machine.insert(1, &machine.steps());
    let variables = machine.path("variables");
    keys.sign_variables(&program("signed"), &variables);
    let enrol = ["write KEK KEK.auth", "write db db.auth", "write PK PK.auth"];
    expect_success(&machine.boot(&enrol, &variables), &enrol);

    machine.empty();
    machine.insert(1, &program("changed"));
    machine.insert(2, &unsigned);
    machine.insert(3, &program("signed"));
    let console = machine.boot_anything();
    for disk in [1, 2] {
        let refused = Outcome::Refused { error: "Access Denied", reason: "none noted" };
        assert_eq!(console.outcome(disk), refused, "{console}");
    }
    expect_kernel(&console, 3);

    // shim asks db, too, and starts what lies beside it.
    machine.empty();
    machine.insert(1, &program("shim"));
    machine.insert_beside(1, "grubx64.efi", &program("signed"));
    expect_kernel(&machine.boot_anything(), 1);
}

/// The kernel has been started from this disk, knows that Secure Boot is on, and has come to its first program.
#[track_caller]
fn expect_kernel(console: &Console, disk: usize) {
    let Outcome::Started(said) = console.outcome(disk) else { panic!("{console}") };
    for line in ["secureboot: Secure boot enabled", "init: runs, as console=ttyS0 panic=-1 letter=A says"] {
        assert!(said.iter().any(|said| said.ends_with(line)), "{line}: {console}");
    }
}

/// A new machine. If something is missing here to make what it needs, says so, and fails where nothing may be skipped.
#[track_caller]
fn machine() -> Option<Machine> {
    if have(&["openssl"]) { Machine::new() } else { None }
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

/// A key in the token and its certificate, and the certificate of who issued that, if a signature needs it.
#[derive(Clone)]
struct Signer {
    key: &'static str,
    certificate: PathBuf,
    chain: Option<PathBuf>,
}

struct Keys {
    house: House,
    pk: Signer,
    kek: Signer,
    db: Signer,
    /// The certificate of an authority whose key is elsewhere. It is in db too.
    authority: PathBuf,
    /// Issued by one that the authority has issued.
    leaf: Signer,
    /// Its certificate is in db, and then in dbx too.
    revoked: Signer,
    /// Its certificate is nowhere.
    stranger: Signer,
}

impl Keys {
    #[track_caller]
    fn generate() -> Self {
        let names = ["pk", "kek", "db", "leaf", "revoked", "stranger"];
        // EDK II takes RSA alone.
        let house = names
            .into_iter()
            .fold(House::builder(), |house, name| house.key(name, Algorithm::Rsa2048))
            .start();
        let self_signed = |key| Signer { key, certificate: house.x509(key, "efi"), chain: None };
        let folder = house.path("");
        let authority = Authority::generate(&folder, "authority", None);
        let intermediate = Authority::generate(&folder, "intermediate", Some(&authority));
        house
            .chancery(&["x509", "csr", "leaf", "--subject", "CN=leaf of a test", "-o", "leaf.csr"])
            .succeeded();
        let leaf = intermediate.issue(&folder, "leaf");
        Self {
            pk: self_signed("pk"),
            kek: self_signed("kek"),
            db: self_signed("db"),
            leaf: Signer { key: "leaf", certificate: leaf, chain: Some(intermediate.certificate) },
            authority: authority.certificate,
            revoked: self_signed("revoked"),
            stranger: self_signed("stranger"),
            house,
        }
    }

    /// Makes a copy of a program with one more signature.
    #[track_caller]
    fn sign_program(&self, signer: &Signer, program: &Path, copy: &Path) {
        let mut words = vec!["sign", "efi", "--key", signer.key, "--cert", text(&signer.certificate)];
        words.extend(signer.chain.iter().flat_map(|certificate| ["--chain", text(certificate)]));
        words.extend(["--append", "-o", text(copy), text(program)]);
        self.house.chancery(&words).succeeded();
    }

    /// Fills a folder with PK.auth, KEK.auth, db.auth and dbx.auth, each signed by the key above it.
    #[track_caller]
    fn sign_variables(&self, revoked_program: &Path, folder: &Path) {
        fs::create_dir(folder).unwrap();
        for (variable, signer) in [("PK", &self.pk), ("KEK", &self.pk), ("db", &self.kek), ("dbx", &self.kek)]
        {
            self.sign_variable(variable, signer, revoked_program, &folder.join(format!("{variable}.auth")));
        }
    }

    /// Signs what a variable is to hold. dbx has a certificate and the hash of a program.
    #[track_caller]
    fn sign_variable(&self, variable: &str, signer: &Signer, revoked_program: &Path, file: &Path) {
        let certificates: &[&Path] = match variable {
            "PK" => &[&self.pk.certificate],
            "KEK" => &[&self.kek.certificate],
            "db" => &[&self.db.certificate, &self.authority, &self.revoked.certificate],
            _ => &[&self.revoked.certificate],
        };
        let mut words = vec!["sign", "efi-variable", variable, "--key", signer.key, "--owner", OWNER];
        words.extend(["--cert", text(&signer.certificate), "-o", text(file)]);
        words.extend(certificates.iter().flat_map(|certificate| ["--add-cert", text(certificate)]));
        if variable == "dbx" {
            words.extend(["--add-image", text(revoked_program)]);
        }
        self.house.chancery(&words).succeeded();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Issues certificates with a key in a file.
struct Authority {
    key: PathBuf,
    certificate: PathBuf,
}

impl Authority {
    #[track_caller]
    fn generate(folder: &Path, name: &str, issuer: Option<&Self>) -> Self {
        let [key, certificate] = ["key", "pem"].map(|suffix| folder.join(format!("{name}.{suffix}")));
        let mut command = capped(30, "openssl");
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "3650"]);
        command.args(["-subj", &format!("/CN={name} of a test")]);
        if let Some(issuer) = issuer {
            command.arg("-CA").arg(&issuer.certificate).arg("-CAkey").arg(&issuer.key);
        }
        run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).succeeded();
        Self { key, certificate }
    }

    /// Issues the certificate that NAME.csr in the folder asks for.
    #[track_caller]
    fn issue(&self, folder: &Path, name: &str) -> PathBuf {
        let [request, certificate] = ["csr", "pem"].map(|suffix| folder.join(format!("{name}.{suffix}")));
        let mut command = capped(30, "openssl");
        command.args(["x509", "-req", "-days", "3650", "-in"]).arg(request).arg("-CA").arg(&self.certificate);
        run(command.arg("-CAkey").arg(&self.key).arg("-out").arg(&certificate)).succeeded();
        certificate
    }
}
