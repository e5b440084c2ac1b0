use keyviz_codec::{CellEntry, Contributor, WindowCover};
use keyviz_lineage::{Cause, Counts, Hlc, Series, SourceId};

use super::*;

fn lineage(number: u128) -> LineageId {
    Uuid::from_u128(number)
}

fn outline() -> Outline {
    let mut coverage = Coverage::default();
    let source = SourceId { node: "n1".to_owned(), boot: lineage(7) };
    coverage.add(Step::MINUTE, &source, 3, WindowCover { covered_ms: 60_000, unattributed: 2 });
    let record = LineageRecord {
        id: lineage(1),
        range: KeyRange::all(),
        route: 1,
        group: 1,
        valid_from: Hlc(5),
        valid_to: None,
        parents: Vec::new(),
        successor: None,
        proposal: [1; 16],
        cause: Cause::Create,
        version: 0,
    };
    let group = GroupOutline {
        members: vec![("n1".to_owned(), Member { spans: vec![(1, Some(2)), (3, None)] })],
        coverage: vec![(4, coverage)],
        buckets: vec![(4, BucketIndex::default())],
        unread: vec![(5, "damaged".to_owned())],
    };
    Outline {
        oldest_ms: 10,
        oldest_rollup_ms: 5,
        default_step: Step::MINUTE,
        groups: BTreeMap::from([(1, group)]),
        records: Arc::new(vec![record]),
        strays: vec![(lineage(1), (0, 3_600_000))],
    }
}

fn heard(
    messages: Vec<wire::GetOutlineResponse>,
    known: Option<Arc<Vec<LineageRecord>>>,
) -> Result<HeardOutline, Unclear> {
    let mut heard = OutlineHeard::default();
    messages.into_iter().try_for_each(|message| heard.take(message))?;
    heard.end(known)
}

#[test]
fn an_outline_is_heard_as_it_was_told_and_its_records_once() {
    let (told, instance) = (outline(), lineage(9));
    let whole = heard(outline_to_wire(&told, instance, b"tag", b""), None).unwrap();
    assert_eq!(*whole.outline, told);
    assert_eq!(
        (whole.instance, whole.records_tag),
        (instance.as_bytes().to_vec(), b"tag".to_vec())
    );
    let again = outline_to_wire(&told, instance, b"tag", b"tag");
    assert_eq!(again.len(), 2, "no records");
    let known = Arc::clone(&told.records);
    assert_eq!(*heard(again.clone(), Some(known)).unwrap().outline, told);
    assert!(matches!(heard(again, None), Err(Unclear::Field(_))));
    assert!(matches!(heard(Vec::new(), None), Err(Unclear::Headless)));
}

#[test]
fn what_is_damaged_on_the_way_is_an_error() {
    let mut messages = outline_to_wire(&outline(), lineage(9), b"tag", b"");
    for message in &mut messages {
        if let Some(OutlineMessage::Group(group)) = &mut message.message {
            group.coverage[0].value = b"not coverage".to_vec().into();
        }
    }
    assert!(matches!(heard(messages, None), Err(Unclear::Value(_))));
}

#[test]
fn a_plan_and_its_cells_are_heard_as_they_were_told() {
    let plan = Plan {
        series: Series::ReadBytes,
        tier: Some(Tier::FiveMinutes),
        hours: 3..=9,
        range: KeyRange::new(&b"a"[..], &b"c"[..]).unwrap(),
        shared: BTreeMap::from([(1, BTreeSet::from([4, 5]))]),
    };
    assert_eq!(plan_from_wire(&plan_to_wire(&plan)).unwrap(), plan);
    let mut odd = plan_to_wire(&plan);
    odd.rollup_windows = 7;
    assert!(plan_from_wire(&odd).is_err());

    let mut blocks = HourBlocks::default();
    let who = Contributor { node: "n1".into(), group: 0, term: 2 };
    let counts = Counts { writes: 8, ..Counts::default() };
    blocks.block_mut(Step::MINUTE).add(&who, CellEntry { index: 3, counts, flags: Flags::SAMPLED });
    let mut chunk = Chunk::new(Tier::Hour);
    let mut windows = [Summary::default(); MAX_WINDOWS];
    windows[0] = Summary { sum: 9, max: 4, flags: Flags::SAMPLED };
    (0..3).for_each(|slot| chunk.set(slot, Some(Entry::Even(windows))));
    let mut columns = Columns::default();
    columns.read(&chunk.encode()).unwrap();
    // The second slot was not asked for.
    let lineages = vec![lineage(1), Uuid::nil(), lineage(3)];
    let told = Cells {
        blocks: BTreeMap::from([((1, lineage(1)), vec![(4, blocks)])]),
        rollups: BTreeMap::from([(1, vec![HourRollups { hour: 5, lineages, columns }])]),
        unread: vec![(1, None, 6, "gone".to_owned()), (1, Some(lineage(3)), 7, "bad".to_owned())],
    };
    let mut heard = Cells::default();
    for message in cells_to_wire(&told) {
        take_cells(&mut heard, message).unwrap();
    }
    assert_eq!((&heard.blocks, &heard.unread), (&told.blocks, &told.unread));
    let (held, told) = (&heard.rollups[&1][0], &told.rollups[&1][0]);
    assert_eq!((held.hour, &held.lineages), (told.hour, &told.lineages));
    let slots: Vec<bool> = (0..4).map(|slot| held.columns.taken.contains(slot)).collect();
    assert_eq!(slots, [true, false, true, false]);
    assert_eq!((held.columns.sums[2], held.columns.maxima[2]), (9, 4));
    assert_eq!(held.columns.flags[2], Flags::SAMPLED);
}
