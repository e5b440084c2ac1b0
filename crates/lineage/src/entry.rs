//! What a source sends, in one numbered order: columns and transitions never overtake each other
//! (contract section 2).

use crate::{Column, Transition};

/// One numbered message of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What it counted in a window.
    Column(Column),
    /// How its routes changed. A zero proposal id or HLC is drawn by keyviz.
    Transition(Transition),
    /// It will send no more.
    Leave,
}
