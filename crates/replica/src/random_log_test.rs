//! Random commands for a group's log, as plain numbers that shrink well, and what they mean for the
//! graph as it is by then.

use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) enum Version {
    Unknown,
    Newest,
    Stale,
}

/// What a leader, a confused leader, or two of them at once might propose.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Create {
        route: u8,
        cut: (u8, u8),
        version: Version,
    },
    Split {
        pick: u8,
        cuts: Vec<u8>,
        version: Version,
    },
    Merge {
        pick: u8,
        count: u8,
        version: Version,
    },
    MoveOut {
        pick: u8,
        to_route: u8,
        version: Version,
    },
    MoveIn {
        pick: u8,
    },
    Drop {
        pick: u8,
        version: Version,
    },
    Backfill {
        route: u8,
        cut: (u8, u8),
    },
    Leader {
        term: u8,
    },
    /// Names routes that may not be there.
    Wild {
        parents: Vec<u8>,
        cuts: Vec<u8>,
    },
    Columns {
        pick: u8,
        hour: u8,
        writes: u64,
        repeats: bool,
    },
    Sweep {
        hour: u8,
        also: Vec<u8>,
        is_late: bool,
    },
    Restore {
        pick: u8,
        hour: u8,
    },
    Pin {
        id: u8,
        hours: (u8, u8, u8),
        cut: (u8, u8),
        also: Vec<u8>,
        max_bytes: u64,
    },
    Unpin {
        id: u8,
    },
    /// An earlier command once more.
    Again {
        back: u8,
    },
    /// The changes of an earlier command under another proposal, by a clock that is off.
    Retried {
        back: u8,
        offset_ms: i64,
    },
    /// Several in one command.
    Both(Box<Action>, Box<Action>),
    /// The second replica takes what it has not had.
    CatchUp {
        most: u8,
    },
    /// It starts anew, and its log begins again before the last command that it applied.
    Restart {
        back: u8,
    },
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        3 => Just(Version::Unknown),
        3 => Just(Version::Newest),
        1 => Just(Version::Stale),
    ]
}

fn transition_action() -> impl Strategy<Value = Action> {
    let cut = || (b'a'..=b'p', b'a'..=b'p');
    let cuts = || prop::collection::vec(b'a'..=b'p', 1..5);
    let (pick, route) = (any::<u8>(), 1u8..12);
    prop_oneof![
        4 => (route.clone(), cut(), version()).prop_map(|(route, cut, version)| Action::Create { route, cut, version }),
        6 => (pick, cuts(), version()).prop_map(|(pick, cuts, version)| Action::Split { pick, cuts, version }),
        4 => (pick, 2u8..4, version()).prop_map(|(pick, count, version)| Action::Merge { pick, count, version }),
        3 => (pick, route.clone(), version()).prop_map(|(pick, to_route, version)| Action::MoveOut { pick, to_route, version }),
        4 => pick.prop_map(|pick| Action::MoveIn { pick }),
        3 => (pick, version()).prop_map(|(pick, version)| Action::Drop { pick, version }),
        3 => (route, cut()).prop_map(|(route, cut)| Action::Backfill { route, cut }),
        1 => (0u8..4).prop_map(|term| Action::Leader { term }),
        2 => (prop::collection::vec(0u8..14, 1..3), cuts()).prop_map(|(parents, cuts)| Action::Wild { parents, cuts }),
    ]
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let pick = any::<u8>();
    prop_oneof![
        20 => transition_action(),
        3 => (transition_action(), transition_action()).prop_map(|(a, b)| Action::Both(Box::new(a), Box::new(b))),
        6 => (pick, 0u8..12, 1u64..9, any::<bool>())
            .prop_map(|(pick, hour, writes, repeats)| Action::Columns { pick, hour, writes, repeats }),
        5 => (0u8..14, prop::collection::vec(pick, 0..2), any::<bool>())
            .prop_map(|(hour, also, is_late)| Action::Sweep { hour, also, is_late }),
        4 => (0u8..6, (0u8..12, 0u8..6, 0u8..12), (b'a'..=b'p', b'a'..=b'p'), prop::collection::vec(pick, 0..3), prop_oneof![3 => Just(1 << 20), 1 => 100u64..600])
            .prop_map(|(id, hours, cut, also, max_bytes)| Action::Pin { id, hours, cut, also, max_bytes }),
        2 => (0u8..6).prop_map(|id| Action::Unpin { id }),
        1 => (pick, 0u8..12).prop_map(|(pick, hour)| Action::Restore { pick, hour }),
        4 => pick.prop_map(|back| Action::Again { back }),
        4 => (pick, -4_000_000i64..4_000_000).prop_map(|(back, offset_ms)| Action::Retried { back, offset_ms }),
        4 => (1u8..20).prop_map(|most| Action::CatchUp { most }),
        2 => (0u8..30).prop_map(|back| Action::Restart { back }),
    ]
}

