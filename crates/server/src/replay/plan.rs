//! What a replay will send, decided before anything is sent.
//!
//! Responsible for: the windows, the shift, the routes' birth, and the identity of the replay.
//! Invariants: everything here follows from the input's bytes, the options and, for
//! `--shift-to-now`, the window that was complete when the replay began. So the same file with the
//! same options is the same source, boot, numbering and content, and the node answers what it
//! holds with "duplicate". A shifted trace moves by whole windows (every access keeps its
//! neighbours); the shift is part of the identity, because other windows are other content. A
//! trace that is replayed with `--shift-to-now` again some windows later is therefore another one:
//! the node refuses it in the group of the first (whose routes live), instead of adding it up.
//! Identity: BLAKE2b-256 over the raw input bytes, then (each with its length in front, as 8 bytes
//! little-endian) [`TAG`], the input options' digest text, the node id, every boundary, and the
//! numbers step, group and shift. Bytes 0..16 are the boot id, bytes 16..32 the proposal id of the
//! transition that creates the routes.
//! Must not: read a clock (the caller says what time it is) or do I/O.
//! Proved by: `plan_test.rs`.

use blake2::Digest as _;
use keyviz_lineage::hlc::MAX_AHEAD_MS;
use keyviz_lineage::{Change, GroupId, Hlc, ProposalId, SourceId, Step, Transition};
use uuid::Uuid;

use super::error::ReplayError;
use super::routes::Routes;
use super::survey::Moment;
use super::trace_file::Digest256;

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;

/// Names this way of turning an input into columns. It changes when the same input and options
/// would give other columns.
const TAG: &[u8] = b"keyviz replay 1";

/// The end of the year 9999, Unix milliseconds. An HLC could hold a little more.
const MAX_TIME_MS: u64 = 253_402_300_799_999;

/// The options that shape what is sent.
#[derive(Clone, Debug)]
pub(super) struct Shape<'a> {
    pub(super) step: Step,
    pub(super) group: GroupId,
    pub(super) node: String,
    /// Of the input options.
    pub(super) digest_text: &'a str,
    /// What time it is.
    pub(super) now_ms: u64,
    /// Whether the trace is to end now.
    pub(super) shift_to_now: bool,
    pub(super) max_windows: u64,
}

/// What a replay will send.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) step: Step,
    /// Start of the first window, shifted.
    pub(super) first_ms: u64,
    /// How many windows there are, idle ones too.
    pub(super) windows: usize,
    /// What is added to every time.
    pub(super) shift_ms: i64,
    pub(super) group: GroupId,
    pub(super) routes: Routes,
    pub(super) source: SourceId,
    proposal: ProposalId,
}

impl Plan {
    /// Decides. `digest` has seen the raw bytes.
    ///
    /// # Errors
    /// Times that cannot be, too many windows, a trace that cannot be shifted.
    pub(super) fn new(
        (first, last): (Moment, Moment),
        routes: Routes,
        digest: Digest256,
        shape: Shape<'_>,
    ) -> Result<Plan, ReplayError> {
        let step = shape.step;
        if last.time_ms > MAX_TIME_MS {
            return Err(ReplayError::TimeTooLarge { line: last.line, time_ms: last.time_ms });
        }
        let (first_ms, last_ms) = (step.floor(first.time_ms), step.floor(last.time_ms));
        let windows = (last_ms - first_ms) / step.ms() + 1;
        if windows > shape.max_windows {
            return Err(ReplayError::TooManyWindows {
                windows,
                limit: shape.max_windows,
                first_line: first.line,
                first_ms: first.time_ms,
                last_line: last.line,
                last_ms: last.time_ms,
            });
        }
        let shift_ms = if shape.shift_to_now {
            signed(step.floor(shape.now_ms)) - signed(last_ms + step.ms())
        } else if last_ms > shape.now_ms.saturating_add(MAX_AHEAD_MS) {
            return Err(ReplayError::Future { line: last.line, time_ms: last.time_ms });
        } else {
            0
        };
        let first_ms = first_ms.checked_add_signed(shift_ms).ok_or(ReplayError::CannotShift)?;
        let (boot, proposal) = identity(digest, &routes, &shape, shift_ms);
        Ok(Plan {
            step,
            first_ms,
            // invariant: `max_windows` fits
            windows: usize::try_from(windows).unwrap_or(usize::MAX),
            shift_ms,
            group: shape.group,
            routes,
            source: SourceId { node: shape.node, boot },
            proposal,
        })
    }

    /// The index of the window that holds an access of the trace, or `None` if it is not in the
    /// span (the file has changed).
    pub(super) fn window_of(&self, time_ms: u64) -> Option<usize> {
        let since_ms = time_ms.checked_add_signed(self.shift_ms)?.checked_sub(self.first_ms)?;
        let index = usize::try_from(since_ms / self.step.ms()).ok()?;
        (index < self.windows).then_some(index)
    }

    /// The start of a window.
    pub(super) fn start_ms(&self, window: usize) -> u64 {
        self.first_ms + window as u64 * self.step.ms()
    }

    /// The birth of the routes, at the start of the first window.
    pub(super) fn creation(&self) -> Transition {
        // An HLC of 0 would have the node draw one.
        let hlc = Hlc::new(self.first_ms, 0).max(Hlc(1));
        Transition {
            group: self.group,
            proposal: self.proposal,
            hlc,
            catalogue_version: 0,
            change: Change::Create { routes: self.routes.specs() },
        }
    }
}

/// Times are below [`MAX_TIME_MS`], or the machine's.
fn signed(time_ms: u64) -> i64 {
    i64::try_from(time_ms).unwrap_or(i64::MAX)
}

fn identity(
    mut digest: Digest256,
    routes: &Routes,
    shape: &Shape<'_>,
    shift_ms: i64,
) -> (Uuid, ProposalId) {
    let mut field = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    field(TAG);
    field(shape.digest_text.as_bytes());
    field(shape.node.as_bytes());
    for range in routes.ranges() {
        field(range.end());
    }
    field(&shape.step.ms().to_le_bytes());
    field(&shape.group.to_le_bytes());
    field(&shift_ms.to_le_bytes());
    let whole: [u8; 32] = digest.finalize().into();
    let (mut boot, mut proposal) = ([0; 16], [0; 16]);
    boot.copy_from_slice(&whole[..16]);
    proposal.copy_from_slice(&whole[16..]);
    (Uuid::from_bytes(boot), proposal)
}
