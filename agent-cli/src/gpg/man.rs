//! The man page, made from the tables that the program reads its options by.

use std::fmt::Write;

use super::{HELP, options};
use crate::commands::man::roff;

/// The file's name.
pub(crate) const FILE: &str = "chancery-gpg.1";

/// The page, in roff.
pub(crate) fn page() -> String {
    // HELP is: what it does, the usage, the options, and the rest in prose.
    let mut parts = HELP.split("\n\n");
    let mut part = || parts.next().unwrap_or_default();
    let (does, usage, options) = (part(), part(), part());
    let rest: Vec<_> = parts.collect();
    let mut page = format!(
        ".TH CHANCERY-GPG 1 \"\" \"chancery {}\"\n.SH NAME\nchancery\\-gpg \\- {}\n.SH SYNOPSIS\n{}\n",
        env!("CARGO_PKG_VERSION"),
        roff(&does.to_lowercase()),
        roff(usage.trim_start_matches("Usage: ")),
    );
    section(&mut page, "DESCRIPTION", &roff(DESCRIPTION));
    section(
        &mut page,
        "OPTIONS",
        &format!(".nf\n{}\n.fi\n.PP\n{}", roff(options), roff(rest.join("\n").trim_end())),
    );
    let ignored = "They change nothing here:".to_owned() + &reasons(options::IGNORED);
    section(&mut page, "OPTIONS THAT ARE IGNORED", &ignored);
    let refused =
        "What they ask for is not done, and would be missed:".to_owned() + &reasons(options::REFUSED);
    section(&mut page, "OPTIONS THAT ARE REFUSED", &refused);
    section(&mut page, "ENVIRONMENT", ENVIRONMENT);
    section(
        &mut page,
        "EXIT STATUS",
        ".TP\n\\fB0\\fR\nDone.\n.TP\n\\fB2\\fR\nNot done. Commands that gpg does end as gpg ends.",
    );
    section(&mut page, "SEE ALSO", "\\fBchancery\\fR(1), \\fBgpg\\fR(1)");
    page
}

fn section(page: &mut String, title: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, ".SH \"{title}\"\n{text}");
}

/// Options by the reason that they share.
fn reasons(table: &[(&str, &str)]) -> String {
    let entry = |(why, names): &(&str, &str)| {
        let names = names.split_whitespace().map(|name| format!("--{}", name.trim_end_matches(['=', '?'])));
        format!("\n.TP\n{}\n{}", roff(&sentence(why)), roff(&names.collect::<Vec<_>>().join(", ")))
    };
    table.iter().map(entry).collect()
}

fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const DESCRIPTION: &str = "\
chancery-gpg reads the command line of gpg, signs with a key of chanceryd, and writes what gpg would write: for rpmsign, git,
debsign, dpkg-buildpackage, debsigs and scripts. It is the program chancery under another name; called as gpg or gpg2 it is the
same. What begins like the header of an RPM package has the format rpm for the key's policy and the audit trail, everything
else the format openpgp.";

const ENVIRONMENT: &str = ".TP
\\fBCHANCERY_KEY\\fR
The key that signs where the command line names none.
.TP
\\fBCHANCERY_SOCKET\\fR
The daemon's socket for agents.
.TP
\\fBCHANCERY_BUILD_ID\\fR
The build that made the artifacts, for the audit trail.
.TP
\\fBPATH\\fR
Where the real gpg is looked for.
.TP
\\fBCHANCERY_GPG_HANDED_OVER\\fR
Set for the real gpg, so that a script of that name which calls chancery\\-gpg is not called again.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_every_option_that_is_not_handed_over() {
        let page = page().replace("\\-", "-");
        for entry in options::all().filter(|entry| !matches!(entry.meaning, options::Meaning::NotOurs)) {
            let synonyms = ["armour", "no-armour", "clearsign", "sign-with", "detach-signature"];
            let opposites = ["no-armor", "no-textmode", "no-batch"];
            let told = page.contains(&format!("--{}", entry.name));
            assert!(
                told || synonyms.contains(&entry.name) || opposites.contains(&entry.name),
                "{}",
                entry.name
            );
        }
    }
}
