//! `ootheca completions` and `ootheca man`, both generated from the definitions of the commands.

use crate::failure::{Failure, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use std::{io, path::PathBuf};

/// Flags of `completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_enum)]
    shell: Shell,
}

/// Flags of `man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Directory to write a page for every command to [default: print the page of `ootheca`]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints the completion script for a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ootheca", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))
}

/// Prints the page of `ootheca`, or writes the pages of all commands.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<()> {
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| failed("generate the page", &error))?;
        return crate::output::print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(directory).map_err(|error| failed("create the directory", &error))?;
    clap_mangen::generate_to(command, directory).map_err(|error| failed("write the pages", &error))?;
    let shown = directory.display();
    crate::terminal::message(format!(
        "Wrote the manual pages to {shown}. Read one with: man -l {shown}/ootheca.1"
    ));
    Ok(())
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("could not {what}: {error}"))
}
