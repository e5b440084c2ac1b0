//! What this process's output is connected to.
//!
//! Responsible for: the terminal's size, and whether it takes colours.
//! Must not: draw.
//! Proof: `terminal_test.rs`.

use std::env;
use std::io::{IsTerminal as _, stdout};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use super::colour::ColourMode;

/// What is assumed where there is no terminal.
const DEFAULT_COLUMNS: u16 = 80;
const DEFAULT_LINES: u16 = 24;

/// Where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Characters in a line.
    pub(crate) columns: u16,
    /// Lines.
    pub(crate) lines: u16,
    /// What `--color auto` means.
    pub(crate) colour: ColourMode,
}

impl Terminal {
    /// Of standard output.
    pub(crate) fn of_stdout() -> Self {
        let is_terminal = stdout().is_terminal();
        let size = if is_terminal { size_of_stdout() } else { None };
        let said = |name| env::var(name).ok()?.parse().ok().filter(|&size: &u16| size > 0);
        let (columns, lines) = size.unwrap_or((
            said("COLUMNS").unwrap_or(DEFAULT_COLUMNS),
            said("LINES").unwrap_or(DEFAULT_LINES),
        ));
        let refuses = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { columns, lines, colour: auto(is_terminal, refuses, is_dumb) }
    }
}

fn auto(is_terminal: bool, refuses: bool, is_dumb: bool) -> ColourMode {
    if is_terminal && !refuses && !is_dumb { ColourMode::TrueColour } else { ColourMode::Plain }
}

/// `stty` reads the size off its input; the standard library cannot.
fn size_of_stdout() -> Option<(u16, u16)> {
    let terminal = stdout().as_fd().try_clone_to_owned().ok()?;
    let output =
        Command::new("stty").arg("size").stdin(terminal).stderr(Stdio::null()).output().ok()?;
    parse_size(&String::from_utf8_lossy(&output.stdout))
}

/// `24 80`, lines first, as columns and lines.
fn parse_size(text: &str) -> Option<(u16, u16)> {
    let (lines, columns) = text.trim().split_once(' ')?;
    let (lines, columns) = (lines.parse().ok()?, columns.parse().ok()?);
    (lines > 0 && columns > 0).then_some((columns, lines))
}

#[cfg(test)]
#[path = "terminal_test.rs"]
mod terminal_test;
