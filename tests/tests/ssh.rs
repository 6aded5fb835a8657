//! SSH signatures by keys in a token, alone and through git, judged by ssh-keygen and git.

use std::fs;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Output};
use nix::unistd::Uid;
use sha2::{Digest, Sha512};

const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("rsa2048", Algorithm::Rsa2048),
    ("p256", Algorithm::P256),
    ("p384", Algorithm::P384),
    ("p521", Algorithm::P521),
    ("ed25519", Algorithm::Ed25519),
];

/// A uid of the tests alone.
const STRANGER: u32 = 54_321;

/// A house with a key of every algorithm, each in a file `NAME.pub`, and all of them in `allowed_signers`.
fn house(algorithms: &[(&str, Algorithm)]) -> House {
    let builder =
        algorithms.iter().fold(House::builder(), |builder, (name, algorithm)| builder.key(name, *algorithm));
    let house = builder.start();
    let mut signers = Vec::new();
    for (name, _) in algorithms {
        let line = house.chancery(&["key", "show", name, "--ssh"]).succeeded().stdout;
        house.write(&format!("{name}.pub"), &line);
        signers.push(format!("{name}@example.org {line}"));
    }
    house.write("allowed_signers", signers.concat());
    house
}

/// `ssh-keygen -Y verify` of a signature over the file `data`.
fn verify(house: &House, key: &str, namespace: &str, signature: &str, data: &str) -> Output {
    house.shell(&format!(
        "ssh-keygen -Y verify -f allowed_signers -I {key}@example.org -n {namespace} -s {signature} < {data}"
    ))
}

