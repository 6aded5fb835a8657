//! Every option of gpg, and what becomes of it here: honoured, ignored for a reason, or refused for a reason.
//!
//! The names are those of gpg 2.2 (`gpg --dump-option-table`), so that abbreviations mean here what they mean there. A
//! name that ends with `=` takes a value; one that ends with `?` may take one.

/// What an option means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Sign,
    DetachSign,
    ClearSign,
    /// A command that makes no signature over data: the real gpg's.
    NotOurs,
    Version,
    Help,
    Armor,
    NoArmor,
    Textmode,
    NoTextmode,
    Output,
    LocalUser,
    DefaultKey,
    DigestAlgo,
    StatusFd,
    StatusFile,
    PassphraseFd,
    Batch,
    NoBatch,
    Yes,
    No,
    /// The person at the terminal is not to be asked.
    Unattended,
    /// It changes nothing here, for this reason.
    Ignored(&'static str),
    /// What it asks for is not done here, for this reason.
    Refused(&'static str),
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// The next word, unless that looks like an option.
    MaybeValue,
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) meaning: Meaning,
}

/// All long options.
pub(super) fn all() -> impl Iterator<Item = Entry> {
    let honoured = HONOURED.iter().map(|&(name, meaning)| entry(name, meaning));
    let not_ours = NOT_OURS.split_whitespace().map(|name| entry(name, Meaning::NotOurs));
    let ignored = IGNORED.iter().flat_map(|&(why, names)| {
        names.split_whitespace().map(move |name| entry(name, Meaning::Ignored(why)))
    });
    let refused = REFUSED.iter().flat_map(|&(why, names)| {
        names.split_whitespace().map(move |name| entry(name, Meaning::Refused(why)))
    });
    honoured.chain(not_ours).chain(ignored).chain(refused)
}

/// The long name of a short option.
pub(super) fn long(short: char) -> Option<&'static str> {
    SHORT.iter().find(|(letter, _)| *letter == short).map(|(_, name)| *name)
}

fn entry(name: &'static str, meaning: Meaning) -> Entry {
    let (name, takes) = match (name.strip_suffix('='), name.strip_suffix('?')) {
        (Some(name), _) => (name, Takes::Value),
        (_, Some(name)) => (name, Takes::MaybeValue),
        _ => (name, Takes::Nothing),
    };
    Entry { name, takes, meaning }
}

const HONOURED: &[(&str, Meaning)] = &[
    ("sign", Meaning::Sign),
    ("detach-sign", Meaning::DetachSign),
    // Not a name of gpg's, but what its manual calls the thing.
    ("detach-signature", Meaning::DetachSign),
    ("clear-sign", Meaning::ClearSign),
    ("clearsign", Meaning::ClearSign),
    ("version", Meaning::Version),
    ("help", Meaning::Help),
    ("armor", Meaning::Armor),
    ("armour", Meaning::Armor),
    ("no-armor", Meaning::NoArmor),
    ("no-armour", Meaning::NoArmor),
    ("textmode", Meaning::Textmode),
    ("no-textmode", Meaning::NoTextmode),
    ("output=", Meaning::Output),
    ("local-user=", Meaning::LocalUser),
    ("sign-with=", Meaning::LocalUser),
    ("default-key=", Meaning::DefaultKey),
    ("digest-algo=", Meaning::DigestAlgo),
    ("status-fd=", Meaning::StatusFd),
    ("status-file=", Meaning::StatusFile),
    ("passphrase-fd=", Meaning::PassphraseFd),
    ("batch", Meaning::Batch),
    ("no-batch", Meaning::NoBatch),
    ("yes", Meaning::Yes),
    ("no", Meaning::No),
    ("no-tty", Meaning::Unattended),
    // Whoever gives it would be asked there; nothing is read from it.
    ("command-fd=", Meaning::Unattended),
    ("command-file=", Meaning::Unattended),
];

const SHORT: &[(char, &str)] = &[
    ('s', "sign"),
    ('b', "detach-sign"),
    ('a', "armor"),
    ('t', "textmode"),
    ('o', "output"),
    ('u', "local-user"),
    ('q', "quiet"),
    ('v', "verbose"),
    ('n', "dry-run"),
    ('i', "interactive"),
    ('z', "compress-level"),
    ('r', "recipient"),
    ('R', "hidden-recipient"),
    ('f', "recipient-file"),
    ('F', "hidden-recipient-file"),
    ('N', "set-notation"),
    ('h', "help"),
    ('?', "help"),
    ('e', "encrypt"),
    ('c', "symmetric"),
    ('d', "decrypt"),
    ('k', "list-keys"),
    ('K', "list-secret-keys"),
];

