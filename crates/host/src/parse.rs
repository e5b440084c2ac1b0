//! Words to operations on keys.
//!
//! Responsible for: everything about a command that can be wrong before a key is touched, in
//! redis's own words. What passed here counts when it is dispatched, whatever becomes of it; what
//! failed here touched no range and does not count.
//! Must not: look at stored data. Relative expiries become absolute with the time it is given.
//! Proof: `parse_test.rs`.

use bytes::Bytes;

use crate::command::{Command, Spec};
use crate::error::CommandError;

/// The words of one command, its name first.
pub(crate) type Words = Vec<Bytes>;

/// What a read wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadKind {
    Value,
    Values,
    /// How many of them exist.
    Exists,
    Length,
    /// Time to live in units of so many milliseconds.
    TimeToLive {
        unit_ms: u64,
    },
    Type,
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Set { key: Bytes, value: Bytes, options: SetOptions },
    SetMany { pairs: Vec<(Bytes, Bytes)>, only_if_all_absent: bool },
    Delete { keys: Vec<Bytes> },
    DeleteAndGet { key: Bytes },
    Add { key: Bytes, delta: i64 },
    Append { key: Bytes, value: Bytes },
    Expire { key: Bytes, at_ms: i64, condition: ExpireCondition },
    Persist { key: Bytes },
}

/// How SET and its relatives differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SetOptions {
    pub(crate) expiry: Expiry,
    pub(crate) condition: SetCondition,
    pub(crate) answer: SetAnswer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expiry {
    #[default]
    Never,
    Keep,
    /// Unix milliseconds.
    At(u64),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SetCondition {
    #[default]
    Always,
    IfAbsent,
    IfPresent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SetAnswer {
    /// OK, or null where the condition was not met.
    #[default]
    Ok,
    /// What was there before.
    Old,
    /// 1 or 0.
    Flag,
}

/// When EXPIRE takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExpireCondition {
    #[default]
    Always,
    IfNone,
    IfSome,
    /// Redis's GT: a key without expiry lives for ever, so nothing is later.
    IfSomeAndLater,
    IfSooner,
    IfSomeAndSooner,
}

impl Write {
    /// The keys that it touches, each with the length of the value that it brings: 0 where it
    /// brings none (DEL, GETDEL, EXPIRE, PERSIST) and for INCR and its relatives, whose result is
    /// not known before they run. A key that is named twice is touched twice.
    pub(crate) fn touches(&self) -> Touches<'_> {
        match self {
            Self::Set { key, value, .. } | Self::Append { key, value } => {
                Touches::One(key, value.len())
            }
            Self::SetMany { pairs, .. } => Touches::Pairs(pairs),
            Self::Delete { keys } => Touches::Keys(keys),
            Self::DeleteAndGet { key }
            | Self::Add { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key } => Touches::One(key, 0),
        }
    }
}

