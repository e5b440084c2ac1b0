//! The columns of the last hours, compressed, at full resolution.
//!
//! ```text
//! History: blocks of up to 60 columns of one step, the oldest first; each stands alone
//! block:   who its rows and buckets are (once each), then bytes, column after column:
//!          start, from, to relative to it, unattributed | groups, if they changed
//!          rows:    mask u8 | who, if not the one after the last | flags, if any
//!                   | what differs from its forecast, of reads, writes, read bytes, write bytes
//!          buckets: who | parts: group, term, flags, four counts
//! ```
//! A row's forecast is its count in the column of this block that had it last, and its bytes at that
//! column's mean size. Numbers are varints, differences in zigzag.
//! Invariants: columns come back as they were pushed (Y1), at most `capacity` of them, the newest (Y2);
//! a block whose columns are all too old is let go, so at most 59 columns more than that are held (Y3).
//! Must not: be written to a disk: its bytes are this process's own and carry no checksum.
//! Proof: `history_test.rs`.

use std::collections::{HashMap, VecDeque};

use keyviz_lineage::{
    Bucket, BucketPart, Column, Counts, Flags, GroupId, KeyRange, RouteId, Row, Step, Window,
};

use crate::varint::{get, put, unzigzag, zigzag};

/// How many columns are kept unless the caller says otherwise: a day of minutes.
pub const DEFAULT_HISTORY_COLUMNS: usize = 1_440;
/// The most columns that may be kept.
pub const MAX_HISTORY_COLUMNS: usize = 100_000;
const BLOCK_COLUMNS: usize = 60;

const HAS_FLAGS: u8 = 1 << 4;
const HAS_WHO: u8 = 1 << 5;

/// Whose a row is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RowId {
    route: RouteId,
    group: GroupId,
    term: u64,
    range: KeyRange,
}

impl RowId {
    fn is_of(&self, row: &Row) -> bool {
        (self.route, self.group, self.term) == (row.route, row.group, row.term)
            && self.range == row.range
    }
}

/// Whose a bucket is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct BucketId {
    group: GroupId,
    range: KeyRange,
    members: Vec<RouteId>,
    member_count: u64,
}

#[derive(Debug)]
struct Block {
    step: Step,
    columns: usize,
    rows: Vec<RowId>,
    buckets: Vec<BucketId>,
    bytes: Vec<u8>,
}

/// What the coder and the decoder of a block know at the same point of it.
#[derive(Debug, Default)]
struct State {
    groups: Vec<GroupId>,
    /// By place in the block's rows.
    last: Vec<Counts>,
}

/// What coding needs beside that.
#[derive(Debug, Default)]
struct Open {
    state: State,
    rows: HashMap<RowId, usize>,
    buckets: HashMap<BucketId, usize>,
}

/// See the module's header.
#[derive(Debug)]
pub struct History {
    capacity: usize,
    columns: usize,
    blocks: VecDeque<Block>,
    /// Of the newest block.
    open: Open,
}

impl Default for History {
    fn default() -> Self {
        Self::new(DEFAULT_HISTORY_COLUMNS)
    }
}

impl History {
    /// Keeps the newest `capacity` columns: 1 to [`MAX_HISTORY_COLUMNS`]; more or less is taken as the
    /// nearest of these.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, MAX_HISTORY_COLUMNS);
        Self { capacity, columns: 0, blocks: VecDeque::new(), open: Open::default() }
    }

    /// How many columns are kept.
    pub const fn len(&self) -> usize {
        self.columns
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// How many bytes the coded columns take, without the names of their rows.
    pub fn coded_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.len()).sum()
    }

    /// Adds the newest column. Beyond the capacity, the oldest goes.
    pub fn push(&mut self, column: &Column) {
        let step = column.window.step;
        let is_open =
            self.blocks.back().is_some_and(|b| b.step == step && b.columns < BLOCK_COLUMNS);
        if !is_open {
            if let Some(full) = self.blocks.back_mut() {
                full.bytes.shrink_to_fit();
            }
            self.open = Open::default();
            let (rows, buckets, bytes) = (Vec::new(), Vec::new(), Vec::new());
            self.blocks.push_back(Block { step, columns: 0, rows, buckets, bytes });
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push(&mut self.open, column);
            self.columns = (self.columns + 1).min(self.capacity);
        }
        // Y3
        let held: usize = self.blocks.iter().map(|block| block.columns).sum();
        let oldest = self.blocks.front().map_or(0, |block| block.columns);
        if held - oldest >= self.capacity {
            self.blocks.pop_front();
        }
    }

    /// The columns, the oldest first, as they were pushed.
    pub fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        let held: usize = self.blocks.iter().map(|block| block.columns).sum();
        self.blocks.iter().flat_map(Block::columns).skip(held - self.columns)
    }
}