const NOT_OURS: &str = "
    encrypt encrypt-files symmetric store decrypt decrypt-files verify verify-files list-keys list-public-keys
    list-signatures list-sigs check-signatures check-sigs fingerprint list-secret-keys generate-key gen-key
    quick-generate-key quick-gen-key quick-add-uid quick-adduid quick-add-key quick-addkey quick-revoke-uid quick-revuid
    quick-set-expire quick-set-primary-uid full-generate-key full-gen-key generate-revocation gen-revoke delete-keys
    delete-secret-keys quick-sign-key quick-lsign-key quick-revoke-sig sign-key lsign-key edit-key key-edit
    change-passphrase passwd generate-designated-revocation desig-revoke export send-keys receive-keys recv-keys
    search-keys refresh-keys locate-keys locate-external-keys fetch-keys show-keys export-secret-keys
    export-secret-subkeys export-ssh-key import fast-import card-status edit-card card-edit change-pin list-config
    list-gcrypt-config gpgconf-list gpgconf-test list-packets export-ownertrust import-ownertrust update-trustdb
    check-trustdb fix-trustdb list-trustdb dearmor dearmour enarmor enarmour print-md print-mds gen-prime gen-random
    server tofu-policy delete-secret-and-public-keys rebuild-keydb-caches list-key list-sig check-sig show-key warranty
    dump-option-table dump-options";

/// Options that change nothing, by the reason that they share.
pub(super) const IGNORED: &[(&str, &str)] = &[
    (
        "nothing but errors is said",
        "verbose no-verbose quiet no-greeting debug= debug-level= debug-all debug-iolbf charset= display-charset=
        debug-quick-random enable-progress-filter exit-on-status-write-error no-secmem-warning no-permission-warning
        expert no-expert",
    ),
    ("errors go to the standard error", "logger-fd= log-file= logger-file="),
    (
        "the keys are the daemon's: there is neither home nor keyring nor agent",
        "homedir= options= no-options agent-program= dirmngr-program= no-autostart forbid-gen-key use-agent no-use-agent
        gpg-agent-info= keyring= primary-keyring= secret-keyring= no-default-keyring no-keyring lock-once lock-multiple
        lock-never require-secmem no-require-secmem no-random-seed-file preserve-permissions temp-directory= exec-path=
        force-sign-key try-secret-key= try-all-secrets limit-card-insert-tries= use-only-openpgp-card reader-port=
        ctapi-driver= pcsc-driver= disable-ccid default-new-key-algo= allow-secret-key-import
        override-compliance-check compliance= require-compliance",
    ),
    (
        "nothing is asked for but whether a file may be overwritten",
        "pinentry-mode= passphrase? passphrase-file= passphrase-repeat= display=
        ttyname= ttytype= lc-ctype= lc-messages= xauthority= request-origin= interactive ask-sig-expire no-ask-sig-expire
        ask-cert-expire no-ask-cert-expire ask-cert-level no-ask-cert-level attribute-fd= attribute-file=",
    ),
    (
        "signatures are plain version 4 ones, which every profile accepts",
        "openpgp gnupg no-pgp2 no-pgp6 no-pgp7 no-pgp8 rfc4880 rfc4880bis pgp6 pgp7 pgp8 no-rfc2440-text force-v3-sigs
        no-force-v3-sigs force-v4-certs no-force-v4-certs",
    ),
    (
        "the hash is the one that suits the key, unless `--digest-algo` names another",
        "personal-digest-preferences= personal-digest-prefs= enable-dsa2 disable-dsa2 enable-large-rsa disable-large-rsa
        min-rsa-length= weak-digest= allow-weak-digest-algos allow-weak-key-signatures disable-pubkey-algo=",
    ),
    ("armor carries no headers", "comment= default-comment no-comments emit-version no-emit-version no-version"),
    (
        "messages are not compressed",
        "compress-level= bzip2-compress-level= compress-algo= compression-algo= bzip2-decompress-lowmem
        personal-compress-preferences= personal-compress-prefs= compress-keys compress-sigs",
    ),
    ("a message does not store its file's name", "set-filename= use-embedded-filename no-use-embedded-filename"),
    ("`From ` is escaped in any case", "escape-from-lines no-escape-from-lines"),
    (
        "signatures carry no user id",
        "sender= disable-signer-uid utf8-strings no-utf8-strings no-include-key-block no-for-your-eyes-only",
    ),
    (
        "nothing is encrypted",
        "encrypt-to= no-encrypt-to hidden-encrypt-to= encrypt-to-default-key default-recipient= default-recipient-self
        no-default-recipient group= ungroup= no-groups cipher-algo= disable-cipher-algo= s2k-mode= s2k-digest-algo=
        s2k-cipher-algo= s2k-count= recipient= hidden-recipient= recipient-file= hidden-recipient-file= remote-user=
        user= throw-keyids no-throw-keyids no-symkey-cache personal-cipher-preferences= personal-cipher-prefs=
        no-mdc-warning force-mdc no-force-mdc disable-mdc no-disable-mdc show-session-key override-session-key=
        override-session-key-fd= skip-hidden-recipients no-skip-hidden-recipients ignore-mdc-error",
    ),
    (
        "no keys are listed, certified, imported, exported or trusted",
        "list-options= show-photos no-show-photos show-policy-url no-show-policy-url with-colons with-tofu-info
        with-key-data with-sig-list with-sig-check with-fingerprint with-subkey-fingerprint with-subkey-fingerprints
        with-icao-spelling with-keygrip with-secret with-wkd-hash with-key-origin fast-list-mode fixed-list-mode
        legacy-list-mode print-pka-records print-dane-records keyid-format= show-keyring photo-viewer= list-only
        default-cert-expire= default-cert-level= min-cert-level= default-cert-check-level= only-sign-text-ids
        default-preference-list= default-keyserver-url= allow-non-selfsigned-uid no-allow-non-selfsigned-uid
        allow-freeform-uid no-allow-freeform-uid cert-notation= cert-policy-url= cert-digest-algo= always-trust
        trust-model= trusted-key= completes-needed= marginals-needed= max-cert-depth= trustdb-name= auto-check-trustdb
        no-auto-check-trustdb force-ownertrust= tofu-default-policy= tofu-db-format= no-expensive-trust-checks
        no-sig-cache auto-key-locate= no-auto-key-locate auto-key-import no-auto-key-import auto-key-retrieve
        no-auto-key-retrieve disable-dirmngr keyserver= keyserver-options= key-origin= import-options= import-filter=
        export-options= export-filter= merge-only honor-http-proxy sk-comments no-sk-comments",
    ),
    (
        "nothing is verified",
        "verify-options= skip-verify show-notation no-show-notation known-notation= require-backsigs
        require-cross-certification no-require-backsigs no-require-cross-certification ignore-time-conflict
        ignore-valid-from ignore-crc-error allow-multisig-verification allow-multiple-messages
        no-allow-multiple-messages unwrap",
    ),
    ("they have no meaning on this system, or none any more",
     "input-size-hint= mangle-dos-filenames no-mangle-dos-filenames strict no-strict load-extension"),
];

