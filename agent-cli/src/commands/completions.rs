//! `chancery completions`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

pub(crate) fn run(shell: Shell, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "chancery", &mut script);
    terminal.product(script.as_slice())?;
    Ok(Exit::Done)
}
