//! Hot keys as a node knows them: what sources have published of the last windows, and questions about
//! it.
//!
//! Owns: the last windows of each `(node, boot)`, in memory only.
//! Invariants: at most [`KEPT_WINDOWS`] of a source, [`MAX_SOURCES`] sources and [`MAX_BYTES`] in all are
//! held, the oldest windows go first (N1); an answer without a span holds the newest window of each
//! node, and none that is [`STALE_STEPS`] older than the newest of all (N2).
//! Must not: write keys anywhere; know how estimates are put together ([`keyviz_lineage::hot_keys`]
//! does).
//! Proof: `hot_keys_test.rs`, and `tests/tests/hot_keys.rs` with real processes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyviz_api::wire::history as wire;
use keyviz_lineage::hot_keys::hottest;
use keyviz_lineage::{GroupId, HotKeys, KeyRange, RouteHotKeys, RouteId, Series, SourceId};
use thiserror::Error;

/// Windows of one source that are held.
const KEPT_WINDOWS: usize = 4;
const MAX_SOURCES: usize = 1_024;
/// Of all windows of all sources.
const MAX_BYTES: usize = 64 << 20;
/// A node whose newest window ended so many steps before the newest of all is not asked any more.
const STALE_STEPS: u64 = 2;
/// The most keys of an answer.
pub(crate) const MAX_TOP: usize = 1_024;
/// Unless asked for otherwise.
pub(crate) const DEFAULT_TOP: usize = 20;

/// Why there is no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)] // the messages name the fields
pub(crate) enum NoHotKeys {
    #[error(
        "no source has told of hot keys since this node started; they are off unless a source is started with them (keyviz-host: --hot-keys)"
    )]
    Off,
    #[error(
        "windows from {from_ms} to {to_ms} are asked for, and those from {held_from_ms} to {held_to_ms} are held: hot keys are kept for the last windows only"
    )]
    OtherWindows { from_ms: u64, to_ms: u64, held_from_ms: u64, held_to_ms: u64 },
    #[error(
        "nothing was looked at of such a route in the last windows: it is idle, or its number, group or lineage is another now"
    )]
    NoSuchRoute,
    #[error("hot keys are told of reads or of writes, not of {series}")]
    Series { series: &'static str },
}

/// Which routes are asked for: all, or those that every given one names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    pub(crate) route: Option<RouteId>,
    pub(crate) group: Option<GroupId>,
    /// Exactly these keys.
    pub(crate) bounds: Option<KeyRange>,
}

impl Routes {
    fn has(&self, route: &RouteHotKeys) -> bool {
        self.route.is_none_or(|id| id == route.route)
            && self.group.is_none_or(|group| group == route.group)
            && self.bounds.as_ref().is_none_or(|bounds| *bounds == route.range)
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) series: Series,
    pub(crate) routes: Routes,
    /// Keys within.
    pub(crate) range: KeyRange,
    pub(crate) top: usize,
    /// Every window that is held and overlaps this; `None`: the newest.
    pub(crate) span_ms: Option<(u64, u64)>,
}

type Windows = VecDeque<Arc<HotKeys>>;

#[derive(Debug, Default)]
struct Held {
    sources: BTreeMap<SourceId, Windows>,
    bytes: usize,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Held>);

impl Board {
    /// Takes what a source tells of one window.
    pub(crate) fn put(&self, source: &SourceId, hot_keys: HotKeys) {
        let mut held = self.lock();
        held.bytes += hot_keys.bytes();
        let windows = held.sources.entry(source.clone()).or_default();
        windows.push_back(Arc::new(hot_keys));
        // N1
        let gone = if windows.len() > KEPT_WINDOWS { windows.pop_front() } else { None };
        held.bytes -= gone.map_or(0, |gone| gone.bytes());
        while held.bytes > MAX_BYTES || held.sources.len() > MAX_SOURCES {
            held.drop_oldest();
        }
    }

    /// How many bytes are held, of how many sources.
    pub(crate) fn size(&self) -> (usize, usize) {
        let held = self.lock();
        (held.bytes, held.sources.len())
    }

