//! The first pass over the input: what it holds, before anything is sent.
//!
//! Responsible for: totals, refused lines, the time span, whether the accesses come window by
//! window, the sample for the routes, and the digest of the raw bytes.
//! State: the totals, the first few refusals and the sample of `KeyQuantiles`.
//! Must not: know the node or the time of day.
//! Proved by: `plan_test.rs`, `replay_test.rs`.

use indicatif::ProgressBar;
use keyviz_lineage::Step;

use super::error::ReplayError;
use super::input::quantile::KeyQuantiles;
use super::input::{self, Access, InputOptions, Op, Refused};
use super::trace_file::{Digest256, TraceFile};

/// How many refused lines are shown.
const SHOWN_REFUSALS: usize = 5;

/// What was read, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Reads.
    pub(crate) reads: u64,
    /// Writes.
    pub(crate) writes: u64,
    /// Bytes read, keys included.
    pub(crate) read_bytes: u128,
    /// Bytes written, keys included.
    pub(crate) write_bytes: u128,
}

impl Totals {
    fn add(&mut self, access: &Access) {
        let bytes = access.key.len() as u128 + u128::from(access.size_bytes);
        let (count, sum) = match access.op {
            Op::Read => (&mut self.reads, &mut self.read_bytes),
            Op::Write => (&mut self.writes, &mut self.write_bytes),
        };
        *count += 1;
        *sum += bytes;
    }
}

/// Lines that could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// How many.
    pub(crate) count: u64,
    /// The first of them: line and reason.
    pub(crate) first: Vec<String>,
}

impl Refusals {
    fn add(&mut self, refused: &Refused) {
        self.count += 1;
        if self.first.len() < SHOWN_REFUSALS {
            self.first.push(refused.to_string());
        }
    }
}

/// An access at one end of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time_ms: u64,
    pub(super) line: u64,
}

/// What the first pass found.
pub(super) struct Survey {
    pub(super) totals: Totals,
    pub(super) refusals: Refusals,
    /// The earliest and the latest access; `None` if there is none.
    pub(super) span: Option<(Moment, Moment)>,
    /// Whether no access lies in an earlier window than one before it.
    pub(super) in_order: bool,
    /// The sample of keys, if it was asked for.
    pub(super) quantiles: Option<KeyQuantiles>,
    /// The state of the digest behind the last raw byte.
    pub(super) digest: Digest256,
}

/// Reads the whole input.
///
/// # Errors
/// Whatever the input fails with.
pub(super) fn survey(
    file: &TraceFile,
    name_hint: &str,
    options: &InputOptions,
    step: Step,
    sample_keys: bool,
    bar: &ProgressBar,
) -> Result<Survey, ReplayError> {
    let pass = file.pass(bar);
    let mut survey = Survey {
        totals: Totals::default(),
        refusals: Refusals::default(),
        span: None,
        in_order: true,
        quantiles: sample_keys.then(KeyQuantiles::new),
        digest: Digest256::default(),
    };
    let mut latest_window_ms = 0;
    for item in input::open_reader(pass.reader, name_hint, options)? {
        match item? {
            Err(refused) => survey.refusals.add(&refused),
            Ok(access) => {
                let window_ms = step.floor(access.time_ms);
                survey.in_order &= window_ms >= latest_window_ms;
                latest_window_ms = latest_window_ms.max(window_ms);
                survey.add(&access);
            }
        }
    }
    survey.digest = pass.digest.state();
    Ok(survey)
}

impl Survey {
    fn add(&mut self, access: &Access) {
        self.totals.add(access);
        if let Some(quantiles) = &mut self.quantiles {
            quantiles.observe(&access.key);
        }
        let moment = Moment { time_ms: access.time_ms, line: access.line };
        match &mut self.span {
            None => self.span = Some((moment, moment)),
            Some((first, last)) => {
                if moment.time_ms < first.time_ms {
                    *first = moment;
                }
                if moment.time_ms > last.time_ms {
                    *last = moment;
                }
            }
        }
    }
}
