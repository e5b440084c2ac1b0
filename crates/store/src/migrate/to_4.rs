//! To version 4: marks and numbers get their second copies (`copies.rs`).
//!
//! Group by group, what is kept twice is written again as it is; a batch puts it in both places. A value
//! that is damaged is copied as it is, and stays its readers' to tell.
//! Proof: `to_4_test.rs`; `tests/tests/golden_folders.rs`.

use keyviz_codec::Key;
use keyviz_codec::key_layout::{NODE_GROUP, prefix};

use super::Work;
use crate::{Batch, History as _, StoreError};

pub(super) fn run(work: &mut Work<'_>) -> Result<(), StoreError> {
    let view = work.store().view(0);
    let groups: Vec<_> = [NODE_GROUP].into_iter().chain(view.groups()?).collect();
    let total = groups.len() as u64;
    for (done, &group) in groups.iter().enumerate() {
        let mut batch = Batch::default();
        for prefix in [prefix::meta(group), prefix::numbers(group)] {
            for (key, value) in view.scan_prefix(&prefix)? {
                match Key::parse(&key) {
                    // How far the upgrade is, and to what, is written by itself.
                    None | Some((_, Key::Upgrade | Key::Schema)) => {}
                    Some((group, key)) => batch.put(group, &key, value),
                }
            }
        }
        work.commit(batch, &[], (done as u64 + 1, total))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "to_4_test.rs"]
mod to_4_test;
