//! The catalogue of keys: every prefix, its value and its use, in one place.
//!
//! Physical key = group id (u64, big-endian) followed by the logical key. Group 0 is the node's own.
//!
//! | logical key | value | use |
//! |---|---|---|
//! | `!admin\|keyviz\|range\|<lineage: 16>\|<hour: u64 BE>` | [`crate::HourBlocks`] | the finest columns of one lineage for one Unix hour |
//! | `!admin\|keyviz\|rollup\|<tier: u8>\|<series: u8>\|<hour: u64 BE>\|<chunk: u32 BE>` | [`crate::rollup::Chunk`] | sum and max of one series and hour, of the 256 lineages whose numbers within the group begin at 256 x chunk; tier = windows an hour (1, 12), series = 0 reads, 1 writes, 2 read bytes, 3 write bytes |
//! | `!admin\|keyviz\|numbers\|<chunk: u32 BE>` | [`crate::numbers`] | the lineages (and virtual buckets) of such a chunk, slot by slot |
//! | `!admin\|keyviz\|coverage\|<hour: u64 BE>` | [`crate::Coverage`] | which source recorded which window of the hour, for one group |
//! | `!admin\|keyviz\|index\|<hour: u64 BE>` | [`crate::BucketIndex`] | the virtual buckets of the hour, in the group of each one's first member; their cells are under `range\|<bucket id>\|<hour>` |
//! | `!admin\|keyviz\|lineage\|<lineage: 16>` | [`crate::lineage_record`] | one range from its birth to its end |
//! | `!admin\|keyviz\|event\|<hlc: u64 BE>` | [`crate::marks::LeaderEvent`] | a change of leader or term |
//! | `!admin\|keyviz\|damaged\|<logical key>` | the bytes as found | a value that failed its checksum when it had to be rewritten |
//! | `!admin\|keyviz\|meta\|applied` | [`crate::marks::Applied`] | the last command and WAL record that this group has applied |
//! | `!admin\|keyviz\|meta\|swept` | u64 | closed lineages whose last hour lies before this one may have been removed |
//! | `!admin\|keyviz\|meta\|pin\|<id: 16>` | [`crate::Pin`] | what the group keeps beyond the retention |
//! | `!admin\|keyviz\|meta\|freeze` | [`crate::marks::Freeze`] | group 0: a clock jumped, and nothing is dropped until so much later |
//! | `!admin\|keyviz\|meta\|dropped` | u64 | group 0: finest columns of hours before this one may have been dropped by compaction |
//! | `!admin\|keyviz\|meta\|member\|<node>` | [`crate::marks::Member`] | from when to when a source is expected |
//! | `!admin\|keyviz\|meta\|boot\|<boot: 16><node>` | [`crate::marks::BootMark`] | group 0: the last entry taken from one boot of a source |
//! | `!admin\|keyviz\|meta\|schema` | u32 | group 0: the schema version of the folder |
//! | `!admin\|keyviz\|meta\|upgrade` | [`crate::marks::Upgrade`] | group 0: how far an upgrade has come; there only while one is underway |
//! | `!admin\|keyviz\|meta\|hlc` | u64 | group 0: no HLC above this was issued |
//!
//! What lies under `meta|` and `numbers|` is small, and nothing else says it: it is kept twice
//! ([`is_kept_twice`]), under the same physical key in another column family, and so in other files.

use std::fmt;

use keyviz_lineage::{GroupId, Hlc, LineageId, Series};
use uuid::Uuid;

use crate::rollup::Tier;

const RANGE: &[u8] = b"!admin|keyviz|range|";
const ROLLUP: &[u8] = b"!admin|keyviz|rollup|";
const NUMBERS: &[u8] = b"!admin|keyviz|numbers|";
const COVERAGE: &[u8] = b"!admin|keyviz|coverage|";
const INDEX: &[u8] = b"!admin|keyviz|index|";
const LINEAGE: &[u8] = b"!admin|keyviz|lineage|";
const EVENT: &[u8] = b"!admin|keyviz|event|";
const DAMAGED: &[u8] = b"!admin|keyviz|damaged|";
const META: &[u8] = b"!admin|keyviz|meta|";
const MEMBER: &[u8] = b"member|";
const BOOT: &[u8] = b"boot|";
const PIN: &[u8] = b"pin|";

/// The group whose keys are the node's own: reserved, so no host can name it.
pub const NODE_GROUP: GroupId = 0;

