//! A question to this node, answered from all nodes.
//!
//! ```text
//! own outline + the peers' (in parallel) -> plan -> own cells + the peers' (in parallel) -> one answer
//! ```
//! Responsible for: asking the peers, all of them at once and within one deadline, and saying of each how
//! that went. What they say becomes one history in [`keyviz_query::fan_out`].
//! Invariants: a peer that does not answer, or that cannot be understood, makes the answer PARTIAL and its
//! rows degraded, never an error; what it may have recorded is never drawn as idle; what peers are asked
//! is a call of its own that is answered from the one node, so no question goes round.
//! Must not: hold a place in the pool of questions while it waits for a peer.
//! Proof: `tests/tests/fan_out.rs`.

mod members;
pub(crate) mod peer;
pub(crate) mod settings;
pub(crate) mod wire;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use keyviz_lineage::{GroupId, HOUR_MS, LineageGraph, Step, unix_hour};
use keyviz_query::fan_out::{Cells, Gathered, Outline, Part};
use keyviz_query::{Matrix, MatrixRequest, QueryError};
use keyviz_store::{History, StoreError};
use uuid::Uuid;

use crate::node::{Node, NodeError};
use crate::queue::{Held, Rooms};
use members::Members;
use peer::{Failure, Peer, Reason};
use settings::PeerSettings;

/// Coverage is read this far around what was asked for where the span is open: the longest step.
const LONGEST_STEP_HOURS: u64 = 24;

/// The peers of a node.
pub(crate) struct FanOut {
    /// This node's own address.
    address: String,
    instance: Uuid,
    settings: Arc<PeerSettings>,
    members: Members,
}

/// What became of one node of a question.
#[derive(Clone, Debug)]
pub(crate) struct NodeStatus {
    pub(crate) node: String,
    /// Why it has not answered.
    pub(crate) error: Option<String>,
}

/// What became of all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The node that was asked, then its peers.
    pub(crate) nodes: Vec<NodeStatus>,
    /// Groups of which one that did not answer may have recorded something.
    pub(crate) degraded_groups: BTreeSet<GroupId>,
}

impl Report {
    pub(crate) fn responded(&self) -> usize {
        self.nodes.iter().filter(|node| node.error.is_none()).count()
    }

    /// Whether a row of these groups may lack something.
    pub(crate) fn is_degraded(&self, groups: &[GroupId]) -> bool {
        groups.iter().any(|group| self.degraded_groups.contains(group))
    }
}

/// An answer, and how it came about where the node has peers.
pub(crate) struct Answered {
    pub(crate) matrix: Held<Matrix>,
    pub(crate) fan_out: Option<Report>,
}

impl std::ops::Deref for Answered {
    type Target = Matrix;

    fn deref(&self) -> &Matrix {
        &self.matrix
    }
}

/// A peer's part so far.
struct Heard {
    peer: Arc<Peer>,
    part: Part,
    failure: Option<Failure>,
}

impl Heard {
    fn new(peer: Arc<Peer>, outline: Result<Arc<Outline>, Failure>) -> Self {
        let mut heard = Self { part: Part::Unknown(peer.address.clone()), peer, failure: None };
        match outline {
            Ok(outline) => heard.part = Part::Told(outline),
            Err(failure) => heard.fail(failure),
        }
        heard
    }

    /// F4: what is known of it from before stands in for it.
    fn fail(&mut self, failure: Failure) {
        self.peer.counters.failed(failure.reason);
        let address = self.peer.address.clone();
        let known = self.peer.remembered();
        self.part = known.map_or(Part::Unknown(address), Part::Remembered);
        self.failure = Some(failure);
    }

    fn is_there(&self) -> bool {
        self.failure.is_none()
    }
}

/// What is left of the one deadline.
struct Deadline<'a> {
    node: &'a Node,
    whole: Duration,
    started_ms: u64,
}

