//! `keyviz query`: a heatmap in the terminal, or the answer as JSON or CSV.
//!
//! Responsible for: asking a running node for a matrix and printing it.
//! Invariants: no text of a key or a node reaches the terminal as a control sequence; a reader that
//! goes away (`| head`) is not an error.
//! Must not: open a data folder, or know how a matrix is computed.
//! Proof: `mod_test.rs` (against a node in the same process); the parts beside their modules.

pub(crate) mod args;
pub(crate) mod ask;
pub(crate) mod axes;
mod colour;
pub(crate) mod grid;
mod json;
pub(crate) mod key_text;
mod legend;
pub(crate) mod long_csv;
pub(crate) mod marks;
pub(crate) mod numbers;
pub(crate) mod pool;
mod render;
mod terminal;
pub(crate) mod time_text;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod fixture_test;

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context as _;
use keyviz_api::ambient::SystemClock;
use keyviz_api::wire::history::GetMatrixResponse;
use keyviz_lineage::Clock;

pub(crate) use args::QueryArgs;
use args::{ColourWhen, Output};
pub(crate) use colour::ColourMode;
pub(crate) use render::render_heatmap;
pub(crate) use terminal::Terminal;

/// Rows of json and csv when none are asked for: the contract's cap.
const ALL_ROWS: u32 = 1_024;

/// Asks and prints.
///
/// # Errors
/// A span that is empty, a node that cannot be reached or refuses, an output that cannot be written.
pub(crate) async fn run(args: QueryArgs) -> anyhow::Result<()> {
    let view = View::new(&args, Terminal::of_stdout());
    let matrix = answer(&args, view, SystemClock::shared().as_ref()).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&matrix, args.output, view, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the answer to standard output"),
    }
}

/// How large and how colourful the picture is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    columns: usize,
    lines: usize,
    colour: ColourMode,
}

impl View {
    fn new(args: &QueryArgs, terminal: Terminal) -> Self {
        // The prompt wants the last line.
        let lines = args.height.unwrap_or(terminal.lines.saturating_sub(1));
        Self {
            columns: args.width.unwrap_or(terminal.columns).into(),
            lines: lines.into(),
            colour: match args.color {
                ColourWhen::Auto => terminal.colour,
                ColourWhen::Always => ColourMode::TrueColour,
                ColourWhen::Never => ColourMode::Plain,
            },
        }
    }

    /// As many rows as the picture can show.
    fn rows(self) -> u32 {
        let lines = u32::try_from(render::picture_lines(self.lines)).unwrap_or(ALL_ROWS);
        match self.colour {
            ColourMode::TrueColour => (2 * lines).min(ALL_ROWS),
            ColourMode::Plain => lines.min(ALL_ROWS),
        }
    }
}

async fn answer(
    args: &QueryArgs,
    view: View,
    clock: &dyn Clock,
) -> anyhow::Result<GetMatrixResponse> {
    let rows = if args.output == Output::Heatmap { view.rows() } else { ALL_ROWS };
    let request = args.request(clock.unix_ms(), rows)?;
    args.node.heard(args.node.connect().await?.get_matrix(request).await)
}

fn print(
    matrix: &GetMatrixResponse,
    output: Output,
    view: View,
    out: &mut dyn Write,
) -> io::Result<()> {
    match output {
        Output::Heatmap => {
            out.write_all(render_heatmap(matrix, view.columns, view.lines, view.colour).as_bytes())
        }
        Output::Json => json::write(matrix, out),
        Output::Csv => long_csv::write(matrix, out),
    }
}

#[cfg(test)]
#[path = "mod_test.rs"]
mod mod_test;