/// Which period a key is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// That of the finest columns: blocks and five-minute roll-ups.
    Fine,
    /// The longest of any tier: hourly roll-ups, and what tells what an old picture shows.
    Longest,
}

/// A logical key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // drawn in the module header
pub enum Key {
    Range { lineage: LineageId, hour: u64 },
    Rollup { tier: Tier, series: Series, hour: u64, chunk: u32 },
    Numbers { chunk: u32 },
    Coverage { hour: u64 },
    Index { hour: u64 },
    Lineage { lineage: LineageId },
    Event { hlc: Hlc },
    Damaged { logical: Vec<u8> },
    Applied,
    Swept,
    Dropped,
    Member { node: String },
    Boot { boot: Uuid, node: String },
    Pin { id: Uuid },
    Schema,
    Upgrade,
    Hlc,
    Freeze,
}

impl Key {
    /// The physical key in `group`.
    pub fn encode(&self, group: GroupId) -> Vec<u8> {
        // A block's key and nearly every other fits.
        let mut key = Vec::with_capacity(64);
        key.extend_from_slice(&group.to_be_bytes());
        match self {
            Self::Range { lineage, hour } => {
                key.extend_from_slice(RANGE);
                key.extend_from_slice(lineage.as_bytes());
                key.push(b'|');
                key.extend_from_slice(&hour.to_be_bytes());
            }
            Self::Rollup { tier, series, hour, chunk } => {
                key.extend_from_slice(&rollup_prefix(*tier, *series));
                key.extend_from_slice(&hour.to_be_bytes());
                key.push(b'|');
                key.extend_from_slice(&chunk.to_be_bytes());
            }
            Self::Numbers { chunk } => {
                key.extend_from_slice(NUMBERS);
                key.extend_from_slice(&chunk.to_be_bytes());
            }
            Self::Coverage { hour } => {
                key.extend_from_slice(COVERAGE);
                key.extend_from_slice(&hour.to_be_bytes());
            }
            Self::Index { hour } => {
                key.extend_from_slice(INDEX);
                key.extend_from_slice(&hour.to_be_bytes());
            }
            Self::Lineage { lineage } => {
                key.extend_from_slice(LINEAGE);
                key.extend_from_slice(lineage.as_bytes());
            }
            Self::Event { hlc } => {
                key.extend_from_slice(EVENT);
                key.extend_from_slice(&hlc.0.to_be_bytes());
            }
            Self::Damaged { logical } => {
                key.extend_from_slice(&[DAMAGED, logical.as_slice()].concat());
            }
            Self::Applied => key.extend_from_slice(&[META, b"applied"].concat()),
            Self::Swept => key.extend_from_slice(&[META, b"swept"].concat()),
            Self::Dropped => key.extend_from_slice(&[META, b"dropped"].concat()),
            Self::Member { node } => {
                key.extend_from_slice(&[META, MEMBER, node.as_bytes()].concat());
            }
            Self::Boot { boot, node } => {
                key.extend_from_slice(&[META, BOOT, boot.as_bytes(), node.as_bytes()].concat());
            }
            Self::Pin { id } => key.extend_from_slice(&[META, PIN, id.as_bytes()].concat()),
            Self::Freeze => key.extend_from_slice(&[META, b"freeze"].concat()),
            Self::Schema => key.extend_from_slice(&[META, b"schema"].concat()),
            Self::Upgrade => key.extend_from_slice(&[META, b"upgrade"].concat()),
            Self::Hlc => key.extend_from_slice(&[META, b"hlc"].concat()),
        }
        key
    }

