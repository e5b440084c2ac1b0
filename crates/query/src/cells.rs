//! What was recorded of one lineage, on the time axis of the answer.

use std::ops::Range;

use keyviz_codec::SeriesColumn;
use keyviz_lineage::{Flags, HOUR_MS, LineageRecord, Series};
use keyviz_store::{History, StoreError};

use crate::span::Span;

/// One series of one lineage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// `(unit, value, flags)`, ascending.
    pub(crate) values: Vec<(u32, u64, Flags)>,
    /// Stretches of units that are damaged in the store: what they held is not known.
    pub(crate) unread: Vec<Range<usize>>,
    /// Stretches of units that have expired while what tells who recorded them has not: not known
    /// either.
    pub(crate) expired: Vec<Range<usize>>,
}

impl Recorded {
    /// Whether there is nothing to show, as far as is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.unread.is_empty()
    }
}

/// Reads one series of one lineage. Damaged hours become warnings.
pub(crate) fn read(
    history: &dyn History,
    record: &LineageRecord,
    series: Series,
    span: &Span,
    warnings: &mut Vec<String>,
) -> Recorded {
    let mut recorded = Recorded::default();
    let mut visit = |hour: u64, column: Result<SeriesColumn<'_>, StoreError>| {
        let column = match column {
            Ok(column) => column,
            Err(error) => {
                warnings.push(error.to_string());
                recorded.unread.push(span.units_within(hour * HOUR_MS, (hour + 1) * HOUR_MS));
                return;
            }
        };
        for (index, value, flags) in column.cells() {
            let start_ms = hour * HOUR_MS + u64::from(index) * column.step.ms();
            let unit = span.unit_of(start_ms).filter(|_| value > 0 || !flags.is_none());
            recorded.values.extend(unit.map(|unit| (unit as u32, value, flags)));
        }
    };
    history.series(record.group, record.id, series, span.hours(), &mut visit);
    recorded.values.sort_by_key(|&(unit, ..)| unit);
    for hours in history.expired(record.group, record.id, span.hours()) {
        let end_ms = (*hours.end() + 1).saturating_mul(HOUR_MS);
        recorded.expired.push(span.units_within(*hours.start() * HOUR_MS, end_ms));
    }
    recorded
}
