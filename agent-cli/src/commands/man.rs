//! `chancery man`: the pages are made from the definition of the arguments, the exit codes from their table.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use crate::args::{Args, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::gpg;
use crate::output;
use crate::pesign;
use crate::sbsign;
use crate::sign_file;
use crate::ssh_keygen::{self, SshKeygen};
use crate::systemd_sbsign;
use crate::terminal::Terminal;

pub(crate) fn run(folder: &Path, terminal: &Terminal) -> Result<Exit, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file("make", folder, &error))?;
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    write(&root, "chancery", folder, terminal, &mut pages)?;
    let mut ssh_keygen = SshKeygen::command();
    ssh_keygen.build();
    write(&ssh_keygen, ssh_keygen::NAME, folder, terminal, &mut pages)?;
    output::deliver(&Output::File(folder.join(gpg::man::FILE)), gpg::man::page().as_bytes(), terminal)?;
    pages.push(gpg::man::FILE.to_owned());
    for stand_in in [sign_file::manual(), sbsign::manual(), pesign::manual(), systemd_sbsign::manual()] {
        let page = stand_in_page(&stand_in);
        deliver(stand_in.command.get_name(), page, folder, terminal, &mut pages)?;
    }
    terminal.news(
        format_args!("{}: {} man pages", folder.display(), pages.len()),
        &json!({ "folder": folder.to_string_lossy(), "pages": pages }),
    );
    Ok(Exit::Done)
}

/// Writes the page of `command`, and those of its subcommands.
fn write(
    command: &Command,
    name: &str,
    folder: &Path,
    terminal: &Terminal,
    pages: &mut Vec<String>,
) -> Result<(), Failure> {
    deliver(name, page(command, name), folder, terminal, pages)?;
    for command in command.get_subcommands() {
        write(command, &format!("{name}-{}", command.get_name()), folder, terminal, pages)?;
    }
    Ok(())
}

fn deliver(
    name: &str,
    page: std::io::Result<Vec<u8>>,
    folder: &Path,
    terminal: &Terminal,
    pages: &mut Vec<String>,
) -> Result<(), Failure> {
    let file = format!("{name}.1");
    let page = page.map_err(|error| Failure::file("make", Path::new(&file), &error))?;
    output::deliver(&Output::File(folder.join(&file)), &page, terminal)?;
    pages.push(file);
    Ok(())
}

/// A program that stands in for another tool, whose command line it takes.
pub(crate) struct StandIn {
    /// Its name, what it does, and its options.
    pub(crate) command: Command,
    /// The ways to call it.
    pub(crate) synopsis: &'static [&'static str],
    /// Its exit codes.
    pub(crate) exit: &'static [(&'static str, &'static str)],
}

fn stand_in_page(stand_in: &StandIn) -> std::io::Result<Vec<u8>> {
    let name = stand_in.command.get_name().to_owned();
    let man = man(&stand_in.command, &name);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend(".SH SYNOPSIS\n".bytes());
    page.extend(stand_in.synopsis.iter().flat_map(|line| format!("{}\n.br\n", roff(line)).into_bytes()));
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(".SH \"EXIT STATUS\"\n".bytes());
    let exit = stand_in.exit.iter();
    page.extend(exit.flat_map(|(code, text)| format!(".TP\n\\fB{code}\\fR\n{}\n", roff(text)).into_bytes()));
    page.extend(".SH \"SEE ALSO\"\n\\fBchancery\\fR(1)\n".bytes());
    Ok(page)
}

/// Pages are compared with those in the repository: they hold no date.
fn man(command: &Command, name: &str) -> Man {
    Man::new(command.clone())
        .title(name.to_uppercase())
        .date("")
        .source(concat!("chancery ", env!("CARGO_PKG_VERSION")))
}

fn page(command: &Command, name: &str) -> std::io::Result<Vec<u8>> {
    let man = man(command, name);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(environment(command).into_bytes());
    page.extend(exit_status().into_bytes());
    page.extend(".SH \"SEE ALSO\"\n".bytes());
    page.extend(see_also(name).into_bytes());
    Ok(page)
}

fn environment(command: &Command) -> String {
    let mut text = ".SH ENVIRONMENT\n".to_owned();
    for argument in command.get_arguments() {
        if let (Some(variable), Some(option)) = (argument.get_env(), argument.get_long()) {
            let (variable, option) = (variable.to_string_lossy(), roff(option));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                ".TP\n\\fB{variable}\\fR\nThe value of \\fB\\-\\-{option}\\fR, unless that is given."
            );
        }
    }
    text
}

fn exit_status() -> String {
    let mut text = ".SH \"EXIT STATUS\"\n".to_owned();
    for exit in Exit::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}.", exit.code(), roff(&sentence(exit.meaning())));
    }
    text.push_str(".PP\nIf several files were given, the code is that of their failure if all of them failed for the same reason, and 1 otherwise.\n");
    text
}

fn see_also(name: &str) -> String {
    let above = name.rsplit_once('-').map_or("chanceryd", |(above, _)| above);
    let section = if above == "chanceryd" { 8 } else { 1 };
    format!("\\fB{}\\fR({section})\n", roff(above))
}

/// `text` with a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Text in which roff sees only text.
pub(crate) fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
