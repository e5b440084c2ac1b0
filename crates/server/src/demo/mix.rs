//! What the demo's own client sends: a moving hotspot over a shop's everyday traffic.
//!
//! Responsible for: the commands of each tick, as a function of the time since the traffic began and
//! of a fixed seed.
//! Invariants: two runs draw the same keys; the hotspot moves over its table once a sweep.
//! Must not: send, or read a clock.
//! Proof: `mix_test.rs`.

use std::time::Duration;

use super::keyspace::{ARCHIVE_YEARS, HOT_TABLE, LOG_TABLE, TABLE_KEYS, key};
use super::resp::Batch;
use super::schedule::Schedule;

/// How often commands are sent.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Commands in a tick: about 10,000 a second in all.
const HOT_COMMANDS: u64 = 120;
const LOG_COMMANDS: u64 = 24;
const ACCOUNT_COMMANDS: u64 = 20;
const SESSION_COMMANDS: f64 = 30.0;
const OTHER_COMMANDS: u64 = 14;

/// Half the width of the hotspot, as a share of its table.
pub(super) const HOT_REACH: f64 = 0.03;
const HOT_WRITES: f64 = 0.6;
/// A wave of logins.
const SESSION_WAVE: Duration = Duration::from_secs(7);
/// How often a tick reads something cold.
const COLD_SHARE: f64 = 0.1;
/// A value's length: its least and its most.
const VALUE_BYTES: (u64, u64) = (24, 200);

const SEED: u64 = 0x006b_6579_7669_7a00;

/// The generator.
#[derive(Debug)]
pub(super) struct Mix {
    schedule: Schedule,
    random: SplitMix64,
    value: Vec<u8>,
}

impl Mix {
    /// The traffic of a run.
    pub(super) fn new(schedule: Schedule) -> Self {
        Self { schedule, random: SplitMix64(SEED), value: vec![b'v'; VALUE_BYTES.1 as usize] }
    }

    /// Adds the commands of a tick.
    pub(super) fn tick(&mut self, elapsed: Duration, batch: &mut Batch) {
        let centre = hotspot(&self.schedule, elapsed);
        for _ in 0..HOT_COMMANDS {
            let offset = (self.random.unit() + self.random.unit() - 1.0) * HOT_REACH;
            let is_write = self.random.unit() < HOT_WRITES;
            self.push(is_write, HOT_TABLE, centre + offset, batch);
        }
        let head = elapsed.as_secs_f64() / self.schedule.end.as_secs_f64();
        for _ in 0..LOG_COMMANDS {
            let offset = self.random.unit() * 0.002;
            self.push(true, LOG_TABLE, head + offset, batch);
        }
        for _ in 0..ACCOUNT_COMMANDS {
            let (place, is_write) = (self.random.unit().powi(3), self.random.unit() < 0.1);
            self.push(is_write, "account", place, batch);
        }
        let phase = elapsed.as_secs_f64() / SESSION_WAVE.as_secs_f64();
        let swell = 0.5 - 0.5 * (phase * std::f64::consts::TAU).cos();
        for _ in 0..(SESSION_COMMANDS * swell) as u64 {
            let (place, is_write) = (self.random.unit(), self.random.unit() < 0.5);
            self.push(is_write, "session", place, batch);
        }
        for _ in 0..OTHER_COMMANDS {
            let table = ["cart", "product", "product", "user"][self.random.below(4) as usize];
            let (place, is_write) = (self.random.unit(), self.random.unit() < 0.3);
            self.push(is_write, table, place, batch);
        }
        if self.random.unit() < COLD_SHARE {
            self.push_cold(batch);
        }
    }

    fn push(&mut self, is_write: bool, table: &str, place: f64, batch: &mut Batch) {
        let key = key(table, place * TABLE_KEYS as f64);
        if is_write {
            let (least, most) = VALUE_BYTES;
            let length = least + self.random.below(most - least + 1);
            batch.push(&[b"SET", key.as_bytes(), &self.value[..length as usize]]);
        } else {
            batch.push(&[b"GET", key.as_bytes()]);
        }
    }

    fn push_cold(&mut self, batch: &mut Batch) {
        let order = self.random.below(TABLE_KEYS);
        let key = match self.random.below(ARCHIVE_YEARS.len() as u64 + 2) as usize {
            year if year < ARCHIVE_YEARS.len() => {
                format!("archive:{}:{order:06}", ARCHIVE_YEARS[year])
            }
            _ => format!("invoice:{order:06}"),
        };
        let command: &[&[u8]] = match self.random.below(4) {
            0 => &[b"SET", key.as_bytes(), &self.value[..VALUE_BYTES.0 as usize]],
            _ => &[b"GET", key.as_bytes()],
        };
        batch.push(command);
    }
}

/// Where in its table the hotspot is: 0 to 1.
pub(super) fn hotspot(schedule: &Schedule, elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() / schedule.sweep.as_secs_f64()).fract()
}

/// The key in the middle of the hotspot.
pub(super) fn hottest_key(schedule: &Schedule, elapsed: Duration) -> String {
    key(HOT_TABLE, hotspot(schedule, elapsed) * TABLE_KEYS as f64)
}

/// Sebastiano Vigna's splitmix64: small, and the same on every machine.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1, 1 excluded.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 0 to `limit`, `limit` excluded.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

#[cfg(test)]
#[path = "mix_test.rs"]
mod mix_test;
