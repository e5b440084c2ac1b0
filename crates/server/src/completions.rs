//! `keyviz completions` and `keyviz man`: what the flags say of themselves, for shells and for `man`.
//!
//! Must not: say anything that the flags do not.
//! Proof: `completions_test.rs`.

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

/// Print completions for a shell: keyviz completions bash > /etc/bash_completion.d/keyviz
#[derive(Args, Clone, Debug)]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the manual into a folder, one page a command: keyviz man /usr/local/share/man/man1
#[derive(Args, Clone, Debug)]
pub(crate) struct ManArgs {
    /// The folder; it is made where it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Prints them.
///
/// # Errors
/// An output that cannot be written.
pub(crate) fn print(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "keyviz", &mut text);
    match io::stdout().lock().write_all(&text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the completions to standard output"),
    }
}

/// Writes it.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn write_manual(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    let dir = args.dir.display();
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {dir}"))?;
    clap_mangen::generate_to(command, &args.dir).with_context(|| format!("cannot write to {dir}"))
}

#[cfg(test)]
#[path = "completions_test.rs"]
mod completions_test;