/// The log of both groups, and what its proposers know.
#[derive(Default)]
pub(super) struct Log {
    pub(super) entries: Vec<(GroupId, u64, Command)>,
    pub(super) last_index: BTreeMap<GroupId, u64>,
    /// What the first replica answered, entry by entry.
    pub(super) answers: Vec<Answer>,
    pub(super) proposals: u128,
    pub(super) wal_sequence: u64,
    pub(super) catalogue_version: u64,
    pub(super) now_ms: u64,
}

impl Log {
    fn transition(&mut self, group: GroupId, change: Change, version: Version) -> Transition {
        self.proposals += 1;
        self.now_ms += 61_000;
        let catalogue_version = match version {
            Version::Unknown => 0,
            Version::Newest => {
                self.catalogue_version += 1;
                self.catalogue_version
            }
            Version::Stale => self.catalogue_version.saturating_sub(3).max(1),
        };
        Transition {
            group,
            proposal: self.proposals.to_be_bytes(),
            hlc: Hlc::new(self.now_ms, 0),
            catalogue_version,
            change,
        }
    }
}

fn range(cut: (u8, u8)) -> KeyRange {
    let (low, high) = (cut.0.min(cut.1), cut.0.max(cut.1));
    // The ends of the alphabet are unbounded.
    let start = if low == b'a' { vec![] } else { vec![low] };
    let end = if high == b'p' || low == high { vec![] } else { vec![high] };
    KeyRange::new(start, end).unwrap()
}

/// The live ranges of both groups, in group and key order.
fn living(graph: &LineageGraph) -> Vec<LineageRecord> {
    let all = KeyRange::all();
    GROUPS.iter().flat_map(|&group| graph.live_overlapping(group, &all).cloned()).collect()
}

fn pick_of<T: Clone>(from: &[T], pick: u8) -> Option<T> {
    from.get(usize::from(pick) % from.len().max(1)).cloned()
}

/// Pieces of a range between cuts, from the first free route number on.
fn pieces(range: &KeyRange, cuts: &[u8], first: RouteId) -> Vec<RouteSpec> {
    let mut inner: Vec<&u8> = cuts.iter().filter(|&&cut| range.contains(&[cut])).collect();
    inner.sort_unstable();
    inner.dedup();
    let mut rest = range.clone();
    let mut found = Vec::new();
    for cut in inner {
        let Ok(low) = KeyRange::new(rest.start(), vec![*cut]) else { continue };
        rest = KeyRange::new(vec![*cut], rest.end()).unwrap();
        found.push(low);
    }
    found.push(rest);
    (first..).zip(found).map(|(route, range)| RouteSpec { route, range }).collect()
}