impl Deadline<'_> {
    async fn of<T>(
        &self,
        peer: &Peer,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun_ms = self.node.clock.monotonic_ms();
        let spent = Duration::from_millis(begun_ms.saturating_sub(self.started_ms));
        let answer = tokio::time::timeout(self.whole.saturating_sub(spent), asked).await;
        let took_ms = self.node.clock.monotonic_ms().saturating_sub(begun_ms);
        peer.counters.requests.fetch_add(1, Ordering::Relaxed);
        peer.counters.milliseconds.fetch_add(took_ms, Ordering::Relaxed);
        answer.unwrap_or_else(|_| Err(Failure::timeout(self.whole)))
    }
}

impl FanOut {
    pub(crate) fn new(address: String, instance: Uuid, settings: PeerSettings) -> Self {
        let settings = Arc::new(settings);
        let members = Members::new(Arc::clone(&settings));
        Self { address, instance, settings, members }
    }

    /// Every peer, for its metrics.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        self.members.last()
    }

    /// Time x key range, from all nodes.
    pub(crate) async fn matrix(
        &self,
        node: &Node,
        request: MatrixRequest,
    ) -> Result<Answered, NodeError> {
        let (now_ms, started_ms) = (node.clock.unix_ms(), node.clock.monotonic_ms());
        let deadline = Deadline { node, whole: self.settings.timeout, started_ms };
        let hours = outline_hours(&request, now_ms)?;
        let asked = hours.clone();
        let (own, mut heard) = tokio::join!(
            node.ask("outline", move |recorder| {
                let view = recorder.view()?;
                Ok(Arc::new(outline(&view, view.graph(), asked)?))
            }),
            self.outlines(&deadline, hours),
        );
        let own = own?;
        let gathered = gather(&own, &heard, now_ms);
        let question = request.clone();
        let (mut gathered, plan) = node
            .queue
            .in_turn("plan", move |_| {
                let gathered = gathered();
                let plan = gathered.plan(&question)?;
                Ok((gathered, plan))
            })
            .await?;
        let (own_plan, there) = (plan.clone(), heard.iter().any(Heard::is_there));
        let (own_cells, peers_cells) = tokio::join!(
            node.ask("cells", move |recorder| {
                let view = recorder.view()?;
                Ok(Cells::read(&view, view.graph(), &own_plan))
            }),
            join_all(
                heard
                    .iter()
                    .filter(|heard| heard.is_there())
                    .map(|heard| { deadline.of(&heard.peer, heard.peer.cells(&plan)) })
            ),
        );
        let mut cells = vec![own_cells?];
        let (mut peers_cells, mut is_cut) = (peers_cells.into_iter(), false);
        for heard in &mut heard {
            let told = if heard.is_there() { peers_cells.next() } else { None };
            match told {
                Some(Ok(told)) => cells.push(told),
                Some(Err(failure)) => {
                    heard.fail(failure);
                    is_cut = true;
                    cells.push(Cells::default());
                }
                None => cells.push(Cells::default()),
            }
        }
        debug_assert!(there || !is_cut);
        let again = is_cut.then(|| gather(&own, &heard, now_ms));
        let report = self.report(&own, &heard);
        let warnings: Vec<String> = report.nodes.iter().filter_map(NodeStatus::warning).collect();
        let matrix = node.queue.in_turn("matrix", move |rooms: &Rooms| {
            if let Some(again) = again {
                // Somebody left between the two: nothing of what it covered may look recorded.
                gathered = again();
            }
            gathered.take(plan.series, cells);
            let mut room = None;
            let mut admit = |extent| {
                room = Some(rooms.take(extent)?);
                Ok(())
            };
            let mut matrix = gathered.answer(&request, &plan, &mut admit)?;
            matrix.warnings.extend(warnings);
            Ok(Held::new(matrix, room))
        });
        Ok(Answered { matrix: matrix.await?, fan_out: Some(report) })
    }

    /// The outlines of all peers but those that are this node under another name, or another peer.
    async fn outlines(&self, deadline: &Deadline<'_>, hours: RangeInclusive<u64>) -> Vec<Heard> {
        let peers = self.members.now(deadline.node.clock.monotonic_ms());
        let asked = peers
            .iter()
            .map(|peer| deadline.of(peer, peer.outline((*hours.start(), *hours.end()))));
        let answers = join_all(asked).await;
        let mut seen = BTreeSet::from([self.instance.as_bytes().to_vec()]);
        let mut heard = Vec::new();
        for (peer, answer) in peers.iter().zip(answers) {
            let outline = match answer {
                Ok(answer) if !seen.insert(answer.instance.clone()) => continue,
                Ok(answer) => Ok(answer.outline),
                Err(failure) => {
                    if failure.reason == Reason::Unavailable {
                        self.members.doubt();
                    }
                    Err(failure)
                }
            };
            heard.push(Heard::new(Arc::clone(peer), outline));
        }
        heard
    }

    fn report(&self, own: &Outline, heard: &[Heard]) -> Report {
        let mut report = Report::default();
        report.nodes.push(NodeStatus { node: self.address.clone(), error: None });
        let groups_of = |outline: &Outline| outline.groups.keys().copied().collect::<Vec<_>>();
        for held in heard {
            let error = held.failure.as_ref().map(|failure| failure.text.clone());
            report.nodes.push(NodeStatus { node: held.peer.address.clone(), error });
            match &held.part {
                Part::Told(_) => {}
                Part::Remembered(outline) => {
                    let known = outline.groups.iter().filter(|(_, held)| !held.members.is_empty());
                    report.degraded_groups.extend(known.map(|(&group, _)| group));
                }
                Part::Unknown(_) => {
                    let others = heard.iter().filter_map(|held| match &held.part {
                        Part::Told(outline) | Part::Remembered(outline) => Some(&**outline),
                        Part::Unknown(_) => None,
                    });
                    let all = others.chain([own]).flat_map(groups_of);
                    report.degraded_groups.extend(all);
                }
            }
        }
        report.degraded_groups.remove(&keyviz_codec::key_layout::NODE_GROUP);
        report
    }
}

