//! Real images, as distributions ship them, signed by `chancery sign efi`: what they carry is kept or replaced, and
//! sbverify, pesign, osslsigncode and sbsign's own digest agree.

use std::fs;
use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use chancery_tests::House;
use chancery_tests::debian_images::fetched;
use chancery_tests::tools::have;

const JUDGES: [&str; 5] = ["openssl", "sbverify", "sbsign", "pesign", "osslsigncode"];
const DEBIAN: &str = "Debian Secure Boot Signer 2022 - linux";

/// Where an image comes from.
enum From {
    /// tests/images/fetch.sh.
    Debian(&'static str),
    /// tests/samples.
    Sample(&'static str),
    /// Made here: systemd's stub, Debian's kernel for amd64, and something that stands for an initrd.
    Unified,
}

/// An image, and the names of those who have signed it already, as pesign tells them.
const IMAGES: [(From, &[&str]); 5] = [
    (From::Debian("vmlinuz-amd64"), &[DEBIAN]),
    (From::Debian("vmlinuz-arm64"), &[DEBIAN]),
    (
        From::Debian("shimx64.efi.signed"),
        &["Microsoft Windows UEFI Driver Publisher", "Microsoft UEFI CA 2023 signer"],
    ),
    // Its length is odd.
    (From::Sample("shimx64.efi"), &[]),
    (From::Unified, &[]),
];

#[test]
fn signatures_of_distributions_are_kept_or_replaced_and_the_judges_accept_each_image() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.x509("k", "efi");
    another_signer(&house);
    for (from, already) in IMAGES {
        let Some(image) = from.image(&house) else { return };
        let name = image.display();
        house.write("image.efi", fs::read(&image).unwrap());
        assert_eq!(signers(&house, "image.efi"), already, "{name}");

        house.chancery(&["sign", "efi", "--key", "k", "image.efi"]).succeeded();
        assert_eq!(signers(&house, "image.efi"), [already, &["k of a test"]].concat(), "{name}");
        house.shell("sbverify --cert k.pem image.efi").succeeded();
        house.chancery(&["verify", "efi", "--key", "k", "image.efi"]).succeeded();
        let shown = show(&house, "image.efi");
        assert!(shown["signatures"].as_array().unwrap().iter().all(|one| one["matches"] == true), "{shown}");

        house.chancery(&["sign", "efi", "--key", "k", "--replace", "image.efi"]).succeeded();
        assert_eq!(signers(&house, "image.efi"), ["k of a test"], "{name}");
        house.shell("sbverify --cert k.pem image.efi").succeeded();
        let said = house.shell("osslsigncode verify -CAfile k.pem -in image.efi").succeeded().stdout;
        assert!(
            said.contains("Number of verified signatures: 1") && said.contains("Succeeded"),
            "{name}: {said}"
        );
        // What sbsign and pesign hash of the same image.
        let digest = show(&house, "image.efi")["sha256"].as_str().unwrap().to_owned();
        house.shell("sbsign --key another.key --cert another.pem --output theirs.efi image.efi").succeeded();
        let theirs = show(&house, "theirs.efi");
        assert_eq!(theirs["signatures"][1]["digest"], *digest, "{name}");
        let said = house.shell("pesign -h -i image.efi").succeeded().stdout;
        assert_eq!(said.trim(), format!("hash: {digest}"), "{name}");
    }
}

#[test]
fn an_arm64_kernel_in_a_gzip_file_is_signed_inside_and_keeps_what_it_carries() {
    if !have(&JUDGES) {
        return;
    }
    let Some(kernel) = fetched("vmlinuz-arm64") else { return };
    let house = House::builder().key("k", Algorithm::P256).start();
    house.x509("k", "efi");
    house.write("vmlinuz", fs::read(kernel).unwrap());
    house.shell("gzip -n -1 vmlinuz && mv vmlinuz.gz vmlinuz").succeeded();
    house.chancery(&["sign", "efi", "--key", "k", "vmlinuz"]).succeeded();
    house.shell("gzip -dc vmlinuz >inside").succeeded();
    house.shell("sbverify --cert k.pem inside").succeeded();
    assert_eq!(signers(&house, "inside"), [DEBIAN, "k of a test"]);
}

#[test]
fn memory_does_not_grow_with_an_image() {
    if !have(&["time"]) {
        return;
    }
    let Some(kernel) = fetched("vmlinuz-arm64") else { return };
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.x509("k", "efi");
    // The same kernel, and one that is ten times as long.
    house.write("small.efi", fs::read(&kernel).unwrap());
    let large = house.write("large.efi", fs::read(&kernel).unwrap());
    house.chancery(&["unsign", "efi", "large.efi"]).succeeded();
    let length = fs::metadata(&large).unwrap().len();
    fs::File::options().write(true).open(&large).unwrap().set_len(10 * length).unwrap();
    let [small, large] = ["small.efi", "large.efi"].map(|image| {
        let line = format!("command time -f %M -o kilobytes chancery sign efi --key k {image}");
        house.shell(&line).succeeded();
        fs::read_to_string(house.path("kilobytes")).unwrap().trim().parse::<u64>().unwrap()
    });
    // Both need some of the libraries, the one a little more of them than the other.
    assert!(large < small + 2048, "{small} KiB for one, {large} KiB for ten times as much");
}

impl From {
    /// Where it is, if it can be had here.
    #[track_caller]
    fn image(&self, house: &House) -> Option<PathBuf> {
        match self {
            Self::Debian(name) => fetched(name),
            Self::Sample(name) => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)),
            Self::Unified => unified(house),
        }
    }
}

/// A unified kernel image, as objcopy makes it (systemd-stub(7)).
#[track_caller]
fn unified(house: &House) -> Option<PathBuf> {
    let stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    if !have(&["objcopy", stub]) {
        return None;
    }
    let kernel = fetched("vmlinuz-amd64")?;
    house.write("initrd", vec![b'i'; 100_000]);
    house.write("cmdline", "quiet root=/dev/vda2");
    house
        .shell(&format!(
            "objcopy --add-section .osrel=/etc/os-release --change-section-vma .osrel=0x20000 \
             --add-section .cmdline=cmdline --change-section-vma .cmdline=0x30000 \
             --add-section .linux={} --change-section-vma .linux=0x2000000 \
             --add-section .initrd=initrd --change-section-vma .initrd=0x4000000 {stub} unified.efi",
            kernel.display()
        ))
        .succeeded();
    Some(house.path("unified.efi"))
}

/// A key in a file, for sbsign, and its certificate: another.key and another.pem.
#[track_caller]
fn another_signer(house: &House) {
    house
        .shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout another.key -out another.pem -subj /CN=Another -days 3650")
        .succeeded();
}

/// The names of the signers that pesign finds.
#[track_caller]
fn signers(house: &House, image: &str) -> Vec<String> {
    let said = house.shell(&format!("pesign -S -i {image}")).succeeded().stdout;
    let names = said.lines().filter_map(|line| line.strip_prefix("The signer's common name is "));
    names.map(str::to_owned).collect()
}

#[track_caller]
fn show(house: &House, image: &str) -> serde_json::Value {
    let said = house.chancery(&["show", "efi", image, "--json"]).succeeded().stdout;
    serde_json::from_str(&said).unwrap()
}