fn planned(graph: &LineageGraph, log: &mut Log, action: &Action) -> Option<Transition> {
    let live = living(graph);
    let next_route = graph.records().map(|record| record.route).max().unwrap_or(0) + 1;
    Some(match action {
        Action::Create { route, cut, version } => {
            let group = GROUPS[usize::from(route % 2)];
            let routes = vec![RouteSpec { route: u64::from(*route), range: range(*cut) }];
            log.transition(group, Change::Create { routes }, *version)
        }
        Action::Split { pick, cuts, version } => {
            let parent = pick_of(&live, *pick)?;
            let children = pieces(&parent.range, cuts, next_route);
            log.transition(parent.group, Change::Split { parent: parent.route, children }, *version)
        }
        Action::Merge { pick, count, version } => {
            let first = usize::from(*pick) % live.len().max(1);
            let parents = live.get(first..live.len().min(first + usize::from(*count)))?;
            let range = parents
                .iter()
                .skip(1)
                .fold(parents.first()?.range.clone(), |hull, held| hull.hull(&held.range));
            let survivor = RouteSpec { route: next_route, range };
            let routes = parents.iter().map(|held| held.route).collect();
            log.transition(parents[0].group, Change::Merge { parents: routes, survivor }, *version)
        }
        Action::MoveOut { pick, to_route, version } => {
            let held = pick_of(&live, *pick)?;
            let (to_group, to_route) = (3 - held.group, u64::from(*to_route));
            let change = Change::MoveOut { route: held.route, to_group, to_route };
            log.transition(held.group, change, *version)
        }
        Action::MoveIn { pick } => {
            let mut moved: Vec<LineageRecord> =
                graph.records().filter(|held| held.successor.is_some()).cloned().collect();
            moved.sort_by_key(|held| held.id);
            let held = pick_of(&moved, *pick)?;
            let (group, route) = held.successor?;
            let route = RouteSpec { route, range: held.range.clone() };
            let change = Change::MoveIn { route, from: held.as_parent() };
            let made = log.transition(group, change, Version::Unknown);
            let is_ours = pick % 2 == 0;
            let (proposal, hlc) = (held.id.into_bytes(), held.valid_to?.plus(1));
            if is_ours { Transition { proposal, hlc, ..made } } else { made }
        }
        Action::Drop { pick, version } => {
            let held = pick_of(&live, *pick)?;
            log.transition(held.group, Change::Drop { route: held.route }, *version)
        }
        Action::Backfill { route, cut } => {
            let group = GROUPS[usize::from(route % 2)];
            let route = RouteSpec { route: u64::from(*route), range: range(*cut) };
            log.transition(group, Change::Backfill { route }, Version::Unknown)
        }
        Action::Leader { term } => {
            let change = Change::Leader { node: format!("n{}", term % 2), term: u64::from(*term) };
            log.transition(1, change, Version::Unknown)
        }
        Action::Wild { parents, cuts } => {
            let children = pieces(&KeyRange::all(), cuts, next_route);
            let parents: Vec<RouteId> = parents.iter().map(|&route| route.into()).collect();
            let change = match parents[..] {
                [parent] => Change::Split { parent, children },
                _ => Change::Merge { parents, survivor: children[0].clone() },
            };
            log.transition(1, change, Version::Newest)
        }
        _ => return None,
    })
}

fn columns(graph: &LineageGraph, log: &mut Log, action: &Action) -> Option<(GroupId, Command)> {
    let Action::Columns { pick, hour, writes, repeats } = action else { return None };
    let mut records: Vec<(GroupId, LineageId)> =
        graph.records().map(|held| (held.group, held.id)).collect();
    // Also of a lineage that nobody knows.
    records.push((1, Uuid::from_u128(1)));
    records.sort_unstable();
    let (group, lineage) = pick_of(&records, *pick)?;
    let hour = unix_hour(START_MS) + u64::from(*hour);
    let counts = Counts { writes: *writes, ..Counts::default() };
    let (step, node) = (Step::MINUTE, format!("n{}", pick % 2));
    let source =
        SourceId { node: node.clone(), boot: Uuid::from_u128(writes.is_multiple_of(2).into()) };
    let mut blocks = HourBlocks::default();
    let contributor = Contributor { node: node.as_str().into(), group: 0, term: writes % 3 };
    let entry = CellEntry { index: u16::from(pick % 60), counts, flags: Flags::NONE };
    blocks.block_mut(step).add(&contributor, entry);
    let mut coverage = Coverage::default();
    let cover = WindowCover { covered_ms: step.ms(), unattributed: *writes };
    coverage.add(step, &source, entry.index, cover);
    let mut member = Member::default();
    member.arrived(hour * HOUR_MS);
    log.wal_sequence += u64::from(!*repeats);
    let delta = Delta {
        first_wal: log.wal_sequence,
        last_wal: log.wal_sequence,
        blocks: [((lineage, hour), blocks)].into(),
        coverage: [(hour, coverage)].into(),
        members: [(node, member)].into(),
        index: BTreeMap::new(),
    };
    Some((group, Command::PersistColumns { delta: Arc::new(delta) }))
}