impl Block {
    fn push(&mut self, open: &mut Open, column: &Column) {
        let Column { window, covered_from_ms, covered_to_ms, unattributed, .. } = column;
        let out = &mut self.bytes;
        put(out, window.start_ms);
        put(out, zigzag(covered_from_ms.wrapping_sub(window.start_ms)));
        put(out, zigzag(covered_to_ms.wrapping_sub(window.start_ms)));
        put(out, *unattributed);
        if column.groups == open.state.groups {
            put(out, 0);
        } else {
            put(out, column.groups.len() as u64 + 1);
            column.groups.iter().for_each(|&group| put(out, group));
            open.state.groups.clone_from(&column.groups);
        }
        put(out, column.rows.len() as u64);
        let mut next = 0;
        for row in &column.rows {
            let at = self.place_of(open, next, row);
            self.put_row(&mut open.state, next, at, row);
            next = at + 1;
        }
        put(&mut self.bytes, column.buckets.len() as u64);
        for bucket in &column.buckets {
            self.put_bucket(open, bucket);
        }
        self.columns += 1;
    }

    fn place_of(&mut self, open: &mut Open, next: usize, row: &Row) -> usize {
        if self.rows.get(next).is_some_and(|id| id.is_of(row)) {
            return next;
        }
        let Row { route, group, term, .. } = *row;
        let id = RowId { route, group, term, range: row.range.clone() };
        *open.rows.entry(id).or_insert_with_key(|id| {
            self.rows.push(id.clone());
            open.state.last.push(Counts::default());
            self.rows.len() - 1
        })
    }

    fn put_row(&mut self, state: &mut State, next: usize, at: usize, row: &Row) {
        let forecast = Forecast::from(state.last[at], row.counts.reads, row.counts.writes);
        let counts = row.counts;
        let differences = [
            counts.reads.wrapping_sub(state.last[at].reads),
            counts.writes.wrapping_sub(state.last[at].writes),
            counts.read_bytes.wrapping_sub(forecast.read_bytes),
            counts.write_bytes.wrapping_sub(forecast.write_bytes),
        ];
        state.last[at] = counts;
        let mut mask = 0;
        for (bit, &difference) in differences.iter().enumerate() {
            mask |= u8::from(difference != 0) << bit;
        }
        mask |= if row.flags.is_none() { 0 } else { HAS_FLAGS };
        mask |= if at == next { 0 } else { HAS_WHO };
        let out = &mut self.bytes;
        out.push(mask);
        if at != next {
            put(out, at as u64);
        }
        if !row.flags.is_none() {
            put(out, u64::from(row.flags.0));
        }
        for difference in differences.into_iter().filter(|&difference| difference != 0) {
            put(out, zigzag(difference));
        }
    }

    fn put_bucket(&mut self, open: &mut Open, bucket: &Bucket) {
        let Bucket { group, member_count, .. } = *bucket;
        let (range, members) = (bucket.range.clone(), bucket.members.clone());
        let id = BucketId { group, range, members, member_count };
        let at = *open.buckets.entry(id).or_insert_with_key(|id| {
            self.buckets.push(id.clone());
            self.buckets.len() - 1
        });
        let out = &mut self.bytes;
        put(out, at as u64);
        put(out, bucket.parts.len() as u64);
        for BucketPart { group, term, counts, flags } in &bucket.parts {
            let Counts { reads, writes, read_bytes, write_bytes } = *counts;
            let flags = u64::from(flags.0);
            for n in [*group, *term, flags, reads, writes, read_bytes, write_bytes] {
                put(out, n);
            }
        }
    }

    fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        let (mut from, mut state) = (&self.bytes[..], State::default());
        state.last.resize(self.rows.len(), Counts::default());
        (0..self.columns).map(move |_| self.get_column(&mut from, &mut state))
    }

    fn get_column(&self, from: &mut &[u8], state: &mut State) -> Column {
        let start_ms = get(from);
        let covered_from_ms = start_ms.wrapping_add(unzigzag(get(from)));
        let covered_to_ms = start_ms.wrapping_add(unzigzag(get(from)));
        let unattributed = get(from);
        if let Some(groups) = get(from).checked_sub(1) {
            state.groups = (0..groups).map(|_| get(from)).collect();
        }
        let mut next = 0;
        let rows = (0..get(from)).map(|_| self.get_row(from, state, &mut next)).collect();
        let buckets = (0..get(from)).map(|_| self.get_bucket(from)).collect();
        let window = Window { start_ms, step: self.step };
        let groups = state.groups.clone();
        Column { window, covered_from_ms, covered_to_ms, unattributed, groups, rows, buckets }
    }

    fn get_row(&self, from: &mut &[u8], state: &mut State, next: &mut usize) -> Row {
        let mask = get_byte(from);
        let at = if mask & HAS_WHO == 0 { *next } else { get(from) as usize };
        *next = at + 1;
        let flags = if mask & HAS_FLAGS == 0 { Flags::NONE } else { Flags(get(from) as u16) };
        let mut difference = |bit: u8| if mask & 1 << bit == 0 { 0 } else { unzigzag(get(from)) };
        let last = state.last[at];
        let reads = last.reads.wrapping_add(difference(0));
        let writes = last.writes.wrapping_add(difference(1));
        let forecast = Forecast::from(last, reads, writes);
        let read_bytes = forecast.read_bytes.wrapping_add(difference(2));
        let write_bytes = forecast.write_bytes.wrapping_add(difference(3));
        let counts = Counts { reads, writes, read_bytes, write_bytes };
        state.last[at] = counts;
        let RowId { route, group, term, ref range } = self.rows[at];
        Row { route, group, term, range: range.clone(), counts, flags }
    }

    fn get_bucket(&self, from: &mut &[u8]) -> Bucket {
        let id = &self.buckets[get(from) as usize];
        let parts = (0..get(from)).map(|_| {
            let (group, term, flags) = (get(from), get(from), Flags(get(from) as u16));
            let (reads, writes) = (get(from), get(from));
            let (read_bytes, write_bytes) = (get(from), get(from));
            let counts = Counts { reads, writes, read_bytes, write_bytes };
            BucketPart { group, term, counts, flags }
        });
        let parts = parts.collect();
        let BucketId { group, member_count, .. } = *id;
        Bucket { group, range: id.range.clone(), members: id.members.clone(), member_count, parts }
    }
}

fn get_byte(from: &mut &[u8]) -> u8 {
    let Some((&byte, rest)) = from.split_first() else { return 0 };
    *from = rest;
    byte
}

/// The bytes that so many operations take at the mean size of the last column.
struct Forecast {
    read_bytes: u64,
    write_bytes: u64,
}

impl Forecast {
    fn from(last: Counts, reads: u64, writes: u64) -> Self {
        let at_mean = |bytes: u64, count: u64, now: u64| {
            let sum = u128::from(bytes) * u128::from(now);
            sum.checked_div(u128::from(count)).unwrap_or(0) as u64
        };
        Self {
            read_bytes: at_mean(last.read_bytes, last.reads, reads),
            write_bytes: at_mean(last.write_bytes, last.writes, writes),
        }
    }
}

#[cfg(test)]
#[path = "history_test.rs"]
mod history_test;