#[test]
fn ssh_keygen_reads_the_public_keys_and_accepts_signatures_of_every_algorithm_over_nothing_else() {
    if !have(&["ssh-keygen", "bash"]) {
        return;
    }
    let house = house(&ALGORITHMS);
    // Longer than any buffer on the way, and not text.
    house.write("data", (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    house.write("other", "other");
    for (key, _) in ALGORITHMS {
        let listed = house.shell(&format!("ssh-keygen -l -f {key}.pub")).succeeded().stdout;
        assert!(listed.contains(&format!(" {key} (")), "{listed}");
        for hash in ["sha512", "sha256"] {
            let said = house.chancery(&["sign", "ssh", "--key", key, "--digest", hash, "data"]).succeeded();
            assert_eq!(said.stdout, "data: signed to data.sig\n");
            verify(&house, key, "file", "data.sig", "data").succeeded();
            verify(&house, key, "file", "data.sig", "other").failed(255);
            verify(&house, key, "git", "data.sig", "data").failed(255);
        }
        let lines = fs::read_to_string(house.path("data.sig")).unwrap();
        assert!(lines.starts_with("-----BEGIN SSH SIGNATURE-----\n") && lines.lines().all(|l| l.len() <= 70));
    }
    let someone_else = verify(&house, "p256", "file", "data.sig", "data").failed(255);
    assert!(someone_else.text().contains("Could not verify signature"), "{}", someone_else.text());
}

#[test]
fn standard_input_is_signed_to_standard_output() {
    if !have(&["ssh-keygen", "bash"]) {
        return;
    }
    let house = house(&[("k", Algorithm::Ed25519)]);
    house.write("data", "some data\n");
    for (line, namespace) in [
        ("chancery sign ssh --key k < data > signed", "file"),
        ("chancery sign ssh --key k --json - < data > signed", "file"),
        ("chancery sign ssh --key k --namespace a@example.org -o - data > signed", "a@example.org"),
        ("chancery-ssh-keygen -q -Y sign -n git -f k < data > signed", "git"),
        ("cat data | chancery-ssh-keygen -Ysign -ngit -fk.pub - | cat > signed", "git"),
    ] {
        house.shell(line).succeeded();
        verify(&house, "k", namespace, "signed", "data").succeeded();
    }
    let said = house.shell("chancery-ssh-keygen -Y sign -n git -f unknown < data").failed(255);
    assert_eq!(said.stdout, "");
}

#[test]
fn the_stand_in_signs_files_as_ssh_keygen_does_and_asks_before_it_replaces() {
    if !have(&["ssh-keygen", "bash"]) {
        return;
    }
    let house = house(&[("k", Algorithm::P256)]);
    for name in ["a", "b", "c"] {
        house.write(name, name);
    }
    let said = house.shell("chancery-ssh-keygen -Y sign -n file -f k a b").succeeded();
    let expected =
        "Signing file a\nWrite signature to a.sig\nSigning file b\nWrite signature to b.sig\n".to_owned();
    assert_eq!((said.stdout, said.stderr), (String::new(), expected));
    verify(&house, "k", "file", "b.sig", "b").succeeded();

    let before = fs::read(house.path("a.sig")).unwrap();
    let said = house.shell("chancery-ssh-keygen -q -Y sign -n other -f k a </dev/null").succeeded();
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("a.sig already exists.\nOverwrite (y/n)? ", "")
    );
    assert!(fs::read(house.path("a.sig")).unwrap() == before);
    house.shell("echo y | chancery-ssh-keygen -q -Y sign -n other -f k a").succeeded();
    verify(&house, "k", "other", "a.sig", "a").succeeded();

    // The first failure ends the run.
    let said = house.shell("chancery-ssh-keygen -q -Y sign -n file -f k missing c").failed(255).stderr;
    assert!(said.starts_with("error: missing: cannot read: no such file or directory\n"), "{said}");
    assert!(!house.path("c.sig").exists());
}

#[test]
fn the_key_is_found_by_name_by_a_file_of_its_public_key_and_by_that_line_whatever_its_comment() {
    if !have(&["ssh-keygen", "bash"]) {
        return;
    }
    let house =
        house(&[("k", Algorithm::Rsa2048), ("decoy", Algorithm::Ed25519), ("last", Algorithm::Ed25519)]);
    house.write("data", "some data\n");
    let line = fs::read_to_string(house.path("last.pub")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    house.write("renamed.pub", format!("{} {} me@laptop\n", words[0], words[1]));
    // Another key's name: the numbers decide.
    house.write("misnamed.pub", format!("{} {} decoy\n", words[0], words[1]));
    house.write("literal", format!("key::{} {}\n", words[0], words[1]));
    // A folder of that name holds no key.
    fs::create_dir(house.path("last")).unwrap();
    for given in ["last", "last.pub", "./renamed.pub", "misnamed.pub", "literal", "\"$(cat literal)\""] {
        house.shell(&format!("chancery-ssh-keygen -q -Y sign -n git -f {given} < data > signed")).succeeded();
        verify(&house, "last", "git", "signed", "data").succeeded();
    }
    house.shell("ssh-keygen -q -t ed25519 -N '' -f foreign").succeeded();
    for (given, error) in [
        ("foreign.pub", "error: no key of chanceryd that you may use has the public key SHA256:"),
        ("foreign", "error: foreign: this is not an SSH public key: "),
        ("nothing.pub", "error: key `nothing.pub` does not exist, or you may not use it"),
        ("/nothing.pub", "error: /nothing.pub: is neither a file with a public key nor the name of a key"),
    ] {
        let said = house.shell(&format!("chancery-ssh-keygen -q -Y sign -n git -f {given} data")).failed(255);
        assert!(said.stderr.starts_with(error) && said.stderr.contains("hint: "), "{given}: {}", said.stderr);
        assert!(!house.path("data.sig").exists());
    }
}

#[test]
fn what_does_not_sign_is_done_by_the_real_ssh_keygen() {
    if !have(&["ssh-keygen", "bash"]) {
        return;
    }
    let house = house(&[("k", Algorithm::Ed25519)]);
    house.write("data", "some data\n");
    house.chancery(&["sign", "ssh", "--key", "k", "data"]).succeeded();
    for arguments in [
        "-Y find-principals -f allowed_signers -s data.sig",
        "-Y verify -f allowed_signers -I k@example.org -n file -s data.sig < data",
        "-Y check-novalidate -n file -s data.sig < data",
        "-Y check-novalidate -n git -s data.sig < data",
        "-Y nonsense",
        "-l -f k.pub",
    ] {
        let ours = house.shell(&format!("chancery-ssh-keygen {arguments}"));
        let theirs = house.shell(&format!("ssh-keygen {arguments}"));
        assert_eq!((ours.code, &ours.stdout, &ours.stderr), (theirs.code, &theirs.stdout, &theirs.stderr));
    }
    // Under the name of ssh-keygen, first in PATH, it still finds the other one.
    house.shell("mkdir first && ln -s ../bin/chancery-ssh-keygen first/ssh-keygen").succeeded();
    let said = house.shell("PATH=$PWD/first:$PATH chancery-ssh-keygen -l -f k.pub").succeeded().stdout;
    assert!(said.contains("ED25519"), "{said}");
    // One that calls back is passed by when it does, and does not go round for ever.
    house.shell("printf '#!/bin/sh\\nexec chancery-ssh-keygen \"$@\"\\n' > first/ssh-keygen.sh && chmod +x first/ssh-keygen.sh && mv first/ssh-keygen.sh first/ssh-keygen").succeeded();
    let said = house.shell("PATH=$PWD/first:$PATH chancery-ssh-keygen -l -f k.pub").succeeded().stdout;
    assert!(said.contains("ED25519"), "{said}");
}

#[test]
fn arguments_that_are_not_for_signing_are_refused_before_anything_is_signed() {
    if !have(&["bash"]) {
        return;
    }
    let house = house(&[("k", Algorithm::Ed25519)]);
    house.write("data", "some data\n");
    for arguments in ["-n git data", "-f k data", "-n git -f k -O hashalg=sha1 data", "-n '' -f k data"] {
        house.shell(&format!("chancery-ssh-keygen -Y sign {arguments}")).failed(1);
        assert!(!house.path("data.sig").exists(), "{arguments}");
    }
}

/// A repository of git that signs through the stand-in, with nothing of the machine's configuration.
struct Repository<'a> {
    house: &'a House,
}

impl<'a> Repository<'a> {
    fn new(house: &'a House) -> Self {
        let repository = Self { house };
        house.shell("git init -q repository").succeeded();
        for setting in [
            "user.name 'A Committer'",
            "user.email committer@example.org",
            "gpg.format ssh",
            "gpg.ssh.program chancery-ssh-keygen",
            "gpg.ssh.allowedSignersFile ../allowed_signers",
        ] {
            repository.git(&format!("config {setting}")).succeeded();
        }
        repository
    }

    fn git(&self, arguments: &str) -> Output {
        self.house.shell(&format!(
            "cd repository && GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git {arguments}"
        ))
    }
}

#[test]
fn git_signs_commits_and_tags_and_finds_them_good() {
    if !have(&["git", "ssh-keygen", "bash"]) {
        return;
    }
    let keys = [("rsa2048", Algorithm::Rsa2048), ("p256", Algorithm::P256), ("ed25519", Algorithm::Ed25519)];
    let house = house(&keys);
    let repository = Repository::new(&house);
    for (key, _) in keys {
        let line = fs::read_to_string(house.path(&format!("{key}.pub"))).unwrap();
        let file = house.path(&format!("{key}.pub"));
        let literal = format!("key::{}", line.trim());
        for (number, signing_key) in [key, file.to_str().unwrap(), &literal, line.trim()].iter().enumerate() {
            repository.git(&format!("config user.signingKey '{signing_key}'")).succeeded();
            repository.git(&format!("commit -q -S --allow-empty -m 'by {key}'")).succeeded();
            let tag = format!("{key}-{number}");
            repository.git(&format!("tag -s -m 'a tag' {tag}")).succeeded();
            let good = format!("Good \"git\" signature for {key}@example.org with ");
            for check in ["log --show-signature -1", "verify-commit HEAD", &format!("verify-tag {tag}")] {
                let said = repository.git(check).succeeded().text();
                assert!(said.contains(&good), "{check}: {said}");
            }
        }
    }
    // A changed commit is found out.
    let forged = "cat-file commit HEAD | sed s/by/for/ | git hash-object -t commit -w --stdin > forged";
    repository.git(forged).succeeded();
    let said = repository.git("verify-commit $(cat forged)").failed(1).text();
    assert!(said.contains("incorrect signature"), "{said}");

    // The trail knows what was signed.
    let signed = house.shell("cd repository && git cat-file commit HEAD | sed '/^gpgsig/,/^ -----END/d'");
    let digest = hex::encode(Sha512::digest(signed.succeeded().stdout));
    let trail = house.audit_trail();
    let found =
        |record: &&serde_json::Value| record["format"] == "ssh" && record["artifact_digest"] == digest;
    assert_eq!(trail.iter().filter(found).filter(|record| record["event"] == "intent").count(), 1);
}

#[test]
fn a_user_without_a_grant_sees_git_fail_and_makes_no_commit() {
    if !have(&["git", "ssh-keygen", "setpriv", "bash"]) || !is_root() {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let line = house.chancery(&["key", "show", "k", "--ssh"]).succeeded().stdout;
    house.write("k.pub", line);
    let folder = house.path("theirs");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(STRANGER), Some(STRANGER)).unwrap();
    let settings =
        "-c user.name=A -c user.email=a@example.org -c gpg.format=ssh -c gpg.ssh.program=chancery-ssh-keygen";
    let as_stranger = |line: &str| {
        let line = format!("cd theirs && export HOME=$PWD GIT_CONFIG_SYSTEM=/dev/null && {line}");
        house.shell_as(STRANGER, STRANGER, &[], &line)
    };
    as_stranger("git init -q . && echo data > data && git add data").succeeded();
    for (key, error) in [
        ("k", "error: key `k` does not exist, or you may not use it"),
        ("../k.pub", "error: no key of chanceryd that you may use has the public key SHA256:"),
    ] {
        let commit = format!("git {settings} -c user.signingKey={key} commit -q -S -m signed");
        let said = as_stranger(&commit).failed(128).stderr;
        assert!(said.contains(error), "{said}");
        assert!(said.contains("hint: ") && said.contains("fatal: failed to write commit object"), "{said}");
        as_stranger("git rev-parse -q --verify HEAD").failed(1);
    }
    as_stranger("chancery-ssh-keygen -q -Y sign -n file -f k data").failed(255);
    as_stranger("chancery sign ssh --key k data").failed(3);
    let left = as_stranger("git status --porcelain").succeeded().stdout;
    assert_eq!(left, "A  data\n", "neither a signature nor a temporary file is left");
}

#[test]
fn an_ed25519_key_that_takes_digests_alone_is_refused_with_the_setting_that_it_lacks() {
    let rule = format!("[[allow]]\nwho = [\"user:{}\"]\n", Uid::effective());
    let house = House::builder().key("k", Algorithm::Ed25519).policy("k", &rule).start();
    house.write("data", "some data\n");
    let said = house.chancery(&["sign", "ssh", "--key", "k", "data"]).failed(3).stderr;
    assert!(said.contains("`inputs = [\"digest\", \"message\"]` in keys.d/k.toml"), "{said}");
    assert!(!house.path("data.sig").exists());
}

#[test]
fn a_key_for_other_formats_signs_nothing_for_ssh() {
    let uid = Uid::effective();
    let policy = format!("[[allow]]\nwho = [\"user:{uid}\"]\nformats = [\"openpgp\", \"rpm\"]\n");
    let house = House::builder().key("k", Algorithm::P256).policy("k", &policy).start();
    house.write("data", "some data\n");
    let said = house.chancery(&["sign", "ssh", "--key", "k", "data"]).failed(3).stderr;
    assert!(said.starts_with("error: key `k` does not serve format ssh for you\n"), "{said}");
}