/// The keys of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Touches<'a> {
    One(&'a [u8], usize),
    Keys(&'a [Bytes]),
    Pairs(&'a [(Bytes, Bytes)]),
}

impl<'a> Touches<'a> {
    /// Key and value length, in the order given.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a [u8], usize)> {
        let (one, keys, pairs) = match self {
            Self::One(key, len) => (Some((key, len)), [].as_slice(), [].as_slice()),
            Self::Keys(keys) => (None, keys, [].as_slice()),
            Self::Pairs(pairs) => (None, [].as_slice(), pairs),
        };
        one.into_iter()
            .chain(keys.iter().map(|key| (&key[..], 0)))
            .chain(pairs.iter().map(|(key, value)| (&key[..], value.len())))
    }
}

/// What a read command wants to know; its keys are all words but the name.
pub(crate) fn read_kind(command: Command) -> ReadKind {
    match command {
        Command::MGet => ReadKind::Values,
        Command::Exists => ReadKind::Exists,
        Command::Strlen => ReadKind::Length,
        Command::Ttl => ReadKind::TimeToLive { unit_ms: 1_000 },
        Command::PTtl => ReadKind::TimeToLive { unit_ms: 1 },
        Command::Type => ReadKind::Type,
        _ => ReadKind::Value,
    }
}

/// Reads the words of a write command whose number of words is right.
pub(crate) fn write(spec: &Spec, mut words: Words, now_ms: u64) -> Result<Write, CommandError> {
    let name = spec.name;
    let mut take = |index: usize| std::mem::take(&mut words[index]);
    Ok(match spec.command {
        Command::Set => return set(&words, now_ms),
        Command::Expire | Command::PExpire => return expire(spec, &words, now_ms),
        Command::MSet | Command::MSetNx => return set_many(spec, &words),
        Command::SetNx => {
            let condition = SetCondition::IfAbsent;
            let options = SetOptions { condition, answer: SetAnswer::Flag, ..Default::default() };
            Write::Set { key: take(1), value: take(2), options }
        }
        Command::SetEx | Command::PSetEx => {
            let unit_ms = if spec.command == Command::SetEx { 1_000 } else { 1 };
            let at = expiry(name, &take(2), unit_ms, now_ms)?;
            let options = SetOptions { expiry: Expiry::At(at), ..Default::default() };
            Write::Set { key: take(1), value: take(3), options }
        }
        Command::GetSet => {
            let options = SetOptions { answer: SetAnswer::Old, ..Default::default() };
            Write::Set { key: take(1), value: take(2), options }
        }
        Command::GetDel => Write::DeleteAndGet { key: take(1) },
        Command::Incr => Write::Add { key: take(1), delta: 1 },
        Command::Decr => Write::Add { key: take(1), delta: -1 },
        Command::IncrBy => Write::Add { delta: integer(&take(2))?, key: take(1) },
        Command::DecrBy => {
            let delta = integer(&take(2))?.checked_neg();
            Write::Add { delta: delta.ok_or(CommandError::DecrementOverflow)?, key: take(1) }
        }
        Command::Append => Write::Append { key: take(1), value: take(2) },
        Command::Persist => Write::Persist { key: take(1) },
        _ => Write::Delete { keys: words.split_off(1) },
    })
}

fn set(words: &[Bytes], now_ms: u64) -> Result<Write, CommandError> {
    let mut options = SetOptions::default();
    let mut rest = words[3..].iter();
    while let Some(word) = rest.next() {
        let expires = |argument: Option<&Bytes>, unit_ms, from_ms| match options.expiry {
            Expiry::Never => expiry("set", argument.ok_or(CommandError::Syntax)?, unit_ms, from_ms)
                .map(Expiry::At),
            _ => Err(CommandError::Syntax),
        };
        match (word.to_ascii_uppercase().as_slice(), options.condition, options.expiry) {
            (b"NX", SetCondition::Always | SetCondition::IfAbsent, _) => {
                options.condition = SetCondition::IfAbsent;
            }
            (b"XX", SetCondition::Always | SetCondition::IfPresent, _) => {
                options.condition = SetCondition::IfPresent;
            }
            (b"GET", ..) => options.answer = SetAnswer::Old,
            (b"KEEPTTL", _, Expiry::Never | Expiry::Keep) => options.expiry = Expiry::Keep,
            (b"EX", ..) => options.expiry = expires(rest.next(), 1_000, now_ms)?,
            (b"PX", ..) => options.expiry = expires(rest.next(), 1, now_ms)?,
            (b"EXAT", ..) => options.expiry = expires(rest.next(), 1_000, 0)?,
            (b"PXAT", ..) => options.expiry = expires(rest.next(), 1, 0)?,
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(Write::Set { key: words[1].clone(), value: words[2].clone(), options })
}

fn set_many(spec: &Spec, words: &[Bytes]) -> Result<Write, CommandError> {
    if words.len().is_multiple_of(2) {
        return Err(CommandError::Arity { command: spec.name.to_owned() });
    }
    let pair = |pair: &[Bytes]| (pair[0].clone(), pair[1].clone());
    let pairs = words[1..].chunks_exact(2).map(pair).collect();
    Ok(Write::SetMany { pairs, only_if_all_absent: spec.command == Command::MSetNx })
}

fn expire(spec: &Spec, words: &[Bytes], now_ms: u64) -> Result<Write, CommandError> {
    let unit_ms = if spec.command == Command::Expire { 1_000 } else { 1 };
    let at_ms = integer(&words[2])?
        .checked_mul(unit_ms)
        .and_then(|span| span.checked_add_unsigned(now_ms))
        .ok_or(CommandError::ExpireTime { command: spec.name })?;
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in &words[3..] {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GT" => gt = true,
            b"LT" => lt = true,
            _ => {
                let name = String::from_utf8_lossy(word).into_owned();
                return Err(CommandError::UnsupportedOption { name });
            }
        }
    }
    let condition = match (nx, xx, gt, lt) {
        (true, false, false, false) => ExpireCondition::IfNone,
        (true, ..) => return Err(CommandError::ExpireNxWithOthers),
        (_, _, true, true) => return Err(CommandError::ExpireGtWithLt),
        (_, _, true, false) => ExpireCondition::IfSomeAndLater,
        (_, false, false, true) => ExpireCondition::IfSooner,
        (_, true, false, true) => ExpireCondition::IfSomeAndSooner,
        (_, true, ..) => ExpireCondition::IfSome,
        (_, false, false, false) => ExpireCondition::Always,
    };
    Ok(Write::Expire { key: words[1].clone(), at_ms, condition })
}

/// A positive expiry, made absolute.
fn expiry(
    command: &'static str,
    word: &[u8],
    unit_ms: u64,
    from_ms: u64,
) -> Result<u64, CommandError> {
    u64::try_from(integer(word)?)
        .ok()
        .filter(|&count| count > 0)
        .and_then(|count| count.checked_mul(unit_ms))
        .and_then(|span| span.checked_add(from_ms))
        .filter(|&at| i64::try_from(at).is_ok())
        .ok_or(CommandError::ExpireTime { command })
}

/// An integer as redis reads it: nothing but an optional minus and digits, no leading zeros.
pub(crate) fn integer(word: &[u8]) -> Result<i64, CommandError> {
    let text = std::str::from_utf8(word).map_err(|_| CommandError::NotAnInteger)?;
    let number: i64 = text.parse().map_err(|_| CommandError::NotAnInteger)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && (digits == "0" && !text.starts_with('-') || !digits.starts_with('0'));
    if is_plain { Ok(number) } else { Err(CommandError::NotAnInteger) }
}

#[cfg(test)]
#[path = "parse_test.rs"]
mod parse_test;
