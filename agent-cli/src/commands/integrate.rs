//! `chancery integrate`, which `chancery help integrate` shows too: how a tool is switched to Chancery, and back.

use std::ffi::OsString;
use std::fmt::Write;

use serde_json::json;

use crate::args::Integrate;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// A tool's page in docs/integrations.
struct Page {
    tool: &'static str,
    /// What the tool is used for, in a line.
    what: &'static str,
    text: &'static str,
}

/// Names a page of docs/integrations.
macro_rules! page {
    ($tool:literal, $what:literal) => {
        Page {
            tool: $tool,
            what: $what,
            text: include_str!(concat!("../../../docs/integrations/", $tool, ".md")),
        }
    };
}

const PAGES: [Page; 20] = [
    page!("apt", "repositories for apt: InRelease and Release.gpg"),
    page!("cms", "files with CMS (PKCS#7) signatures, as openssl makes them; fs-verity and dm-verity"),
    page!("createrepo", "createrepo_c's repomd.xml, and SHA256SUMS"),
    page!("debsign", "Debian source packages and changes: debsign, dpkg-buildpackage"),
    page!("debsigs", "signatures inside Debian packages"),
    page!("dkms", "kernel modules that DKMS builds"),
    page!("git", "commits and tags with OpenPGP signatures"),
    page!("git-ssh", "commits and tags with SSH signatures"),
    page!("gpg", "chancery-gpg in gpg's place, for any caller"),
    page!("kernel-modules", "kernel builds: chancery-sign-file in scripts/sign-file's place"),
    page!("openpgp", "files, checksums and mails with OpenPGP signatures"),
    page!("pesign", "chancery-pesign in pesign's place: rpm's %pesign, and any other caller"),
    page!("reprepro", "Debian repositories that reprepro keeps"),
    page!("rpm", "RPM packages, signed by chancery itself"),
    page!("rpmsign", "RPM packages, signed by rpmsign"),
    page!("sbsign", "chancery-sbsign in sbsign's place, for dracut and any other caller"),
    page!("secure-boot", "UEFI programs, kernels and unified kernel images, in sbsign's place"),
    page!("timestamps", "timestamps of signatures (RFC 3161), for images and CMS"),
    page!("ukify", "unified kernel images by ukify, mkosi and systemd-sbsign; signing in three steps"),
    page!("x509", "X.509 certificates and requests for keys in the token"),
];

/// The tools that have a page.
pub(crate) fn tools() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.tool)
}

pub(crate) fn run(args: &Integrate, terminal: &Terminal) -> Result<Exit, Failure> {
    match PAGES.iter().find(|page| Some(page.tool) == args.tool.as_deref()) {
        Some(page) => terminal.product(page.text.as_bytes())?,
        None => terminal.answer(
            list(),
            &json!(
                PAGES.iter().map(|page| json!({ "tool": page.tool, "what": page.what })).collect::<Vec<_>>()
            ),
        ),
    }
    Ok(Exit::Done)
}

fn list() -> String {
    let width = tools().map(str::len).max().unwrap_or_default();
    let mut text = String::new();
    for page in &PAGES {
        let _ = writeln!(text, "{:width$}  {}", page.tool, page.what);
    }
    text + "`chancery integrate TOOL` shows a tool's page"
}

/// `help integrate TOOL` means `integrate TOOL`: there, the page is the help.
pub(crate) fn instead_of_help(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if let [_, help, integrate, _] = &arguments[..]
        && help == "help"
        && integrate == "integrate"
    {
        arguments.remove(1);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_page_is_offered() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/integrations");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|page| page.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(tools().collect::<Vec<_>>(), found);
    }

    #[test]
    fn every_page_tells_how_to_check_and_how_to_go_back() {
        // That one is what the pages of gpg's callers share.
        for page in PAGES.iter().filter(|page| page.tool != "gpg") {
            for heading in ["\n## Before\n", "\n## After\n", "\n## Checking\n", "\n## Going back\n"] {
                assert!(page.text.contains(heading), "{}: {heading}", page.tool);
            }
        }
    }

    #[test]
    fn the_help_of_a_tool_is_its_page() {
        let of = |line: &str| instead_of_help(line.split(' ').map(OsString::from).collect());
        assert_eq!(of("chancery help integrate rpm"), ["chancery", "integrate", "rpm"]);
        assert_eq!(of("chancery help integrate"), ["chancery", "help", "integrate"]);
        assert_eq!(of("chancery help sign rpm"), ["chancery", "help", "sign", "rpm"]);
    }
}
