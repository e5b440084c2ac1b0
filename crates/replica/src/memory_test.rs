use keyviz_codec::column_record;
use keyviz_lineage::{Counts, Flags, KeyRange, Row, Step, id};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::admit::{Admitted, Holds};

/// One column: who sends it, its window, and its rows' (place, term, count).
#[derive(Clone, Debug)]
struct Told {
    source: u8,
    window: u64,
    step: Step,
    rows: Vec<(u8, u64, u64)>,
}

/// Mostly a source tells the same rows as before.
fn told() -> impl Strategy<Value = Vec<Told>> {
    let rows = prop::collection::btree_map((0u8..200, 0u64..3), 0u64..9, 0..40);
    let steps = prop_oneof![4 => Just(60_000u64), 1 => Just(600_000u64)];
    let kinds = prop::collection::vec(rows, 1..4);
    let columns = prop::collection::vec((0u8..2, 0u64..150, steps, 0usize..9), 1..60);
    (kinds, columns).prop_map(|(kinds, columns)| {
        let column = |(source, window, step_ms, kind): (u8, u64, u64, usize)| {
            let rows = kinds[kind % kinds.len()].iter();
            let rows = rows.map(|(&(place, term), &count)| (place, term, count * window)).collect();
            Told { source, window, step: Step::from_ms(step_ms).unwrap(), rows }
        };
        columns.into_iter().map(column).collect()
    })
}

fn lineage(place: u8) -> LineageId {
    // Some will never have a record.
    if place.is_multiple_of(7) {
        return id::unrecorded_id(group(place), route(place), &range(place));
    }
    Uuid::from_u128(1 << 96 | 7 << 76 | u128::from(place))
}

fn group(place: u8) -> GroupId {
    1 + u64::from(place / 3 % 2)
}

fn route(place: u8) -> u64 {
    u64::from(place) + 1
}

fn range(place: u8) -> KeyRange {
    KeyRange::new(vec![place], vec![place + 1]).unwrap()
}

fn arrival(told: &Told, placements: &mut BTreeMap<Vec<u8>, Arc<Placement>>) -> Arrival {
    let row = |&(place, term, count): &(u8, u64, u64)| Row {
        route: route(place),
        group: group(place),
        term,
        range: range(place),
        counts: Counts { reads: count, writes: 1, read_bytes: count << 9, write_bytes: u64::MAX },
        flags: Flags((count % 3) as u16),
    };
    let window = window(told);
    let column = Column {
        window,
        covered_from_ms: window.start_ms,
        covered_to_ms: window.end_ms(),
        unattributed: 0,
        groups: vec![1, 2],
        rows: told.rows.iter().map(row).collect(),
        buckets: Vec::new(),
    };
    let source = source(told);
    let payload = column_record::encode(&source, 1, &column);
    let record = ColumnRecord::parse(&payload).unwrap();
    let lineages = told.rows.iter().map(|(place, ..)| Some(lineage(*place))).collect();
    let admitted = Admitted {
        lineages,
        unknown: Vec::new(),
        refused: Vec::new(),
        strays: Vec::new(),
        holds: Holds::NEVER,
    };
    let key = [source.node.as_bytes(), record.places()].concat();
    let placement = placements
        .entry(key)
        .or_insert_with(|| Arc::new(Placement::new(&record, &column, &admitted, Vec::new())));
    Arrival::of(&record, Arc::clone(placement)).unwrap()
}

fn window(told: &Told) -> Window {
    let step_ms = told.step.ms();
    Window::new(told.window * 60_000 / step_ms * step_ms, told.step).unwrap()
}

fn source(told: &Told) -> SourceId {
    SourceId { node: format!("n{}", told.source), boot: Uuid::from_u128(9) }
}

/// Row by row.
fn expected(all: &[Told]) -> BTreeMap<GroupId, HashMap<(LineageId, u64), HourBlocks>> {
    let mut blocks: BTreeMap<GroupId, HashMap<_, HourBlocks>> = BTreeMap::new();
    for told in all {
        let window = window(told);
        for &(place, term, count) in &told.rows {
            let of_group = blocks.entry(group(place)).or_default();
            let hour = of_group.entry((lineage(place), window.hour())).or_default();
            if place.is_multiple_of(7) {
                hour.set_bounds(range(place));
            }
            let who = Contributor { node: source(told).node.as_str().into(), group: 0, term };
            let counts =
                Counts { reads: count, writes: 1, read_bytes: count << 9, write_bytes: u64::MAX };
            let (index, flags) = (window.index_in_hour() as u16, Flags((count % 3) as u16));
            hour.block_mut(told.step).add(&who, CellEntry { index, counts, flags });
        }
    }
    blocks
}

proptest! {
    /// However often a reader asks in between, the blocks are those of adding cell by cell.
    #[test]
    fn folding_many_columns_is_adding_cell_by_cell(all in told(), every in 1usize..70) {
        let (mut memory, mut placements) = (Memory::default(), BTreeMap::new());
        for (at, told) in all.iter().enumerate() {
            memory.add(at as u64 + 1, arrival(told, &mut placements), |_| false);
            prop_assert!(told.rows.is_empty() || memory.snapshot().is_none());
            if at % every == every - 1 {
                drop(memory.settled_snapshot());
            }
        }
        let snapshot = memory.settled_snapshot();
        prop_assert!(memory.snapshot().is_some());
        for (group, expected) in expected(&all) {
            let [delta] = &snapshot[&group].deltas[..] else { panic!("one delta a group") };
            prop_assert_eq!(delta.last_wal, all.len() as u64);
            prop_assert_eq!(&delta.blocks, &expected);
        }
    }

    /// Nothing is sealed without what waits, and what comes later is in the next delta.
    #[test]
    fn a_sealed_delta_holds_what_came_before_it(all in told(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(all.len());
        let (mut memory, mut placements) = (Memory::default(), BTreeMap::new());
        for (at, told) in all.iter().enumerate() {
            if at == cut && at > 0 {
                let sealed = memory.seal(1).unwrap();
                prop_assert_eq!(sealed.last_wal, at as u64);
                let before = expected(&all[..cut]).remove(&1).unwrap_or_default();
                prop_assert_eq!(&sealed.blocks, &before);
            }
            memory.add(at as u64 + 1, arrival(told, &mut placements), |_| false);
        }
        let snapshot = memory.settled_snapshot();
        let after = expected(&all[cut..]).remove(&1).unwrap_or_default();
        prop_assert_eq!(&snapshot[&1].deltas.last().unwrap().blocks, &after);
    }
}
