//! Real OpenPGP signatures, from a token through the daemon, judged by the tools that their consumers trust.

use std::fs;
use std::path::Path;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, have};
use chancery_tests::{House, Output, capped, run};

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("rsa2048", Algorithm::Rsa2048),
    ("rsa4096", Algorithm::Rsa4096),
    ("p256", Algorithm::P256),
    ("p384", Algorithm::P384),
    ("p521", Algorithm::P521),
    ("ed25519", Algorithm::Ed25519),
];

fn house() -> House {
    ALGORITHMS
        .into_iter()
        .fold(House::builder(), |builder, (name, algorithm)| builder.key(name, algorithm))
        .start()
}

fn gpgv(gpg: &Gpg, files: &[&Path]) -> Output {
    run(capped(60, "gpgv").arg("--keyring").arg(gpg.keyring()).args(files))
}

fn sqv(certificate: &Path, signature: &Path, file: &Path) -> Output {
    run(capped(60, "sqv").arg("--keyring").arg(certificate).args([signature, file]))
}

#[test]
fn gpg_gpgv_and_sqv_accept_detached_signatures_of_every_algorithm_and_none_of_other_data() {
    if !have(&["gpg", "gpgv", "sqv"]) {
        return;
    }
    let house = house();
    let file = house.write("data", "some data\n");
    let other = house.write("other", "other data\n");
    for (key, _) in ALGORITHMS {
        let certificate = house.certificate(key);
        let gpg = Gpg::trusting(&certificate);
        for (encoding, signature) in [("--armor", "data.asc"), ("--no-armor", "data.sig")] {
            house.chancery(&["sign", "openpgp", "--key", key, "--detach", encoding, "data"]).succeeded();
            let signature = house.path(signature);
            gpg.verify(&[&signature, &file]).succeeded();
            gpgv(&gpg, &[&signature, &file]).succeeded();
            sqv(&certificate, &signature, &file).succeeded();
            gpg.verify(&[&signature, &other]).failed(1);
            gpgv(&gpg, &[&signature, &other]).failed(1);
            sqv(&certificate, &signature, &other).failed(1);
            fs::remove_file(signature).unwrap();
        }
    }
}

#[test]
fn gpg_and_gpgv_accept_cleartext_of_every_algorithm_and_find_the_text_in_it() {
    if !have(&["gpg", "gpgv"]) {
        return;
    }
    let house = house();
    let text = "Origin: us\n- a dash\nFrom here\n\n  indented\n";
    house.write("text", text);
    for (key, _) in ALGORITHMS {
        let gpg = Gpg::trusting(&house.certificate(key));
        house.chancery(&["sign", "openpgp", "--key", key, "--clear", "-o", "signed", "text"]).succeeded();
        let signed = house.path("signed");
        gpgv(&gpg, &[&signed]).succeeded();
        run(gpg.command().args(["--yes", "--output"]).arg(house.path("found")).arg("--verify").arg(&signed))
            .succeeded();
        assert_eq!(fs::read_to_string(house.path("found")).unwrap(), text);
        let changed = fs::read_to_string(&signed).unwrap().replace("Origin: us", "Origin: me");
        gpgv(&gpg, &[&house.write("changed", changed)]).failed(1);
    }
}

#[test]
fn gpg_accepts_inline_messages_of_every_algorithm_and_finds_the_data_in_them() {
    if !have(&["gpg"]) {
        return;
    }
    let house = house();
    // Longer than any buffer on the way, and not text.
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    house.write("data", &data);
    for (key, _) in ALGORITHMS {
        let gpg = Gpg::trusting(&house.certificate(key));
        for encoding in ["--armor", "--no-armor"] {
            house
                .chancery(&["sign", "openpgp", "--key", key, "--inline", encoding, "-o", "message", "data"])
                .succeeded();
            let found = house.path("found");
            run(gpg
                .command()
                .args(["--yes", "--output"])
                .arg(&found)
                .arg("--decrypt")
                .arg(house.path("message")))
            .succeeded();
            assert!(fs::read(&found).unwrap() == data, "{key} {encoding}");
        }
    }
}

