//! Timestamps (RFC 3161) of signatures by keys in a token, given by `openssl ts` and judged by osslsigncode, openssl,
//! sbverify and pesign.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::tsa::{Manner, POLICIES, Tsa};
use chancery_tests::{House, Output, Page};

/// A UEFI program, and the package that it is of.
const IMAGE: (&str, &str) = ("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot-efi");
const JUDGES: [&str; 4] = ["openssl", "osslsigncode", "sbverify", "pesign"];

/// A house with keys of these kinds, named by them, their certificates, and an image `a.efi`. `None` where something is
/// missing that may be.
#[track_caller]
fn house(keys: &[(&str, Algorithm)]) -> Option<House> {
    let (path, package) = IMAGE;
    if !have(&JUDGES) {
        return None;
    }
    let there = Path::new(path).is_file();
    assert!(there || std::env::var_os("CI").is_none(), "missing here: {path} of {package}");
    if !there {
        eprintln!("skipped: missing here: {path} of {package}");
        return None;
    }
    let house = keys.iter().fold(House::builder(), |house, (name, kind)| house.key(name, *kind)).start();
    for (name, _) in keys {
        house.x509(name, "efi");
    }
    house.write("a.efi", fs::read(path).unwrap());
    Some(house)
}

/// Runs chancery with folders of its own for settings and cache.
#[track_caller]
fn chancery(house: &House, line: &str) -> Output {
    house.shell(&format!("XDG_CONFIG_HOME=$PWD/config XDG_CACHE_HOME=$PWD/cache chancery {line}"))
}

/// Says which judge is not content with `image`, signed by `key` and timestamped by `tsa`.
#[track_caller]
fn judged_good(house: &House, image: &str, key: &str, tsa: &Tsa) {
    let ca = tsa.ca();
    let ca = ca.display();
    let said = house.shell(&format!("osslsigncode verify -CAfile {key}.pem -TSA-CAfile {ca} -in {image}"));
    let said = said.succeeded().text();
    assert!(
        said.contains("Succeeded") && said.contains("Timestamp Server Signature verification: ok"),
        "{said}"
    );
    let said = house.shell(&format!("sbverify --cert {key}.pem {image}")).succeeded().text();
    assert!(said.contains("Signature verification OK"), "{said}");
    let said = house.shell(&format!("pesign -S -i {image}")).succeeded().stdout;
    assert!(said.contains(&format!("The signer's common name is {key} of a test\n")), "{said}");
    let (token, value) = token_and_value(house, image);
    let line = format!(
        "openssl ts -verify -token_in -in {} -data {} -CAfile {ca}",
        token.display(),
        value.display()
    );
    assert!(house.shell(&line).succeeded().text().contains("Verification: OK"));
}

/// The timestamp of an image's signature and the signature's value, as openssl finds them, in files.
#[track_caller]
fn token_and_value(house: &House, image: &str) -> (PathBuf, PathBuf) {
    house.shell(&format!("rm -f sig.p7 && sbattach --detach sig.p7 {image}")).succeeded();
    let said = house.shell("openssl asn1parse -inform DER -in sig.p7").succeeded().stdout;
    let bytes = fs::read(house.path("sig.p7")).unwrap();
    let lines: Vec<_> = said.lines().collect();
    let number = |line: &str, name: &str| -> usize {
        let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("{line}"));
        rest.trim_start().split([' ', ':']).next().unwrap().parse().unwrap()
    };
    let part = |at: usize, with_header: bool| {
        let line = lines[at];
        let offset: usize = line.split(':').next().unwrap().trim().parse().unwrap();
        let (header, len) = (number(line, "hl="), number(line, " l="));
        let begin = if with_header { offset } else { offset + header };
        &bytes[begin..offset + header + len]
    };
    let attribute = lines.iter().position(|line| line.ends_with(":1.3.6.1.4.1.311.3.3.1"));
    let attribute = attribute.unwrap_or_else(|| panic!("no timestamp in {image}: {said}"));
    // OBJECT, SET, SEQUENCE: the token. Before it: OCTET STRING, cont [ 1 ], SEQUENCE, OBJECT.
    let token = house.write("token.der", part(attribute + 2, true));
    assert!(lines[attribute - 3].contains("OCTET STRING"), "{}", lines[attribute - 3]);
    let value = house.write("value", part(attribute - 3, false));
    (token, value)
}

