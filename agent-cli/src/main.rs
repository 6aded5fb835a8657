//! `chancery`, the agent: it hashes and packages artifacts, and asks chanceryd for the signatures.
//!
//! Read in this order: [`args`] (what can be asked), [`commands`] (one file each), [`daemon`] (the way to chanceryd and
//! its refusals in words), [`signer`], [`files`] (many files at a time), [`output`] (how a file is replaced), and
//! [`terminal`], the only file that prints. The other folders are the faces that stand in for the
//! programs of their names.

mod args;
mod certificates;
mod checkpoint;
mod clock;
mod cms;
mod commands;
mod daemon;
mod efi;
mod exit;
mod failure;
mod files;
mod gpg;
mod hand_over;
mod image_signer;
mod key;
mod key_argument;
mod lane;
mod module;
mod offline;
mod output;
mod pesign;
mod sbsign;
mod shape;
mod sign_file;
mod signer;
mod sources;
mod ssh;
mod ssh_keygen;
mod stand_in;
mod systemd_sbsign;
mod terminal;
mod timestamp;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::Args;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// The program's name chooses its face, before any argument is read.
fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if gpg::is_meant(&arguments) {
        return gpg::main(&arguments);
    }
    let name = arguments.first().and_then(|program| Path::new(program).file_name());
    match name.and_then(OsStr::to_str) {
        Some(name) if sign_file::NAMES.contains(&name) => sign_file::main(arguments),
        Some(name) if sbsign::NAMES.contains(&name) => sbsign::main(arguments),
        Some(name) if pesign::NAMES.contains(&name) => pesign::main(arguments),
        Some(name) if systemd_sbsign::NAMES.contains(&name) => systemd_sbsign::main(arguments),
        Some(ssh_keygen::NAME) => ssh_keygen::run(&arguments),
        _ => chancery(commands::integrate::instead_of_help(arguments)).into(),
    }
}

fn chancery(arguments: Vec<OsString>) -> Exit {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return terminal::usage(&error),
    };
    let terminal = Terminal::new(&args.global);
    match block_on(commands::run(args, &terminal)) {
        Ok(exit) => exit,
        Err(failure) => terminal.fail(&failure),
    }
}

/// Runs `work` to its end.
fn block_on(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    // One thread for the socket, a few for files: little memory, and signatures are waited for, not computed, here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(files::blocking_threads())
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("the event loop cannot start: {error}")))?;
    let outcome = runtime.block_on(work);
    // After an interruption a thread may still hash a large file, or wait for a terminal's input.
    runtime.shutdown_timeout(LAST_WRITES);
    outcome
}

/// How long a file that is being put in its place may take when the run is interrupted.
const LAST_WRITES: Duration = Duration::from_secs(2);