#[test]
fn standard_input_is_signed_to_standard_output() {
    if !have(&["gpg", "bash"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let gpg = Gpg::trusting(&house.certificate("k"));
    let file = house.write("data", "some data\n");
    for line in [
        "chancery sign openpgp --key k < data > signed",
        "chancery sign openpgp --key k - < data > signed",
        "cat data | chancery sign openpgp --key k --detach --no-armor --json | cat > signed",
        "chancery sign openpgp --key k -o - data > signed",
    ] {
        let said = house.shell(line).succeeded();
        assert_eq!(said.stdout, "", "{line}");
        gpg.verify(&[&house.path("signed"), &file]).succeeded();
    }
    for line in [
        "chancery sign openpgp --key k --clear < data > signed",
        "chancery sign openpgp --key k --inline < data > signed",
    ] {
        house.shell(line).succeeded();
        gpg.verify(&[&house.path("signed")]).succeeded();
    }
    // Whoever reads the pipe gets a whole signature or nothing.
    let said = house.shell("chancery sign openpgp --key unknown < data").failed(3);
    assert_eq!(said.stdout, "");
}

#[test]
fn a_file_with_a_good_signature_by_the_same_key_is_left_alone_and_a_changed_one_is_signed_anew() {
    if !have(&["gpg"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let gpg = Gpg::trusting(&house.certificate("k"));
    let sign = || house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded().stdout;
    let file = house.write("data", "some data\n");
    assert_eq!(sign(), "data: signed to data.asc\n");
    let first = fs::read(house.path("data.asc")).unwrap();
    assert_eq!(sign(), "data: already signed by this key, left alone\n");
    assert!(fs::read(house.path("data.asc")).unwrap() == first);
    house.write("data", "other data\n");
    assert_eq!(sign(), "data: signed to data.asc\n");
    gpg.verify(&[&house.path("data.asc"), &file]).succeeded();
}

/// A repository of one package, for an apt that has nothing in common with the machine's.
struct Repository<'a> {
    house: &'a House,
}

impl<'a> Repository<'a> {
    fn new(house: &'a House, certificate: &Path) -> Self {
        let package = "Package: hello\nVersion: 1.0\nArchitecture: all\nMaintainer: Us <us@example.org>\n\
                       Filename: ./hello.deb\nSize: 1\nSHA256: \
                       e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nDescription: hello\n";
        for folder in ["repository", "apt/lists/partial", "apt/cache/archives/partial", "apt/etc"] {
            fs::create_dir_all(house.path(folder)).unwrap();
        }
        house.write("repository/Packages", package);
        let sum = house.shell("sha256sum repository/Packages | cut -d ' ' -f 1").succeeded().stdout;
        let sum = sum.trim();
        let release = format!(
            "Origin: Us\nSuite: stable\nDate: Mon, 23 Nov 2026 12:00:00 UTC\nSHA256:\n {sum} {} Packages\n",
            package.len()
        );
        house.write("repository/Release", release);
        let (key, folder) = (certificate.display(), house.path("repository"));
        house.write("apt/sources.list", format!("deb [signed-by={key}] file:{} ./\n", folder.display()));
        house.write("apt/status", "");
        Self { house }
    }

    /// apt-get update in the repository's own folders.
    fn update(&self) -> Output {
        let apt = self.house.path("apt");
        let option = |name: &str, value: &str| format!("{name}={value}");
        let own = |name: &str, place: &str| option(name, &apt.join(place).display().to_string());
        let mut command: Command = capped(60, "apt-get");
        // Its sandbox user cannot enter our folder.
        for setting in [option("APT::Sandbox::User", "root"), option("APT::Update::Error-Mode", "any")] {
            command.args(["-o", &setting]);
        }
        for (name, place) in [
            ("Dir::Etc", "etc"),
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "none"),
            ("Dir::Etc::trusted", "none"),
            ("Dir::Etc::trustedparts", "none"),
            ("Dir::State", "."),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command.args(["-o", &own(name, place)]);
        }
        run(command.arg("update"))
    }

    /// The names of the lists that apt keeps: those that it believed.
    fn lists(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.house.path("apt/lists")).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).filter(|name| name.contains("_Packages")).collect()
    }

    fn forget(&self) {
        self.house.shell("rm -rf apt/lists && mkdir -p apt/lists/partial repository && rm -f repository/*.gpg repository/InRelease").succeeded();
    }
}

#[test]
fn apt_accepts_a_repository_whose_inrelease_or_release_gpg_is_ours() {
    if !have(&["apt-get", "gpgv", "bash", "sha256sum"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa4096, Algorithm::Ed25519] {
        let house = House::builder().key("k", algorithm).key("other", Algorithm::Rsa2048).start();
        let certificate = house.certificate("k");
        let repository = Repository::new(&house, &certificate);
        for shape in
            [&["--clear", "-o", "repository/InRelease"][..], &["--detach", "-o", "repository/Release.gpg"]]
        {
            let sign = |key: &str| {
                let line = [&["sign", "openpgp", "--key", key], shape, &["repository/Release"]].concat();
                house.chancery(&line).succeeded();
            };
            sign("other");
            let said = repository.update();
            assert_ne!(said.code, Some(0), "{}", said.text());
            assert!(said.text().contains("NO_PUBKEY"), "{}", said.text());
            assert!(repository.lists().is_empty());
            repository.forget();

            sign("k");
            let said = repository.update().succeeded();
            assert!(!said.text().contains("W:") && !said.text().contains("E:"), "{}", said.text());
            assert_eq!(repository.lists().len(), 1);
            repository.forget();
        }
    }
}
