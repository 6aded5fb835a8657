//! chanceryd, the keeper of the keys. ARCHITECTURE.md follows a request through these rooms in this order:
//! listen, peer, session, request, policy, audit, keyring, token.

mod admin;
mod args;
mod audit;
mod certificates;
mod check;
mod config;
mod house;
mod journal;
mod keyring;
mod listen;
mod peer;
mod policy;
mod request;
mod serve;
mod session;
mod setting;
mod sign;
mod together;
mod token;
mod vigil;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let result = match cli.command {
        Some(args::Command::Worker) => return token::worker::main(),
        Some(args::Command::Check) => check::run(&cli.serve.config),
        None => serve::run(&cli.serve),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