#[test]
fn the_judges_accept_timestamps_of_signatures_by_every_kind_of_key() {
    let Some(house) = house(&[("rsa", Algorithm::Rsa2048), ("p256", Algorithm::P256)]) else { return };
    let tsa = Tsa::start();
    for key in ["rsa", "p256"] {
        let image = format!("{key}.efi");
        house.shell(&format!("cp a.efi {image}")).succeeded();
        let line = format!("sign efi --key {key} --timestamp-url {} {image}", tsa.url());
        let said = chancery(&house, &line).succeeded().stdout;
        assert_eq!(said, format!("{image}: signed with a timestamp by `CN=Timestamps of a test`\n"));
        judged_good(&house, &image, key, &tsa);
        assert_eq!(tsa.requests().len(), 1);
        house.chancery(&["verify", "efi", "--key", key, &image]).succeeded();
        let said = house.chancery(&["show", "efi", &image]).succeeded().stdout;
        assert!(said.contains("Z by CN=Timestamps of a test\n"), "{said}");
        // Signed and timestamped: nothing is left to do.
        let said = chancery(&house, &line).succeeded().stdout;
        assert_eq!(said, format!("{image}: already signed by this key, left alone\n"));
        assert_eq!(tsa.requests().len(), 0);
    }
}

#[test]
fn a_timestamp_is_added_later_to_what_has_none() {
    let Some(house) = house(&[("one", Algorithm::Rsa2048), ("two", Algorithm::Rsa2048)]) else { return };
    let tsa = Tsa::start();
    let url = tsa.url();
    let said = chancery(&house, &format!("timestamp efi --timestamp-url {url} a.efi")).failed(1).stderr;
    assert!(said.contains("a.efi: the image is not signed"), "{said}");
    house.chancery(&["sign", "efi", "--key", "one", "a.efi"]).succeeded();
    house.shell("cp a.efi b.efi").succeeded();
    // The outermost tag of the signature, which is all that the table holds.
    let mut broken = fs::read(house.path("a.efi")).unwrap();
    let table = u32::from_le_bytes(broken[directory(&broken)..][..4].try_into().unwrap()) as usize;
    broken[table + 8] = 0x31;
    house.write("broken.efi", &broken);
    let said = chancery(&house, &format!("timestamp efi --timestamp-url {url} broken.efi")).failed(1).stderr;
    assert!(said.contains("broken.efi: none of its signatures can be read"), "{said}");
    let said = chancery(&house, &format!("timestamp efi --timestamp-url {url} a.efi")).succeeded().stdout;
    assert_eq!(said, "a.efi: timestamped by `CN=Timestamps of a test`\n");
    judged_good(&house, "a.efi", "one", &tsa);
    let said = chancery(&house, &format!("timestamp efi --timestamp-url {url} a.efi")).succeeded().stdout;
    assert_eq!(said, "a.efi: already timestamped\n");
    assert_eq!(tsa.requests().len(), 1);
    // Signing again comes to the same, byte for byte: the kept timestamp is beside the same signature.
    let line = format!("sign efi --key one --timestamp-url {url} --json b.efi");
    let said = chancery(&house, &line).succeeded().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["result"], &said["tsa"]), (&"timestamped".into(), &"CN=Timestamps of a test".into()));
    assert!(fs::read(house.path("a.efi")).unwrap() == fs::read(house.path("b.efi")).unwrap());
    assert_eq!(tsa.requests().len(), 0);
    // A second signature, without one, is the only one that gets one.
    house.chancery(&["sign", "efi", "--key", "two", "a.efi"]).succeeded();
    chancery(&house, &format!("timestamp efi --timestamp-url {url} a.efi")).succeeded();
    assert_eq!(tsa.requests().len(), 1);
    let said = house.chancery(&["show", "efi", "--json", "a.efi"]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    for signature in shown["signatures"].as_array().unwrap() {
        assert_eq!(signature["timestamp"]["tsa"], "CN=Timestamps of a test", "{shown}");
        assert_eq!(signature["matches"], true);
    }
    for key in ["one", "two"] {
        house.shell(&format!("sbverify --cert {key}.pem a.efi")).succeeded();
    }
}

