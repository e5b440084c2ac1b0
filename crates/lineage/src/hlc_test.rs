use proptest::prelude::*;

use super::*;

#[test]
fn grows_when_the_wall_stands_still_or_jumps_back() {
    let mut clock = HlcClock::default();
    let a = clock.next(1_000);
    let b = clock.next(1_000);
    let c = clock.next(10);
    let d = clock.next(1_001);
    assert_eq!(
        (a, b, c, d),
        (Hlc::new(1_000, 0), Hlc::new(1_000, 1), Hlc::new(1_000, 2), Hlc::new(1_001, 0))
    );
}

#[test]
fn the_logical_part_carries_into_the_milliseconds() {
    let mut clock = HlcClock::after(Hlc::new(5, u16::MAX));
    assert_eq!(clock.next(5), Hlc::new(6, 0));
}

#[test]
fn a_batch_is_consecutive() {
    let mut clock = HlcClock::default();
    let first = clock.reserve(7, 3);
    assert_eq!((first, clock.next(7)), (Hlc::new(7, 0), Hlc::new(7, 3)));
}

#[test]
fn a_value_from_the_far_future_is_refused_and_leaves_no_trace() {
    let mut clock = HlcClock::default();
    assert!(clock.observe(0, Hlc::new(MAX_AHEAD_MS, 9)).is_ok());
    let before = clock.last();
    assert!(matches!(
        clock.observe(0, Hlc::new(MAX_AHEAD_MS + 1, 0)),
        Err(HlcError::TooFarAhead { ahead_ms, .. }) if ahead_ms == MAX_AHEAD_MS + 1
    ));
    assert_eq!(clock.last(), before);
}

#[test]
fn a_wall_clock_beyond_48_bits_does_not_wrap() {
    let mut clock = HlcClock::default();
    let first = clock.next(MAX_UNIX_MS + 5);
    assert_eq!(first, Hlc::new(MAX_UNIX_MS, 0));
    assert!(clock.next(u64::MAX) > first);
}

/// What an owner does with a clock: values are used only below a limit that is durable before.
#[derive(Debug)]
struct Node {
    clock: HlcClock,
    durable: Hlc,
}

const MARGIN_MS: u64 = 60_000;

impl Node {
    fn persist(&mut self) {
        if self.clock.last() >= self.durable {
            self.durable = Hlc::new(self.clock.last().unix_ms() + MARGIN_MS, 0);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// The wall clock moves by this, in either direction.
    Jump(i64),
    Reserve(u64),
    /// A value from elsewhere, this far from the wall.
    Observe(i64),
    /// The process dies: only what is durable remains.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (-10i64..1_000).prop_map(Event::Jump),
        1 => (-400_000_000i64..400_000_000).prop_map(Event::Jump),
        6 => prop_oneof![Just(1), 1u64..5, 60_000u64..200_000].prop_map(Event::Reserve),
        2 => (-1_000_000i64..600_000).prop_map(Event::Observe),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn never_goes_back_over_restarts_jumps_and_batches(events in prop::collection::vec(event(), 1..60)) {
        let mut node = Node { clock: HlcClock::default(), durable: Hlc::default() };
        let mut wall_ms = 1_700_000_000_000u64;
        // The last value that anybody was given, and the last one that was taken over.
        let (mut issued, mut observed) = (Hlc::default(), Hlc::default());
        for event in events {
            match event {
                Event::Jump(by) => wall_ms = wall_ms.saturating_add_signed(by),
                Event::Reserve(ticks) => {
                    let before = node.clock.last();
                    let first = node.clock.reserve(wall_ms, ticks);
                    node.persist();
                    prop_assert!(first > issued && first > observed, "{first} after {issued}, {observed}");
                    let last = first.plus(ticks - 1);
                    prop_assert_eq!((last, last.0 - first.0), (node.clock.last(), ticks - 1));
                    prop_assert!(last < node.durable, "used before it is durable");
                    let expected = if wall_ms > before.unix_ms() { Hlc::new(wall_ms, 0) } else { before.plus(1) };
                    prop_assert_eq!(first, expected);
                    issued = last;
                }
                Event::Observe(ahead) => {
                    let other = Hlc::new(wall_ms.saturating_add_signed(ahead), 7);
                    let before = node.clock.last();
                    match node.clock.observe(wall_ms, other) {
                        Ok(()) => {
                            node.persist();
                            observed = observed.max(other);
                            prop_assert_eq!(node.clock.last(), before.max(other));
                        }
                        Err(HlcError::TooFarAhead { ahead_ms, .. }) => {
                            prop_assert!(ahead_ms > MAX_AHEAD_MS);
                            prop_assert_eq!(node.clock.last(), before);
                        }
                    }
                }
                Event::Restart => node.clock = HlcClock::after(node.durable),
            }
        }
    }
}
