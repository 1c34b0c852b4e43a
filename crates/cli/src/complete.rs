//! `ootheca completions` and `ootheca man`: made from the words themselves.

use crate::failure::{Failure, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use std::{io, path::PathBuf};

/// Flags of `completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Flags of `man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Write a page for every command into this folder [default: print the page of `ootheca`]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints a script that a shell reads.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ootheca", &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))
}

/// Prints a page, or writes all of them.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<()> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(|error| failed("make the page", &error))?;
        return crate::output::print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(folder).map_err(|error| failed("make the folder", &error))?;
    clap_mangen::generate_to(command, folder).map_err(|error| failed("write the pages", &error))?;
    crate::talk::say(format!("written to {}; read one with: man -l {0}/ootheca.1", folder.display()));
    Ok(())
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("man: can not {what}: {error}"))
}
