//! git with `gpg.program=chancery-gpg`: what it signs, gpg and git accept.

use std::path::Path;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, have};
use chancery_tests::{House, Output, Page};

/// A line of shell in a repository of its own, with git's settings out of the way and gpg's home set.
#[track_caller]
fn git(house: &House, home: &Path, line: &str) -> Output {
    let repository = house.path("repository");
    let settings = "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C;\
        export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=k GIT_COMMITTER_EMAIL=k@example.org;\
        test -d .git || git init --quiet --initial-branch=main";
    std::fs::create_dir_all(&repository).unwrap();
    house.shell(&format!(
        "cd '{}' && export GNUPGHOME='{}' && {settings} && {line}",
        repository.display(),
        home.display()
    ))
}

#[test]
fn commits_and_tags_are_signed_as_git_asks_and_accepted_by_git_with_either_program() {
    if !have(&["git", "gpg", "gpgconf"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519, Algorithm::P256] {
        let house = House::builder().key("k", algorithm).start();
        let gpg = Gpg::trusting(&house.certificate("k"));
        let recorder = house.recorder("chancery-gpg", "chancery-gpg");
        let home = gpg.home().to_owned();
        let git = |line: &str| git(&house, &home, line);
        git(&format!(
            "git config gpg.program '{}' && git config user.signingKey k",
            recorder.program.display()
        ))
        .succeeded();

        git("git commit --quiet --allow-empty -S -m one && git tag -s -m first v1").succeeded();
        assert_eq!(recorder.lines(), ["--status-fd=2 -bsau k"; 2]);
        // Without a key's name git takes the committer's.
        git("git config --unset user.signingKey && git commit --quiet --allow-empty -S -m two").succeeded();
        assert_eq!(recorder.lines()[2], "--status-fd=2 -bsau k <k@example.org>");

        for program in ["gpg", "chancery-gpg"] {
            for line in ["git verify-commit HEAD~", "git verify-commit HEAD", "git verify-tag v1"] {
                let said = git(&format!("git config gpg.program {program} && {line}")).succeeded().stderr;
                assert!(
                    said.contains("Good signature from \"k <k@example.org>\""),
                    "{program}: {line}: {said}"
                );
            }
            let said = git("git log --show-signature --format=%G?").succeeded().text();
            assert_eq!(said.matches("Good signature").count(), 2, "{program}: {said}");
        }

        // A commit that was changed afterwards.
        let forged =
            git("git cat-file commit HEAD | sed s/two/2/ | git hash-object -t commit -w --stdin >forged; \
             git verify-commit $(cat forged)");
        assert_ne!(forged.code, Some(0));
        assert!(forged.stderr.contains("BAD signature"), "{}", forged.stderr);
    }
}

#[test]
fn the_commands_of_the_page_switch_to_chancery_gpg_and_back() {
    if !have(&["git", "gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("release", Algorithm::Ed25519).start();
    house.certificate("release");
    let gpg = Gpg::new();
    let page = Page::of("git");
    let git = |line: &str| {
        git(&house, gpg.home(), &format!("set -e; export GIT_CONFIG_GLOBAL=$PWD/config; {line}"))
    };
    let commit = "git commit --quiet --allow-empty -S -m one";
    let before = page.block("Before");
    let key = before.lines().next().unwrap();
    git(&format!("{key}; {}{commit}; git tag -s v1.0 -m first", page.block("After"))).succeeded();
    let said = git(&format!("cp ../release.asc .; {}", page.block("Checking"))).succeeded().text();
    assert_eq!(said.matches("Good signature from \"release <release@example.org>\"").count(), 3, "{said}");
    // The key is not gpg's: back means back.
    let said = git(&format!("{}{commit}", page.block("Going back")));
    assert_eq!(said.code, Some(128));
    assert!(said.stderr.contains("INV_SGNR 9 release@example.org"), "{}", said.stderr);
}

#[test]
fn without_a_grant_git_makes_no_commit_and_shows_our_reason() {
    if !have(&["git"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).policy("k", "").start();
    let home = house.path("no-home");
    let settings = "git config gpg.program chancery-gpg && git config user.signingKey k";
    let said = git(&house, &home, &format!("{settings} && git commit --allow-empty -S -m one"));
    assert_eq!(said.code, Some(128));
    assert!(said.stderr.contains("error: gpg failed to sign the data"), "{}", said.stderr);
    assert!(said.stderr.contains("error: there is no key `k`, or you may not use it"), "{}", said.stderr);
    assert_ne!(git(&house, &home, "git rev-parse --verify --quiet HEAD").code, Some(0), "there is a commit");
}
