//! Random histories and random questions, as plain numbers that shrink well;
//! [`crate::random_test`] gives them their meaning.

use proptest::collection::vec;
use proptest::prelude::*;

/// The hour in which (or shortly before which) every history begins.
pub(crate) const HOUR: u64 = 480_000;
pub(crate) const NODES: [&str; 3] = ["n1", "n2", "n3"];
pub(crate) const STEPS_MS: [u64; 3] = [1_000, 10_000, 60_000];
/// Candidate bounds in key order; the first stands for -inf and the last for +inf.
pub(crate) const KEYS: [&[u8]; 14] = [
    b"",
    b"\0",
    b"\0\0",
    b"a",
    b"a\0",
    b"h",
    b"m",
    b"m\xff",
    b"t",
    b"\x7f",
    b"\xfe",
    b"\xff",
    b"\xff\xff",
    b"",
];

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create {
        group: u8,
        from: u8,
        to: u8,
        route: u8,
        wild: bool,
    },
    Recreate {
        pick: u8,
    },
    Split {
        pick: u8,
        cuts: [u8; 3],
        reuse: bool,
        hole: bool,
    },
    Merge {
        pick: u8,
        three: bool,
    },
    Drop {
        pick: u8,
    },
    Move {
        pick: u8,
        group: u8,
        gap: u8,
    },
    Backfill {
        pick: u8,
        to: u8,
        exact: bool,
    },
    Leave {
        node: u8,
    },
    Step(u8),
    Skip(u8),
    Window(Vec<Told>),
    /// The next changes carry an HLC of so many windows ago.
    Skew(u8),
    /// A command comes again.
    Again(u8),
    /// Everything but what is stored is forgotten; at times a record is lost as well.
    Restart(Option<u8>),
}

/// What one node tells of a window.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) node: u8,
    pub(crate) how: u8,
    pub(crate) groups: u8,
    pub(crate) unattributed: u8,
    pub(crate) rows: Vec<(u8, u8, u8, u16)>,
    /// Routes counted together: from, to, size, extra.
    pub(crate) bucket: Option<(u8, u8, u8, u16)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    pub(crate) before_hour: u8,
    pub(crate) step: u8,
    pub(crate) wait: u8,
    pub(crate) damage: Vec<(u8, bool)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) series: u8,
    pub(crate) from: Option<u8>,
    pub(crate) to: Option<u8>,
    pub(crate) range: Option<(u8, u8)>,
    pub(crate) rows: Option<usize>,
    pub(crate) step: Option<u64>,
    pub(crate) row_set: (u8, u8),
    pub(crate) apportion: bool,
}

fn told() -> impl Strategy<Value = Told> {
    let row = (any::<u8>(), 0u8..12, any::<u8>(), any::<u16>());
    let key = 0u8..KEYS.len() as u8;
    let bucket = prop::option::weighted(0.15, (key.clone(), key, any::<u8>(), any::<u16>()));
    (0u8..3, 0u8..24, 0u8..16, 0u8..8, vec(row, 0..5), bucket).prop_map(
        |(node, how, groups, unattributed, rows, bucket)| Told {
            node,
            how,
            groups,
            unattributed,
            rows,
            bucket,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let key = 0u8..KEYS.len() as u8;
    prop_oneof![
        3 => (0u8..3, key.clone(), key.clone(), 1u8..40, prop::bool::weighted(0.15))
            .prop_map(|(group, from, to, route, wild)| Event::Create { group, from, to, route, wild }),
        2 => any::<u8>().prop_map(|pick| Event::Recreate { pick }),
        5 => (any::<u8>(), [key.clone(), key.clone(), key.clone()], any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(pick, cuts, reuse, hole)| Event::Split { pick, cuts, reuse, hole }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(pick, three)| Event::Merge { pick, three }),
        2 => any::<u8>().prop_map(|pick| Event::Drop { pick }),
        2 => (any::<u8>(), 0u8..3, 0u8..6).prop_map(|(pick, group, gap)| Event::Move { pick, group, gap }),
        2 => (any::<u8>(), key, any::<bool>()).prop_map(|(pick, to, exact)| Event::Backfill { pick, to, exact }),
        1 => (0u8..3).prop_map(|node| Event::Leave { node }),
        1 => (0u8..3).prop_map(Event::Step),
        1 => (1u8..6).prop_map(Event::Skip),
        1 => (0u8..4).prop_map(Event::Skew),
        1 => any::<u8>().prop_map(Event::Again),
        1 => prop::option::weighted(0.3, any::<u8>()).prop_map(Event::Restart),
        12 => vec(told(), 0..4).prop_map(Event::Window),
    ]
}

pub(crate) fn story() -> impl Strategy<Value = Story> {
    let damage = prop_oneof![4 => vec((any::<u8>(), any::<bool>()), 0..1), 1 => vec((any::<u8>(), any::<bool>()), 1..3)];
    (vec(event(), 4..36), 0u8..12, 0u8..3, 0u8..5, damage).prop_map(
        |(events, before_hour, step, wait, damage)| Story {
            events,
            before_hour,
            step,
            wait,
            damage,
        },
    )
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let key = 0u8..KEYS.len() as u8;
    let times =
        (prop::option::weighted(0.8, any::<u8>()), prop::option::weighted(0.7, any::<u8>()));
    let range = prop::option::weighted(0.4, (key.clone(), key));
    let rows =
        prop_oneof![2 => Just(None), 3 => (1usize..5).prop_map(Some), 1 => Just(Some(1_024))];
    let steps = prop::sample::select(vec![
        1_000, 2_000, 10_000, 20_000, 60_000, 90_000, 300_000, 3_600_000,
    ]);
    (
        0u8..4,
        times,
        range,
        rows,
        prop::option::weighted(0.7, steps),
        (0u8..8, any::<u8>()),
        any::<bool>(),
    )
        .prop_map(|(series, (from, to), range, rows, step, row_set, apportion)| Asked {
            series,
            from,
            to,
            range,
            rows,
            step,
            row_set,
            apportion,
        })
}