/// What the leader of some group would sweep, and sometimes more than it should.
fn sweep(leader: &Replica, action: &Action) -> Option<(GroupId, Command)> {
    let Action::Sweep { hour, also, is_late } = action else { return None };
    let graph = leader.machine().graph();
    let view = leader.machine().store.view(0);
    let before_hour = unix_hour(START_MS) + u64::from(*hour);
    let group = GROUPS[usize::from(hour % 2)];
    let found = removable(&graph, &view, before_hour).unwrap();
    let ours = found.into_iter().find(|(of, _)| *of == group);
    let mut lineages = ours.map(|(_, sweep)| sweep.lineages).unwrap_or_default();
    let mut all: Vec<LineageId> = graph.records().map(|record| record.id).collect();
    all.sort_unstable();
    lineages.extend(also.iter().filter_map(|&pick| pick_of(&all, pick)));
    let persisted_to =
        view.applied(group).unwrap().wal_sequence + u64::from(*is_late && !also.is_empty());
    Some((group, Command::SweepLineage(Sweep { before_hour, persisted_to, lineages })))
}

fn restore(graph: &LineageGraph, action: &Action) -> Option<(GroupId, Command)> {
    let Action::Restore { pick, hour } = action else { return None };
    let begin_ms = START_MS + u64::from(*hour) * HOUR_MS;
    let held = living(graph);
    let record = LineageRecord {
        id: held.get(usize::from(*pick)).map_or(Uuid::from_u128((*pick).into()), |held| held.id),
        range: range((b'c', *pick % 16 + b'a')),
        route: u64::from(*pick),
        group: 1,
        valid_from: Hlc::new(begin_ms, 0),
        valid_to: Some(Hlc::new(begin_ms + 60_000, 0)),
        parents: Vec::new(),
        successor: None,
        proposal: [0; 16],
        cause: Cause::Backfill,
        version: 0,
    };
    Some((1, Command::RestoreLineage { record: Box::new(record) }))
}

fn pin(graph: &LineageGraph, log: &Log, action: &Action) -> Option<(GroupId, Command)> {
    let group = |id: &u8| GROUPS[usize::from(id % 2)];
    if let Action::Unpin { id } = action {
        return Some((group(id), Command::Unpin { id: Uuid::from_u128((*id).into()) }));
    }
    let Action::Pin { id, hours: (first, fine, last), cut, also, max_bytes } = action else {
        return None;
    };
    let mut all: Vec<LineageId> = graph.records().map(|record| record.id).collect();
    all.sort_unstable();
    let first_hour = unix_hour(START_MS) + u64::from(*first);
    let last_hour = first_hour + u64::from(*last);
    let order = PinOrder {
        id: Uuid::from_u128((*id).into()),
        created: Hlc::new(log.now_ms, 0),
        first_hour,
        first_fine_hour: (first_hour + u64::from(*fine)).min(last_hour + 1),
        last_hour,
        range: range(*cut),
        note: String::new(),
        also: also.iter().filter_map(|&pick| pick_of(&all, pick)).collect(),
        max_bytes: *max_bytes,
    };
    Some((group(id), Command::Pin(Box::new(order))))
}

/// The same command, or the same event under another proposal and HLC.
fn repeated(log: &mut Log, action: &Action) -> Option<(GroupId, Command)> {
    let (back, offset_ms) = match action {
        Action::Again { back } => (*back, None),
        Action::Retried { back, offset_ms } => (*back, Some(*offset_ms)),
        _ => return None,
    };
    let at = log.entries.len().checked_sub(usize::from(back) % 40 + 1)?;
    let (group, _, command) = log.entries[at].clone();
    let command = match (command, offset_ms) {
        (Command::Transitions(mut transitions), Some(offset_ms)) => {
            for transition in &mut transitions {
                log.proposals += 1;
                transition.proposal = log.proposals.to_be_bytes();
                let ms = transition.hlc.unix_ms().saturating_add_signed(offset_ms);
                transition.hlc = Hlc::new(ms, 3);
            }
            Command::Transitions(transitions)
        }
        (command, _) => command,
    };
    Some((group, command))
}

pub(super) fn command(
    leader: &Replica,
    log: &mut Log,
    action: &Action,
) -> Option<(GroupId, Command)> {
    let graph = leader.machine().graph();
    if let Action::Both(first, second) = action {
        let (first, second) = (planned(&graph, log, first)?, planned(&graph, log, second)?);
        let group = first.group;
        let both = vec![first, Transition { group, ..second }];
        return Some((group, Command::Transitions(both)));
    }
    if let Some(transition) = planned(&graph, log, action) {
        return Some((transition.group, Command::Transitions(vec![transition])));
    }
    columns(&graph, log, action)
        .or_else(|| sweep(leader, action))
        .or_else(|| restore(&graph, action))
        .or_else(|| pin(&graph, log, action))
        .or_else(|| repeated(log, action))
}