#[test]
fn the_next_server_is_asked_where_one_fails_and_the_message_tells_of_each() {
    let Some(house) = house(&[("k", Algorithm::P256)]) else { return };
    let (first, second) = (Tsa::start(), Tsa::start());
    let before = fs::read(house.path("a.efi")).unwrap();
    // Nothing listens where a server has just ended.
    let gone = Tsa::start().url();
    let urls =
        |urls: &[&str]| urls.iter().map(|url| format!("--timestamp-url {url} ")).collect::<Vec<_>>().concat();
    let proper = vec![0x30; 200 * 1024];
    let manners = [
        (Manner::Status(404, ""), 1, "HTTP status 404 not found"),
        (
            Manner::Status(301, "Location: http://example.org/\r\n"),
            1,
            "HTTP status 301 moved permanently, which points to `http://example.org/`",
        ),
        (Manner::Status(503, ""), 3, "HTTP status 503 service unavailable (3 tries)"),
        (
            Manner::Status(429, "Retry-After: 3600\r\n"),
            1,
            "HTTP status 429 too many requests, to be asked again in 3600 s",
        ),
        (
            Manner::OfType("text/html"),
            1,
            "its answer is of type `text/html`, and not application/timestamp-reply",
        ),
        (Manner::Bytes(b"garbage".to_vec()), 1, "the answer is no TimeStampResp in DER"),
        (Manner::Bytes(proper), 1, "its answer is larger than 131072 bytes"),
        // What RFC 3161 knows as waiting.
        (
            Manner::Bytes(b"\x30\x05\x30\x03\x02\x01\x03".to_vec()),
            3,
            "the server gives no timestamp: waiting (3 tries)",
        ),
    ];
    for (manner, tries, told) in manners {
        first.always(manner.clone());
        let line = format!("sign efi --key k {}a.efi", urls(&[&first.url()]));
        let passes = tries > 1 || told.contains("3600");
        let said = chancery(&house, &line).failed(if passes { 4 } else { 1 }).stderr;
        assert!(
            said.contains(&format!("a.efi: no server gave a timestamp: {}: {told}", first.url())),
            "{said}"
        );
        assert!(said.contains("hint: name another server"), "{said}");
        assert_eq!(first.requests().len(), tries, "{told}");
        assert!(fs::read(house.path("a.efi")).unwrap() == before, "{told}");
        assert_eq!(leftovers(&house), Vec::<String>::new());
    }
    first.always(Manner::Never);
    let line = format!("--wait 1 sign efi --key k {}a.efi", urls(&[&first.url(), &gone]));
    let said = chancery(&house, &line).failed(4).stderr;
    assert!(
        said.contains(&format!("{}: no answer within 1 s; {gone}: connection refused", first.url())),
        "{said}"
    );
    assert!(fs::read(house.path("a.efi")).unwrap() == before);
    // With a third one it is done.
    let line = format!("--wait 1 sign efi --key k {}a.efi", urls(&[&gone, &first.url(), &second.url()]));
    chancery(&house, &line).succeeded();
    assert_eq!(second.requests().len(), 1);
    judged_good(&house, "a.efi", "k", &second);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let Some(house) = house(&[("k", Algorithm::P256)]) else { return };
    let tsa = Tsa::start();
    tsa.next([Manner::Status(503, ""), Manner::Status(429, "Retry-After: 1\r\n")]);
    chancery(&house, &format!("sign efi --key k --timestamp-url {} a.efi", tsa.url())).succeeded();
    let times = tsa.requests();
    assert_eq!(times.len(), 3);
    assert!(times[1] - times[0] >= Duration::from_millis(500), "{times:?}");
    assert!(times[2] - times[1] >= Duration::from_secs(1), "{times:?}");
    judged_good(&house, "a.efi", "k", &tsa);
}

#[test]
fn a_replayed_answer_a_policy_that_is_not_there_and_an_unknown_authority_are_refused() {
    let Some(house) = house(&[("k", Algorithm::P256)]) else { return };
    let (tsa, other) = (Tsa::start(), Tsa::start());
    let before = fs::read(house.path("a.efi")).unwrap();
    let url = tsa.url();
    house.shell("cp a.efi b.efi").succeeded();
    chancery(&house, &format!("sign efi --key k --timestamp-url {url} b.efi")).succeeded();
    let ca = other.ca();
    let cases = [
        ("", Some(Manner::Replay), "the timestamp is of another signature"),
        ("--timestamp-policy 1.2.3.4.9", None, "rejection, unacceptedPolicy (the policy is none of its own)"),
        (
            &format!("--timestamp-ca {}", ca.display()),
            None,
            "the timestamp is by `CN=Timestamps of a test`, which none of the given certificates vouches for",
        ),
    ];
    for (options, manner, told) in cases {
        tsa.next(manner);
        let said = chancery(&house, &format!("sign efi --key k --timestamp-url {url} {options} a.efi"));
        let said = said.failed(1).stderr;
        assert!(said.contains(told), "{said}");
        assert!(fs::read(house.path("a.efi")).unwrap() == before, "{told}");
    }
    let [_, policy] = POLICIES;
    let options = format!("--timestamp-policy {policy} --timestamp-ca {}", tsa.ca().display());
    chancery(&house, &format!("sign efi --key k --timestamp-url {url} {options} a.efi")).succeeded();
    judged_good(&house, "a.efi", "k", &tsa);
    let (token, _) = token_and_value(&house, "a.efi");
    let said = house.shell(&format!("openssl ts -reply -token_in -in {} -token_out -text", token.display()));
    assert!(said.succeeded().stdout.contains(&format!("Policy OID: {policy}")));
}