impl NodeStatus {
    fn warning(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("node {}: {error}; what it alone has recorded is missing here", self.node))
    }
}

/// How what was heard becomes one history; done where there is time for it.
fn gather(
    own: &Arc<Outline>,
    heard: &[Heard],
    now_ms: u64,
) -> impl FnOnce() -> Gathered + Send + use<> {
    let mut parts = vec![Part::Told(Arc::clone(own))];
    parts.extend(heard.iter().map(|heard| heard.part.clone()));
    move || Gathered::new(&parts, now_ms)
}

/// The hours of which a question needs to know who recorded them; from 0 = as far back as there is.
fn outline_hours(request: &MatrixRequest, now_ms: u64) -> Result<RangeInclusive<u64>, NodeError> {
    let to_ms = request.to_ms.unwrap_or(now_ms);
    let Some(from_ms) = request.from_ms else {
        return Ok(0..=unix_hour(to_ms).saturating_add(LONGEST_STEP_HOURS));
    };
    if from_ms >= to_ms {
        return Err(QueryError::EmptySpan { from_ms, to_ms }.into());
    }
    // The answer's step rounds outwards by no more than this.
    let step = request.step.unwrap_or_else(|| Step::auto(Step::HOUR, from_ms, to_ms));
    let coarsest = step.ms().max(HOUR_MS);
    Ok(unix_hour(from_ms.saturating_sub(coarsest))..=unix_hour(to_ms.saturating_add(coarsest)))
}

/// An outline of some hours; from 0 = as far back as the finest columns are retained.
pub(crate) fn outline(
    history: &dyn History,
    graph: &LineageGraph,
    hours: RangeInclusive<u64>,
) -> Result<Outline, StoreError> {
    let (mut from, to) = hours.into_inner();
    if from == 0 {
        from = unix_hour(history.oldest_ms()).saturating_sub(LONGEST_STEP_HOURS);
    }
    Outline::read(history, graph, from..=to.max(from))
}
