//! To version 2: range blocks of version 3.
//!
//! Nothing is rewritten: blocks of versions 1 and 2 are read as they are, and become version 3 when they
//! are written again. The schema mark alone moves, so that an older keyviz does not take new blocks for
//! damaged ones.
//! Proof: `migrate_test.rs`.

use super::Work;
use crate::StoreError;

#[allow(clippy::unnecessary_wraps)] // a step's signature
pub(super) fn run(_work: &mut Work<'_>) -> Result<(), StoreError> {
    Ok(())
}
