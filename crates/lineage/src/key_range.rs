//! Key ranges: `[start, end)` of raw bytes (contract section 2).
//!
//! An empty start is -inf, an empty end is +inf. So the one comparison that may never be written
//! with `<` on the raw bytes is one against an end; [`KeyRange`] is the only place that does it.

use std::cmp::Ordering;
use std::sync::Arc;

use thiserror::Error;

/// `[start, end)`; empty start = -inf, empty end = +inf. Cheap to clone: a key is shared by every range
/// that was made from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRange {
    start: Arc<[u8]>,
    end: Arc<[u8]>,
}

/// Why two keys make no range.
#[allow(missing_docs)] // the messages name the fields
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyRangeError {
    /// The end is not after the start.
    #[error("range [{}, {}) is empty or inverted: the end must come after the start (empty end = +inf)", start.escape_ascii(), end.escape_ascii())]
    Inverted { start: Vec<u8>, end: Vec<u8> },
}

impl KeyRange {
    /// The range `[start, end)`.
    ///
    /// # Errors
    /// [`KeyRangeError::Inverted`] when it holds no key.
    pub fn new(
        start: impl Into<Arc<[u8]>>,
        end: impl Into<Arc<[u8]>>,
    ) -> Result<Self, KeyRangeError> {
        let (start, end) = (start.into(), end.into());
        if !end.is_empty() && start >= end {
            return Err(KeyRangeError::Inverted { start: start.to_vec(), end: end.to_vec() });
        }
        Ok(Self { start, end })
    }

    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// The first key (empty = -inf).
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key behind the range (empty = +inf).
    pub fn end(&self) -> &[u8] {
        &self.end
    }

    /// Start and end, to be shared.
    pub(crate) const fn shared(&self) -> (&Arc<[u8]>, &Arc<[u8]>) {
        (&self.start, &self.end)
    }

    /// The end, or `None` where the range is unbounded.
    pub fn bounded_end(&self) -> Option<&[u8]> {
        (!self.end.is_empty()).then_some(&*self.end)
    }

    /// Whether `key` lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.bounded_end().is_none_or(|end| key < end)
    }

    /// Whether all of `other` lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.start <= other.start && cmp_end(&other.end, &self.end) != Ordering::Greater
    }

    /// Whether the two share a key.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.bounded_end().is_none_or(|end| *other.start < *end)
            && other.bounded_end().is_none_or(|end| *self.start < *end)
    }

    /// What both hold, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.overlaps(other).then(|| Self {
            start: self.start.clone().max(other.start.clone()),
            end: if cmp_end(&self.end, &other.end) == Ordering::Less {
                self.end.clone()
            } else {
                other.end.clone()
            },
        })
    }

    /// Whether `next` begins exactly where this range ends.
    pub fn touches(&self, next: &Self) -> bool {
        self.bounded_end() == Some(next.start())
    }

    /// The smallest range that holds all of them; `None` of none.
    pub fn hull_of<'a>(mut ranges: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let first = ranges.next()?;
        let (start, end) = ranges.fold((&first.start, &first.end), |(start, end), range| {
            let ends_later = cmp_end(end, &range.end) == Ordering::Less;
            (start.min(&range.start), if ends_later { &range.end } else { end })
        });
        Some(Self { start: start.clone(), end: end.clone() })
    }

    /// The smallest range that holds both.
    pub fn hull(&self, other: &Self) -> Self {
        Self {
            start: self.start.clone().min(other.start.clone()),
            end: if cmp_end(&self.end, &other.end) == Ordering::Less {
                other.end.clone()
            } else {
                self.end.clone()
            },
        }
    }
}

/// Orders two range ends, where empty is +inf.
pub fn cmp_end(a: &[u8], b: &[u8]) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.cmp(b),
    }
}

impl std::fmt::Display for KeyRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.start.is_empty(), self.end.is_empty()) {
            (true, true) => write!(f, "(-inf, +inf)"),
            (true, false) => write!(f, "(-inf, {})", self.end.escape_ascii()),
            (false, true) => write!(f, "[{}, +inf)", self.start.escape_ascii()),
            (false, false) => {
                write!(f, "[{}, {})", self.start.escape_ascii(), self.end.escape_ascii())
            }
        }
    }
}

#[cfg(test)]
#[path = "key_range_test.rs"]
mod key_range_test;