/// Options that ask for what is not done, by the reason that they share.
pub(super) const REFUSED: &[(&str, &str)] = &[
    (
        "signatures carry key and time, and nothing else",
        "set-notation= sig-notation= set-policy-url= sig-policy-url= sig-keyserver-url= default-sig-expire=
        include-key-block",
    ),
    ("the time of a signature is now", "faked-system-time="),
    ("blanks at the ends of lines are signed as RFC 4880 says", "rfc2440 rfc2440-text"),
    (
        "it makes messages that no standard describes",
        "not-dash-escaped mimemode for-your-eyes-only no-literal",
    ),
    ("files are signed one at a time", "multifile"),
    ("data are signed whole", "set-filesize= max-output="),
    ("a signature is made or not", "dry-run"),
    ("a file's name means a file", "enable-special-filenames"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_option_stands_in_one_list_only() {
        let mut seen = BTreeMap::new();
        for entry in all() {
            assert_eq!(seen.insert(entry.name, entry.meaning), None, "{}", entry.name);
            assert!(entry.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
        assert!(seen.len() > 380, "{}", seen.len());
    }

    #[test]
    fn a_short_option_is_the_short_form_of_a_long_one() {
        for (short, name) in SHORT {
            assert!(all().any(|entry| entry.name == *name), "-{short}: {name}");
        }
    }

    /// The judge is gpg's own table: name, number, flags (1, 2, 3 and 4: takes a value; 8: may take one; 128: a command).
    #[test]
    fn every_option_of_the_installed_gpg_is_known_and_takes_what_it_takes_there() {
        let table = std::process::Command::new("gpg").arg("--dump-option-table").output();
        let Ok(table) = table else {
            assert!(std::env::var_os("CI").is_none(), "missing here: gpg");
            eprintln!("skipped: missing here: gpg");
            return;
        };
        let table = String::from_utf8(table.stdout).unwrap();
        let known: BTreeMap<_, _> = all().map(|entry| (entry.name, entry)).collect();
        let mut count = 0;
        for line in table.lines() {
            let mut fields = line.split(':');
            let (name, number) = (fields.next().unwrap(), fields.next().unwrap());
            let flags: u32 = fields.next().unwrap().parse().unwrap();
            // Headings of the help text.
            if flags & 512 != 0 {
                continue;
            }
            count += 1;
            let entry = known.get(name).unwrap_or_else(|| panic!("{name} ({number}) is not known"));
            let takes = match (flags & 8 != 0, flags & 7 != 0) {
                (true, _) => Takes::MaybeValue,
                (_, true) => Takes::Value,
                _ => Takes::Nothing,
            };
            assert_eq!(entry.takes, takes, "{name}");
            let signs = matches!(entry.meaning, Meaning::Sign | Meaning::DetachSign | Meaning::ClearSign);
            let command = flags & 128 != 0;
            assert_eq!(command, signs || (entry.meaning == Meaning::NotOurs && command), "{name}");
        }
        assert!(count > 300, "{count}");
    }
}