    /// Answers. Takes as long as there are keys: not on a thread that others wait for.
    pub(crate) fn answer(
        &self,
        question: &Question,
    ) -> Result<wire::GetHotKeysResponse, NoHotKeys> {
        if !matches!(question.series, Series::Reads | Series::Writes) {
            return Err(NoHotKeys::Series { series: question.series.name() });
        }
        let chosen = self.lock().chosen(question.span_ms)?;
        let is_asked_for =
            |route: &&RouteHotKeys| route.series == question.series && question.routes.has(route);
        let routes = chosen.iter().flat_map(|(_, hot_keys)| {
            hot_keys.routes.iter().filter(is_asked_for).map(|route| (&**hot_keys, route))
        });
        let found = hottest(routes, &question.range, question.top);
        if found.routes == 0 && question.routes != Routes::default() {
            return Err(NoHotKeys::NoSuchRoute);
        }
        let keys = found.keys.into_iter();
        Ok(wire::GetHotKeysResponse {
            series: match question.series {
                Series::Reads => wire::Series::Reads,
                _ => wire::Series::Writes,
            }
            .into(),
            keys: keys
                .map(|(key, count)| wire::HotKeyEstimate { key: key.into(), count })
                .collect(),
            error_bound: found.error_bound,
            sample_rate: found.rate,
            sampled: found.sampled,
            degraded: chosen.iter().any(|(_, hot_keys)| hot_keys.is_degraded()),
            sources: chosen
                .iter()
                .map(|(source, hot_keys)| source_to_wire(source, hot_keys))
                .collect(),
            route_count: found.routes as u64,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // What it guards is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn drop_oldest(&mut self) {
        let end = |windows: &Windows| windows.front().map_or(0, |oldest| oldest.window.end_ms());
        let oldest = self.sources.iter().min_by_key(|(_, windows)| end(windows));
        let Some(source) = oldest.map(|(source, _)| source.clone()) else { return };
        let Some(windows) = self.sources.get_mut(&source) else { return };
        self.bytes -= windows.pop_front().map_or(0, |gone| gone.bytes());
        if windows.is_empty() {
            self.sources.remove(&source);
        }
    }

    fn all(&self) -> impl Iterator<Item = (&SourceId, &Arc<HotKeys>)> {
        let sources = self.sources.iter();
        sources.flat_map(|(source, windows)| windows.iter().map(move |window| (source, window)))
    }

    /// The windows that an answer is made of.
    fn chosen(
        &self,
        span_ms: Option<(u64, u64)>,
    ) -> Result<Vec<(SourceId, Arc<HotKeys>)>, NoHotKeys> {
        let ends = self.all().map(|(_, one)| one.window.end_ms());
        let Some(held_to_ms) = ends.max() else { return Err(NoHotKeys::Off) };
        // N2
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for (source, one) in self.all() {
            let end_ms = newest.entry(&source.node).or_default();
            *end_ms = one.window.end_ms().max(*end_ms);
        }
        let is_chosen = |source: &SourceId, one: &HotKeys| {
            let end_ms = one.window.end_ms();
            let old_ms = held_to_ms.saturating_sub(STALE_STEPS * one.window.step.ms());
            match span_ms {
                Some((from_ms, to_ms)) => one.window.start_ms < to_ms && from_ms < end_ms,
                None => newest.get(&*source.node) == Some(&end_ms) && end_ms > old_ms,
            }
        };
        let chosen = self.all().filter(|(source, one)| is_chosen(source, one));
        let chosen: Vec<_> =
            chosen.map(|(source, one)| (source.clone(), Arc::clone(one))).collect();
        match span_ms {
            Some((from_ms, to_ms)) if chosen.is_empty() => {
                let starts = self.all().map(|(_, one)| one.window.start_ms);
                let held_from_ms = starts.min().unwrap_or(0);
                Err(NoHotKeys::OtherWindows { from_ms, to_ms, held_from_ms, held_to_ms })
            }
            _ => Ok(chosen),
        }
    }
}

fn source_to_wire(source: &SourceId, hot_keys: &HotKeys) -> wire::HotKeysSource {
    wire::HotKeysSource {
        node_id: source.node.clone(),
        boot_id: source.boot.to_string(),
        window_unix_ms: hot_keys.window.start_ms as i64,
        step_ms: hot_keys.window.step.ms(),
        sample_rate: hot_keys.rate,
        dropped_samples: hot_keys.dropped,
        skipped_long_keys: hot_keys.skipped_long_keys,
        left_out_samples: hot_keys.left_out,
    }
}

#[cfg(test)]
#[path = "hot_keys_test.rs"]
mod hot_keys_test;