    /// The inverse of [`Key::encode`]; `None` for a key that is not in the catalogue.
    pub fn parse(physical: &[u8]) -> Option<(GroupId, Self)> {
        let (group, logical) = physical.split_first_chunk::<8>()?;
        let group = GroupId::from_be_bytes(*group);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let key = if let Some(rest) = logical.strip_prefix(RANGE) {
            let (lineage, rest) = rest.split_at_checked(16)?;
            Self::Range { lineage: uuid(lineage)?, hour: number(rest.strip_prefix(b"|")?)? }
        } else if let Some(rest) = logical.strip_prefix(ROLLUP) {
            parse_rollup(rest)?
        } else if let Some(rest) = logical.strip_prefix(NUMBERS) {
            Self::Numbers { chunk: u32::from_be_bytes(rest.try_into().ok()?) }
        } else if let Some(rest) = logical.strip_prefix(COVERAGE) {
            Self::Coverage { hour: number(rest)? }
        } else if let Some(rest) = logical.strip_prefix(INDEX) {
            Self::Index { hour: number(rest)? }
        } else if let Some(rest) = logical.strip_prefix(LINEAGE) {
            Self::Lineage { lineage: uuid(rest)? }
        } else if let Some(rest) = logical.strip_prefix(EVENT) {
            Self::Event { hlc: Hlc(number(rest)?) }
        } else if let Some(rest) = logical.strip_prefix(DAMAGED) {
            Self::Damaged { logical: rest.to_vec() }
        } else {
            let meta = logical.strip_prefix(META)?;
            if let Some(node) = meta.strip_prefix(MEMBER) {
                Self::Member { node: text(node)? }
            } else if let Some(rest) = meta.strip_prefix(BOOT) {
                let (boot, node) = rest.split_at_checked(16)?;
                Self::Boot { boot: uuid(boot)?, node: text(node)? }
            } else if let Some(id) = meta.strip_prefix(PIN) {
                Self::Pin { id: uuid(id)? }
            } else {
                match meta {
                    b"applied" => Self::Applied,
                    b"swept" => Self::Swept,
                    b"dropped" => Self::Dropped,
                    b"schema" => Self::Schema,
                    b"upgrade" => Self::Upgrade,
                    b"hlc" => Self::Hlc,
                    b"freeze" => Self::Freeze,
                    _ => return None,
                }
            }
        };
        Some((group, key))
    }

    /// Where the bytes of this key go when they turn out to be damaged and must make room.
    pub fn quarantine(&self) -> Self {
        Self::Damaged { logical: self.encode(NODE_GROUP)[8..].to_vec() }
    }

    /// Of [`Key::quarantine`], however often: the key whose bytes were set aside here.
    pub fn set_aside(&self) -> Option<Self> {
        let Self::Damaged { logical } = self else { return None };
        let mut inner = logical.as_slice();
        while let Some(rest) = inner.strip_prefix(DAMAGED) {
            inner = rest;
        }
        Self::parse(&[&NODE_GROUP.to_be_bytes(), inner].concat()).map(|(_, key)| key)
    }

    /// The Unix hour that retention judges this key by; `None` for keys that do not expire by hour.
    pub fn expiry_hour(&self) -> Option<u64> {
        self.expiry().map(|(_, hour)| hour)
    }

    /// Which period retention judges this key by, and its Unix hour; `None` for keys that do not
    /// expire by hour. What was set aside as damaged goes when its own key would have.
    pub fn expiry(&self) -> Option<(Period, u64)> {
        match self {
            Self::Range { hour, .. } | Self::Rollup { tier: Tier::FiveMinutes, hour, .. } => {
                Some((Period::Fine, *hour))
            }
            Self::Rollup { tier: Tier::Hour, hour, .. }
            | Self::Coverage { hour }
            | Self::Index { hour } => Some((Period::Longest, *hour)),
            Self::Event { hlc } => {
                Some((Period::Longest, keyviz_lineage::unix_hour(hlc.unix_ms())))
            }
            Self::Damaged { .. } => self.set_aside()?.expiry(),
            _ => None,
        }
    }
}

/// Whether what lies under a physical key is kept twice, in files of its own.
pub fn is_kept_twice(physical: &[u8]) -> bool {
    let logical = physical.get(8..).unwrap_or_default();
    logical.starts_with(META) || logical.starts_with(NUMBERS)
}

fn range_prefix(lineage: LineageId) -> Vec<u8> {
    [RANGE, lineage.as_bytes(), b"|"].concat()
}

fn rollup_prefix(tier: Tier, series: Series) -> Vec<u8> {
    [ROLLUP, &[tier.windows() as u8, b'|', series as u8, b'|']].concat()
}

fn parse_rollup(rest: &[u8]) -> Option<Key> {
    let (&[tier, b'|', series, b'|'], rest) = rest.split_first_chunk::<4>()? else { return None };
    let (hour, rest) = rest.split_first_chunk::<8>()?;
    Some(Key::Rollup {
        tier: Tier::from_windows(tier)?,
        series: *Series::ALL.get(usize::from(series))?,
        hour: u64::from_be_bytes(*hour),
        chunk: u32::from_be_bytes(rest.strip_prefix(b"|")?.try_into().ok()?),
    })
}