#[test]
fn the_same_signature_is_asked_for_once_and_a_spoilt_cache_stops_nobody() {
    let Some(house) = house(&[("rsa", Algorithm::Rsa2048), ("p256", Algorithm::P256)]) else { return };
    let tsa = Tsa::start();
    house.shell("cp a.efi unsigned.efi").succeeded();
    let sign = |key: &str| {
        house.shell("cp unsigned.efi a.efi").succeeded();
        chancery(&house, &format!("sign efi --key {key} --timestamp-url {} a.efi", tsa.url())).succeeded();
        (fs::read(house.path("a.efi")).unwrap(), tsa.requests().len())
    };
    let (first, requests) = sign("rsa");
    assert_eq!(requests, 1);
    let (again, requests) = sign("rsa");
    assert!(again == first && requests == 0);
    // An ECDSA signature is another one each time.
    assert_eq!((sign("p256").1, sign("p256").1), (1, 1));
    for spoil in [
        "for token in cache/chancery/timestamps/tokens/*; do echo spoilt > $token; done",
        "for token in cache/chancery/timestamps/tokens/*; do truncate -s 2M $token; done",
        "touch -d '91 days ago' cache/chancery/timestamps/tokens/*",
        "rm -r cache && touch cache",
    ] {
        house.shell(spoil).succeeded();
        assert_eq!(sign("rsa").1, 1, "{spoil}");
    }
    // Without a folder nothing is kept, and nothing fails.
    house.shell("cp unsigned.efi a.efi").succeeded();
    let line = format!(
        "env -u HOME -u XDG_CACHE_HOME chancery sign efi --key rsa --timestamp-url {} a.efi",
        tsa.url()
    );
    house.shell(&line).succeeded();
    assert_eq!(tsa.requests().len(), 1);
}

#[test]
fn a_server_is_asked_no_faster_than_the_settings_say_by_several_processes() {
    let Some(house) = house(&[("k", Algorithm::P256)]) else { return };
    let tsa = Tsa::start();
    let settings = format!("[[server]]\nurl = \"{}\"\nrate = 2\ntrust = \"tsa.pem\"\n", tsa.url());
    house.shell("mkdir -p config/chancery && cp a.efi b.efi && cp a.efi c.efi && cp a.efi d.efi").succeeded();
    house.write("config/chancery/timestamp.toml", &settings);
    fs::copy(tsa.ca(), house.path("config/chancery/tsa.pem")).unwrap();
    let one = "XDG_CONFIG_HOME=$PWD/config XDG_CACHE_HOME=$PWD/cache chancery sign efi --key k --timestamp";
    house.shell(&format!("{one} a.efi b.efi & {one} c.efi d.efi && wait $!")).succeeded();
    let times = tsa.requests();
    assert_eq!(times.len(), 4);
    // They are sent within a second and a half, and a busy machine brings the first one late.
    assert!(times[3] - times[0] >= Duration::from_secs(1), "{times:?}");
    for image in ["a.efi", "b.efi", "c.efi", "d.efi"] {
        judged_good(&house, image, "k", &tsa);
    }
    house.write("config/chancery/timestamp.toml", format!("{settings}rates = 1\n"));
    let said = chancery(&house, "timestamp efi a.efi").failed(1).stderr;
    assert!(said.contains("config/chancery/timestamp.toml:5: unknown field `rates`"), "{said}");
    house.shell("rm -r config").succeeded();
    let said = chancery(&house, "sign efi --key k --timestamp a.efi").failed(2).stderr;
    assert!(said.contains("no timestamp server is known: there is no "), "{said}");
}

