use std::collections::HashMap;

use keyviz_lineage::KeyRange;
use proptest::prelude::*;

use super::*;
use crate::chunk::{CHUNK_CELLS, Lease, Space};
use crate::slot::SlotCell;
use crate::sub_range::SubRanges;

fn slot(route: RouteId, lease: &Arc<Lease>) -> Arc<Slot> {
    let subs = SubRanges::new(KeyRange::all(), 1);
    let cell = SlotCell::new(Arc::clone(lease), route as usize % CHUNK_CELLS);
    Arc::new(Slot::new(route, 1, subs, vec![cell]))
}

proptest! {
    /// As a map, whatever comes and goes; ids that fall into one shard included.
    #[test]
    fn is_a_map(changes in prop::collection::vec((1..200_u64, any::<bool>(), any::<bool>()), 0..300)) {
        // The inverse of the multiplier spreads ids over no shards at all.
        let crowded = |n: u64| n.wrapping_mul(0xf1de_83e1_9937_733d).max(1);
        let lease = Arc::new(Space::lease(&Space::new()));
        let (mut table, mut model) = (Table::new(), HashMap::new());
        for (n, is_crowded, is_added) in changes {
            let route = if is_crowded { crowded(n) } else { n };
            let new = is_added.then(|| slot(route, &lease));
            table = table.with(route, new.clone());
            match new {
                Some(new) => model.insert(route, new),
                None => model.remove(&route),
            };
        }
        for n in 1..200 {
            for route in [n, crowded(n)] {
                let (found, expected) = (table.slot(route), model.get(&route));
                prop_assert_eq!(found.map(Arc::as_ptr), expected.map(Arc::as_ptr));
                let spot = expected.map_or(Spot::NOWHERE, |slot| slot.spot());
                prop_assert_eq!(table.spot(route), spot);
            }
        }
    }
}
