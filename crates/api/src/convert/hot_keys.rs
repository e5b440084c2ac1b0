//! Hot keys <-> wire.
//!
//! Invariant: what comes out passes [`HotKeys::validate`].
//! Proof: `hot_keys_test.rs`.

use bytes::Bytes;
use keyviz_lineage::{HotKey, HotKeys, KeyRange, RouteHotKeys, Series, Step, Window};

use super::{ConvertError, equal, unix_ms};
use crate::wire::ingest as wire;

/// Hot keys -> wire.
pub fn hot_keys_to_wire(hot_keys: &HotKeys) -> wire::HotKeys {
    let route = |route: &RouteHotKeys| wire::RouteHotKeys {
        route_id: route.route,
        group_id: route.group,
        start: Bytes::copy_from_slice(route.range.start()),
        end: Bytes::copy_from_slice(route.range.end()),
        writes: route.series.is_write(),
        sampled: route.sampled,
        keys: route.keys.iter().map(|hot| Bytes::copy_from_slice(&hot.key)).collect(),
        counts: route.keys.iter().map(|hot| hot.count).collect(),
    };
    wire::HotKeys {
        window_unix_ms: hot_keys.window.start_ms as i64,
        step_ms: hot_keys.window.step.ms() as u32,
        rate: hot_keys.rate,
        capacity: hot_keys.capacity,
        dropped: hot_keys.dropped,
        skipped_long_keys: hot_keys.skipped_long_keys,
        left_out: hot_keys.left_out,
        routes: hot_keys.routes.iter().map(route).collect(),
    }
}

/// Wire -> hot keys, checked.
///
/// # Errors
/// See [`ConvertError`]; all of them are refused.
pub fn hot_keys_from_wire(hot_keys: wire::HotKeys) -> Result<HotKeys, ConvertError> {
    let step = Step::recordable_from_ms(u64::from(hot_keys.step_ms))?;
    let window = Window::new(unix_ms("window_unix_ms", hot_keys.window_unix_ms)?, step)?;
    let routes = hot_keys.routes.into_iter().map(route_from_wire);
    let hot_keys = HotKeys {
        window,
        rate: hot_keys.rate,
        capacity: hot_keys.capacity,
        dropped: hot_keys.dropped,
        skipped_long_keys: hot_keys.skipped_long_keys,
        left_out: hot_keys.left_out,
        routes: routes.collect::<Result<_, _>>()?,
    };
    hot_keys.validate()?;
    Ok(hot_keys)
}

fn route_from_wire(route: wire::RouteHotKeys) -> Result<RouteHotKeys, ConvertError> {
    equal("counts", route.counts.len(), "keys", route.keys.len())?;
    for (field, key) in [("route.start", &route.start), ("route.end", &route.end)] {
        super::check_key_len(field, key)?;
    }
    let range = KeyRange::new(&route.start[..], &route.end[..])
        .map_err(|source| ConvertError::RouteRange { route: route.route_id, source })?;
    let keys = route.keys.iter().zip(route.counts);
    Ok(RouteHotKeys {
        route: route.route_id,
        group: route.group_id,
        range,
        series: if route.writes { Series::Writes } else { Series::Reads },
        sampled: route.sampled,
        keys: keys.map(|(key, count)| HotKey { key: key.to_vec(), count }).collect(),
    })
}

#[cfg(test)]
#[path = "hot_keys_test.rs"]
mod hot_keys_test;