#[test]
fn openssl_accepts_cms_over_files_with_a_timestamp_beside_it() {
    if !have(&["openssl"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::P256).start();
    house.x509("k", "code");
    house.write("data", "what is signed\n");
    let tsa = Tsa::start();
    let url = tsa.url();
    let verify = "openssl cms -verify -binary -purpose any -CAfile k.pem -inform DER -in";
    for (options, file, how) in [("", "data.p7s", "-content data"), ("--attached", "data.p7m", "")] {
        chancery(&house, &format!("sign cms --key k {options} --timestamp-url {url} data")).succeeded();
        let said = house.shell(&format!("{verify} {file} {how}")).succeeded().stdout;
        assert_eq!(said, "what is signed\n");
        let said = house.shell(&format!("openssl asn1parse -inform DER -in {file}")).succeeded().stdout;
        assert!(said.contains(":id-smime-aa-timeStampToken"), "{said}");
        house.chancery(&["verify", "cms", "--key", "k", "data"]).succeeded();
    }
    assert_eq!(tsa.requests().len(), 2);
    house.shell("rm data.p7?").succeeded();

    // The same later, to what was signed without: as bytes, as text and around the file.
    let ca = tsa.ca();
    for (options, file, form, how) in [
        ("", "data.p7s", "DER", "-content data"),
        ("--armor", "data.p7s", "PEM", "-content data"),
        ("--armor --pkcs7", "data.p7s", "PEM", "-content data"),
        ("--attached", "data.p7m", "DER", ""),
    ] {
        house.shell(&format!("chancery sign cms --key k {options} data")).succeeded();
        let label = || fs::read(house.path(file)).unwrap()[..11].to_vec();
        let before = label();
        let said =
            chancery(&house, &format!("timestamp cms --timestamp-url {url} {file}")).succeeded().stdout;
        assert!(said.starts_with(&format!("{file}: timestamped by `")), "{said}");
        // Text stays text.
        assert_eq!(before == b"-----BEGIN ", form == "PEM");
        assert_eq!(label() == b"-----BEGIN ", form == "PEM");
        let line =
            format!("openssl cms -verify -binary -purpose any -CAfile k.pem -inform {form} -in {file} {how}");
        assert_eq!(house.shell(&line).succeeded().stdout, "what is signed\n");
        let named = if file == "data.p7m" { file } else { "data" };
        let verify = format!("chancery verify cms --key k --timestamp-ca {} {named}", ca.display());
        let said = house.shell(&verify).succeeded().stdout;
        assert!(said.contains(" by the timestamp of `"), "{said}");
        let said =
            house.shell(&format!("chancery verify cms --key k --timestamp-ca k.pem {named}")).failed(1);
        assert!(said.stderr.contains("none of the given certificates vouches for"), "{}", said.stderr);
        let said =
            chancery(&house, &format!("timestamp cms --timestamp-url {url} {file}")).succeeded().stdout;
        assert_eq!(said, format!("{file}: already timestamped\n"));
        house.shell(&format!("rm {file}")).succeeded();
    }
    assert_eq!(tsa.requests().len(), 4);
    tsa.always(Manner::Status(404, ""));
    let said = chancery(&house, &format!("sign cms --key k --timestamp-url {url} data")).failed(1).stderr;
    assert!(said.contains("data: no server gave a timestamp: "), "{said}");
    assert!(!house.path("data.p7s").exists());
}

#[test]
fn the_page_says_what_works() {
    let Some(house) = house(&[("boot", Algorithm::P256)]) else { return };
    let tsa = Tsa::start();
    let page = Page::of("timestamps");
    let settings = page.block("Once, by an operator").replace("http://timestamp.example.org/tsr", &tsa.url());
    house.shell("mkdir -p config/chancery && mv a.efi grubx64.efi && cp grubx64.efi linux.efi").succeeded();
    house.write("config/chancery/timestamp.toml", settings);
    for place in ["config/chancery/tsa.pem", "tsa.pem"] {
        fs::copy(tsa.ca(), house.path(place)).unwrap();
    }
    house.shell("cp boot.pem db.pem").succeeded();
    let own = "export XDG_CONFIG_HOME=$PWD/config XDG_CACHE_HOME=$PWD/cache\n";
    for block in page.under("After") {
        house.shell(&format!("{own}{block}")).succeeded();
    }
    assert_eq!(tsa.requests().len(), 2);
    for image in ["grubx64.efi", "linux.efi"] {
        judged_good(&house, image, "boot", &tsa);
    }
    let said = house.shell(&page.block("Checking")).succeeded().text();
    assert!(said.contains("Succeeded") && said.contains("timestamp"), "{said}");
    house.shell(&page.block("Going back")).succeeded();
}

/// Where the certificate table's entry of a PE32+ image stands ("PE Format", "Optional Header Data Directories").
fn directory(image: &[u8]) -> usize {
    let pe = u32::from_le_bytes(image[0x3c..][..4].try_into().unwrap()) as usize;
    pe + 24 + 112 + 4 * 8
}

fn leftovers(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(".chancery-")).collect()
}
