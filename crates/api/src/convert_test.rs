use super::*;
use proptest::prelude::*;

fn sample() -> Column {
    let step = Step::from_ms(1_000).unwrap();
    let row = |route, start: &[u8], end: &[u8]| Row {
        route,
        group: 1,
        term: 4,
        range: KeyRange::new(start, end).unwrap(),
        counts: Counts { reads: 1, writes: 2, read_bytes: 3, write_bytes: u64::MAX },
        flags: Flags::NONE,
    };
    Column {
        window: Window::new(5_000, step).unwrap(),
        covered_from_ms: 5_000,
        covered_to_ms: 6_000,
        unattributed: 9,
        groups: vec![1],
        rows: vec![row(1, b"", b"user:1"), row(2, b"user:1", b"user:20"), row(3, b"user:20", b"")],
        buckets: Vec::new(),
    }
}

#[test]
fn a_column_survives_the_wire_and_shares_its_bounds() {
    let wire = column_to_wire(&sample());
    assert_eq!(&wire.bound_suffixes[..], b"user:120");
    assert_eq!(column_from_wire(&wire).unwrap(), sample());
}

#[test]
fn every_malformed_array_is_named() {
    let refused = |spoil: &dyn Fn(&mut wire::Column)| {
        let mut wire = column_to_wire(&sample());
        spoil(&mut wire);
        column_from_wire(&wire).unwrap_err().to_string()
    };
    assert!(
        refused(&|c| {
            c.row_reads.pop();
        })
        .contains("row_reads has 2 elements")
    );
    assert!(refused(&|c| c.row_flags.push(0)).contains("row_flags has 1"));
    assert!(refused(&|c| c.window_unix_ms = 5_001).contains("not a multiple"));
    assert!(refused(&|c| c.window_unix_ms = -5_000).contains("not negative"));
    assert!(refused(&|c| c.step_ms = 7_000).contains("divides 1 h"));
    assert!(refused(&|c| c.step_ms = 900_000).contains("at most 10 min"));
    assert!(refused(&|c| c.row_end[1] = 1).contains("inverted"));
    assert!(refused(&|c| c.row_route[0] = 0).contains("route 0 is reserved"));
    assert!(refused(&|c| c.row_start[0] = 99).contains("points behind"));
    assert!(refused(&|c| c.bound_shared[1] = 99).contains("shares 99"));
    assert!(refused(&|c| c.bound_suffix_bytes[1] = 99).contains("runs past"));
    assert!(refused(&|c| c.row_flags = vec![0, 1 << 15, 0]).contains("bits that this version"));
    assert!(refused(&|c| c.groups = vec![]).contains("do not list"));
}

#[test]
fn a_small_message_cannot_unfold_to_gigabytes() {
    let mut wire = column_to_wire(&sample());
    let count = 70_000;
    wire.bound_shared = (0..count).map(|n: u32| n.min(1_000)).collect();
    wire.bound_suffix_bytes = vec![1; count as usize];
    wire.bound_suffixes = vec![7; count as usize].into();
    assert_eq!(
        column_from_wire(&wire),
        Err(ConvertError::TooLarge { limit: MAX_COLUMN_KEY_BYTES })
    );
}

#[test]
fn a_transition_survives_the_wire() {
    let spec = |route, start: &[u8], end: &[u8]| RouteSpec {
        route,
        range: KeyRange::new(start, end).unwrap(),
    };
    for change in [
        Change::Create { routes: vec![spec(1, b"", b"")] },
        Change::Split { parent: 1, children: vec![spec(2, b"", b"m"), spec(3, b"m", b"")] },
        Change::Merge { parents: vec![2, 3], survivor: spec(4, b"", b"") },
        Change::MoveOut { route: 4, to_group: 2, to_route: 9 },
        Change::Drop { route: 9 },
        Change::Leader { node: "n1".into(), term: 3 },
    ] {
        let transition =
            Transition { group: 1, proposal: [7; 16], hlc: Hlc(5), catalogue_version: 2, change };
        let wire = transition_to_wire(&transition).unwrap();
        assert_eq!(transition_from_wire(&wire).unwrap(), transition);
    }
}

#[test]
fn a_hello_needs_a_name_and_a_boot() {
    let hello = |node: &str, boot: &'static [u8]| {
        source_from_wire(&wire::Hello { node_id: node.into(), boot_id: Bytes::from_static(boot) })
    };
    assert!(hello("n1", &[1; 16]).is_ok());
    assert!(hello("", &[1; 16]).is_err());
    assert!(hello("a\nb", &[1; 16]).is_err());
    assert!(hello("n1", &[1; 15]).unwrap_err().to_string().contains("15 bytes long"));
}

proptest! {
    #[test]
    fn arbitrary_arrays_never_panic(
        window in any::<i64>(), step in any::<u32>(), shared in prop::collection::vec(0u32..9, 0..6),
        lengths in prop::collection::vec(0u32..9, 0..6), suffixes in prop::collection::vec(any::<u8>(), 0..20),
        routes in prop::collection::vec(0u64..4, 0..5), bound in prop::collection::vec(0u32..8, 0..5),
    ) {
        let zeros: Vec<u64> = vec![0; routes.len()];
        let _ = column_from_wire(&wire::Column {
            window_unix_ms: window, step_ms: step, bound_shared: shared, bound_suffix_bytes: lengths,
            bound_suffixes: suffixes.into(), row_start: bound.clone(), row_end: bound,
            row_group: vec![1; routes.len()], row_term: zeros.clone(), row_reads: zeros.clone(),
            row_writes: zeros.clone(), row_read_bytes: zeros.clone(), row_write_bytes: zeros,
            row_route: routes, groups: vec![1], ..Default::default()
        });
    }
}
