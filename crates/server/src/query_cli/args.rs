//! What `keyviz query` is asked, as flags and as a request.
//!
//! Responsible for: every flag with its help, and the request that it becomes.
//! Invariants: what is wrong by itself (an inverted span, an uneven step) is refused here, before a
//! node is asked; everything else is the node's to judge.
//! Must not: connect, read a clock (it is told "now") or look at the terminal.
//! Proof: `args_test.rs`.

use std::str::FromStr;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use keyviz_api::wire::history as wire;
use keyviz_lineage::{Series, Step};

use super::key_text::Key;
use super::time_text::TimeSpec;
use crate::asked_node::AskedNode;

/// Ask a running node for a heatmap: time x key range, one series.
#[derive(Args, Clone, Debug)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(super) node: AskedNode,
    /// What to show: reads, writes, read_bytes or write_bytes.
    #[arg(long, value_parser = series, default_value = "writes")]
    pub(super) series: Series,
    /// Start of the span: 2026-11-17T03:12:00Z or "2026-11-17 03:12" (UTC), Unix seconds or
    /// milliseconds, or relative (-15m, -7d). Default: the oldest that is retained.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) from: Option<TimeSpec>,
    /// End of the span, exclusive, in the same forms. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) to: Option<TimeSpec>,
    /// Only ranges that overlap keys from this one on: text, or 0x and hex.
    #[arg(long, value_name = "KEY")]
    pub(super) start: Option<Key>,
    /// Only ranges that overlap keys before this one.
    #[arg(long, value_name = "KEY")]
    pub(super) end: Option<Key>,
    /// The most rows; quieter neighbours are drawn as one. Default: what the picture shows, 1024
    /// for json and csv.
    #[arg(long, value_name = "N")]
    pub(super) rows: Option<u32>,
    /// Length of a window, such as 60s or 1h. Default: chosen by the node.
    #[arg(long, value_name = "TIME", value_parser = step)]
    pub(super) step: Option<Step>,
    /// Which ranges are rows: those alive at the end (to), at the start (from) or at a time, or
    /// every one that lived in the span (union).
    #[arg(
        long,
        value_name = "to|from|union|TIME",
        default_value = "to",
        allow_hyphen_values = true
    )]
    pub(super) as_of: AsOf,
    /// What a range shows of the time when it was part of a wider one.
    #[arg(long, value_enum, default_value_t = Continuity::Inherit)]
    pub(super) continuity: Continuity,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Heatmap)]
    pub(super) output: Output,
    /// 24-bit colours; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = ColourWhen::Auto)]
    pub(super) color: ColourWhen,
    /// Columns of the heatmap. Default: the terminal's.
    #[arg(long, value_name = "COLUMNS")]
    pub(super) width: Option<u16>,
    /// Lines of the heatmap with its axes and legend. Default: the terminal's.
    #[arg(long, value_name = "LINES")]
    pub(super) height: Option<u16>,
}

/// Which ranges are rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsOf {
    /// Those alive at the end of the span.
    To,
    /// Those alive at its start.
    From,
    /// Every one that lived in it.
    Union,
    /// Those alive at a time.
    Time(TimeSpec),
}

/// What a range shows of a wider source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Continuity {
    /// The whole, flagged and not counted.
    Inherit,
    /// Its share.
    Apportion,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A picture for the terminal.
    Heatmap,
    /// The whole answer as one JSON document.
    Json,
    /// One line for each cell.
    Csv,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColourWhen {
    /// On a terminal that has not asked for none.
    Auto,
    /// Always.
    Always,
    /// Never: characters of growing density.
    Never,
}

impl FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "to" => Ok(Self::To),
            "from" => Ok(Self::From),
            "union" => Ok(Self::Union),
            time => time
                .parse()
                .map(Self::Time)
                .map_err(|error| format!("to, from, union or a time: {error}")),
        }
    }
}

pub(crate) fn series(text: &str) -> Result<Series, String> {
    Series::from_name(text).ok_or_else(|| "use reads, writes, read_bytes or write_bytes".to_owned())
}

fn step(text: &str) -> Result<Step, String> {
    let length = humantime::parse_duration(text)
        .map_err(|_| "a step is a number and a unit: 1s, 60s, 10m, 1h")?;
    let step_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Step::from_ms(step_ms).map_err(|error| error.to_string())
}

impl QueryArgs {
    /// The request. `rows` is the budget when none was given.
    ///
    /// # Errors
    /// A span or a key range that ends before it starts.
    pub(super) fn request(
        &self,
        now_unix_ms: u64,
        rows: u32,
    ) -> anyhow::Result<wire::GetMatrixRequest> {
        let resolve = |time: Option<TimeSpec>| time.map_or(0, |time| time.resolve(now_unix_ms));
        let from_unix_ms = resolve(self.from);
        // The node's own now, so that clocks that differ lose no window.
        let to_unix_ms = resolve(self.to.filter(|&to| to != TimeSpec::Now));
        ensure!(
            self.to.is_none() || to_unix_ms == 0 || from_unix_ms < to_unix_ms,
            "--from is not before --to; the span would be empty"
        );
        let bound = |key: &Option<Key>| key.as_ref().map(|key| key.0.clone()).unwrap_or_default();
        let (start, end) = (bound(&self.start), bound(&self.end));
        ensure!(
            end.is_empty() || start < end,
            "--start is not before --end; keys are compared as bytes"
        );
        let (row_set, as_of_unix_ms) = match self.as_of {
            AsOf::To => (wire::RowSet::AsOfTo, 0),
            AsOf::From => (wire::RowSet::AsOfFrom, 0),
            AsOf::Union => (wire::RowSet::Union, 0),
            AsOf::Time(time) => (wire::RowSet::AsOfTime, time.resolve(now_unix_ms)),
        };
        Ok(wire::GetMatrixRequest {
            series: wire_series(self.series).into(),
            from_unix_ms,
            to_unix_ms,
            start: start.into(),
            end: end.into(),
            rows: self.rows.unwrap_or(rows),
            step_ms: self.step.map_or(0, Step::ms),
            row_set: row_set.into(),
            as_of_unix_ms,
            continuity: match self.continuity {
                Continuity::Inherit => wire::Continuity::Inherit,
                Continuity::Apportion => wire::Continuity::Apportion,
            }
            .into(),
        })
    }
}

pub(crate) const fn wire_series(series: Series) -> wire::Series {
    match series {
        Series::Reads => wire::Series::Reads,
        Series::Writes => wire::Series::Writes,
        Series::ReadBytes => wire::Series::ReadBytes,
        Series::WriteBytes => wire::Series::WriteBytes,
    }
}

#[cfg(test)]
#[path = "args_test.rs"]
mod args_test;
