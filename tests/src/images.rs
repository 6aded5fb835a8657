//! UEFI programs to sign, houses whose keys are in files too, and the judges of signed images.

use std::fs;
use std::path::Path;

use chancery_protocol::Algorithm;

use crate::House;
use crate::process::{capped, run};
use crate::tools::have;

/// A UEFI program whose length is odd, and the stub of unified kernel images: both of systemd-boot-efi.
pub const SYSTEMD_BOOT: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
/// See [`SYSTEMD_BOOT`].
pub const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// RSA as openssl's genpkey asks for it.
pub const RSA: &str = "RSA -pkeyopt rsa_keygen_bits:2048";
/// P-256, likewise.
pub const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";

/// Whether images and these programs are there; if not, says so, and fails where nothing may be skipped.
pub fn have_images_and(programs: &[&str]) -> bool {
    let there = Path::new(SYSTEMD_BOOT).is_file() && Path::new(STUB).is_file();
    assert!(there || std::env::var_os("CI").is_none(), "missing here: {SYSTEMD_BOOT} of systemd-boot-efi");
    have(programs) && there
}

/// Whether osslsigncode takes a dwLength that does not count the zeros behind a signature, as sbsign writes it. That of
/// Debian 12, 2.5, refuses sbsign's own images.
fn takes_sbsigns_lengths() -> bool {
    let said = run(capped(10, "osslsigncode").arg("--version")).stdout;
    !said.starts_with("osslsigncode 2.5,")
}

impl House {
    /// A house whose keys are in files too, for tools that want files: `NAME.key`, and the certificate in `NAME.pem`. In its
    /// folder is the image `a.efi`. Each key comes with its kind, such as [`RSA`].
    #[track_caller]
    pub fn with_keys_in_files(keys: &[(&str, &str)]) -> Self {
        let mut house = Self::builder().prepare();
        for (name, kind) in keys {
            let key = house.path(&format!("{name}.key"));
            let mut openssl = capped(30, "openssl");
            run(openssl.args(["genpkey", "-algorithm"]).args(kind.split(' ')).arg("-out").arg(&key))
                .succeeded();
            house.import(name, &key);
        }
        house.start();
        house.wait_until("every worker of the token is ready", Self::is_ready);
        for (name, _) in keys {
            house.x509(name, "efi");
        }
        house.image("a.efi");
        house
    }

    /// A house with the key `boot`, its certificate in `boot.pem`, and the image `a.efi`.
    #[track_caller]
    pub fn with_boot() -> Self {
        let house = Self::builder().key("boot", Algorithm::Rsa2048).start();
        house.x509("boot", "efi");
        house.image("a.efi");
        house
    }

    /// Puts an image into the house's folder.
    #[track_caller]
    pub fn image(&self, name: &str) {
        self.write(name, fs::read(SYSTEMD_BOOT).expect("an image"));
    }

    /// What lies in the house's folder, by name.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path(".")).expect("the folder").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Expects sbverify and osslsigncode to find `image` signed by the key whose certificate is in `KEY.pem`.
    #[track_caller]
    pub fn judges_accept(&self, key: &str, image: &str) {
        self.shell(&format!("sbverify --cert {key}.pem {image}")).succeeded();
        if takes_sbsigns_lengths() {
            let said =
                self.shell(&format!("osslsigncode verify -CAfile {key}.pem -in {image}")).succeeded().stdout;
            assert!(said.contains("Succeeded"), "{said}");
        }
    }

    /// Expects a stand-in to end with 1 for each of these command lines, to tell the reason, and to leave no file.
    #[track_caller]
    pub fn refuses(&self, program: &str, lines: &[(&str, &str)]) {
        let before = self.files();
        for (words, told) in lines {
            let said = self.shell(&format!("{program} {words}")).failed(1);
            let is_told = said.stderr.starts_with("error: ") && said.stderr.contains(told);
            assert!(is_told && said.stdout.is_empty(), "{words}: {}", said.text());
            assert_eq!(self.files(), before, "{words}");
        }
    }

    /// Expects a user without a grant to be refused the key `boot`, and a stand-in called so to write nothing to
    /// `theirs/out.efi`. Needs root.
    #[track_caller]
    pub fn refuses_a_stranger(&self, line: &str) {
        const STRANGER: u32 = 65_534;
        let folder = self.path("theirs");
        fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::chown(&folder, Some(STRANGER), None).expect("its owner");
        let said = self.shell_as(STRANGER, STRANGER, &[], line).failed(1).stderr;
        assert!(said.contains("error: key `boot` does not exist, or you may not use it"), "{said}");
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
    }

    /// Does what a page of docs/integrations has once for the operator, as the user of the test.
    #[track_caller]
    pub fn follow(&self, block: &str) {
        let me = format!("user:{}", nix::unistd::geteuid());
        self.shell(&block.replace("group:farm", &me)).succeeded();
    }
}