/// First keys of the families that are scanned, within `group`.
pub mod prefix {
    use keyviz_lineage::{LineageId, Series};

    use super::{
        BOOT, DAMAGED, EVENT, GroupId, LINEAGE, MEMBER, META, NUMBERS, PIN, RANGE, ROLLUP, Tier,
        range_prefix, rollup_prefix,
    };

    fn within(group: GroupId, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = group.to_be_bytes().to_vec();
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// Every block of the group.
    pub fn range(group: GroupId) -> Vec<u8> {
        within(group, &[RANGE])
    }

    /// Every block of one lineage.
    pub fn range_of(group: GroupId, lineage: LineageId) -> Vec<u8> {
        within(group, &[&range_prefix(lineage)])
    }

    /// Every roll-up of the group.
    pub fn rollup(group: GroupId) -> Vec<u8> {
        within(group, &[ROLLUP])
    }

    /// Every roll-up of one tier and series, by hour, then chunk.
    pub fn rollup_of(group: GroupId, tier: Tier, series: Series) -> Vec<u8> {
        within(group, &[&rollup_prefix(tier, series)])
    }

    /// The lineage numbers of the group.
    pub fn numbers(group: GroupId) -> Vec<u8> {
        within(group, &[NUMBERS])
    }

    /// The first key behind every key that begins with one of these prefixes.
    pub fn end(mut prefix: Vec<u8>) -> Vec<u8> {
        // Every prefix of the catalogue ends in '|', which has a successor.
        if let Some(last) = prefix.last_mut() {
            *last += 1;
        }
        prefix
    }

    /// Every lineage record of the group.
    pub fn lineage(group: GroupId) -> Vec<u8> {
        within(group, &[LINEAGE])
    }

    /// Every mark of the group.
    pub fn meta(group: GroupId) -> Vec<u8> {
        within(group, &[META])
    }

    /// Every expected source of the group.
    pub fn member(group: GroupId) -> Vec<u8> {
        within(group, &[META, MEMBER])
    }

    /// Every pin of the group.
    pub fn pin(group: GroupId) -> Vec<u8> {
        within(group, &[META, PIN])
    }

    /// Everything of the group that was set aside.
    pub fn damaged(group: GroupId) -> Vec<u8> {
        within(group, &[DAMAGED])
    }

    /// Every event of the group.
    pub fn event(group: GroupId) -> Vec<u8> {
        within(group, &[EVENT])
    }

    /// Every boot mark.
    pub fn boot() -> Vec<u8> {
        within(super::NODE_GROUP, &[META, BOOT])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { lineage, hour } => write!(f, "!admin|keyviz|range|{lineage}|{hour}"),
            Self::Rollup { tier, series, hour, chunk } => {
                let (tier, series) = (tier.name(), series.name());
                write!(f, "!admin|keyviz|rollup|{tier}|{series}|{hour}|{chunk}")
            }
            Self::Numbers { chunk } => write!(f, "!admin|keyviz|numbers|{chunk}"),
            Self::Coverage { hour } => write!(f, "!admin|keyviz|coverage|{hour}"),
            Self::Index { hour } => write!(f, "!admin|keyviz|index|{hour}"),
            Self::Lineage { lineage } => write!(f, "!admin|keyviz|lineage|{lineage}"),
            Self::Event { hlc } => write!(f, "!admin|keyviz|event|{hlc}"),
            Self::Damaged { logical } => {
                write!(f, "!admin|keyviz|damaged|{}", logical.escape_ascii())
            }
            Self::Applied => write!(f, "!admin|keyviz|meta|applied"),
            Self::Swept => write!(f, "!admin|keyviz|meta|swept"),
            Self::Dropped => write!(f, "!admin|keyviz|meta|dropped"),
            Self::Member { node } => write!(f, "!admin|keyviz|meta|member|{node}"),
            Self::Boot { boot, node } => write!(f, "!admin|keyviz|meta|boot|{boot}|{node}"),
            Self::Pin { id } => write!(f, "!admin|keyviz|meta|pin|{id}"),
            Self::Freeze => write!(f, "!admin|keyviz|meta|freeze"),
            Self::Schema => write!(f, "!admin|keyviz|meta|schema"),
            Self::Upgrade => write!(f, "!admin|keyviz|meta|upgrade"),
            Self::Hlc => write!(f, "!admin|keyviz|meta|hlc"),
        }
    }
}

#[cfg(test)]
#[path = "key_layout_test.rs"]
mod key_layout_test;
