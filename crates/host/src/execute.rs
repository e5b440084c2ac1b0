//! Operations on keys, executed.
//!
//! Responsible for: what each operation does to the store and answers. Each write decides and
//! writes under the stripes of its keys (V2).
//! Must not: count. The dispatcher has done so, or does so with the lengths returned here.
//! Proof: `commands_test.rs`.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::error::CommandError;
use crate::frame::MAX_FRAME_BYTES;
use crate::kv::{Edit, Kv};
use crate::parse::{
    ExpireCondition, Expiry, ReadKind, SetAnswer, SetCondition, SetOptions, Write, integer,
};
use crate::reply::Reply;
use crate::value::Stored;

/// The most bytes of values in one answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 512 << 20;

type Answer = Result<Reply, CommandError>;

/// How many bytes a read of this kind hands out of what it found: the value's length where the
/// value itself is the answer, else 0.
pub(crate) fn read_len(kind: ReadKind, found: Option<&Stored>) -> usize {
    match (kind, found) {
        (ReadKind::Value | ReadKind::Values, Some(stored)) => stored.data.len(),
        _ => 0,
    }
}

/// The answer to a read that found this, one entry a key.
pub(crate) fn read_answer(kind: ReadKind, found: Vec<Option<Stored>>, now_ms: u64) -> Reply {
    let value = |stored: Option<Stored>| stored.map_or(Reply::Null, |s| Reply::Bulk(s.data));
    match kind {
        ReadKind::Values => Reply::Array(found.into_iter().map(value).collect()),
        ReadKind::Exists => Reply::count(found.iter().flatten().count()),
        ReadKind::Value => value(found.into_iter().next().flatten()),
        ReadKind::Length => {
            Reply::count(found.first().and_then(Option::as_ref).map_or(0, |s| s.data.len()))
        }
        ReadKind::Type => match found.first() {
            Some(Some(_)) => Reply::Simple("string"),
            _ => Reply::Simple("none"),
        },
        ReadKind::TimeToLive { unit_ms } => match found.first().and_then(Option::as_ref) {
            None => Reply::Int(-2),
            Some(Stored { expires_ms: None, .. }) => Reply::Int(-1),
            Some(Stored { expires_ms: Some(at), .. }) => {
                // Rounded to the nearest unit, as redis does.
                let left_ms = at.saturating_sub(now_ms);
                Reply::Int((left_ms.saturating_add(unit_ms / 2) / unit_ms) as i64)
            }
        },
    }
}

/// Executes a write.
pub(crate) fn write(kv: &Kv, write: &Write) -> Answer {
    kv.locked(write.touches().iter().map(|(key, _)| key), || match write {
        Write::Set { key, value, options } => set(kv, key, value, *options),
        Write::SetMany { pairs, only_if_all_absent } => set_many(kv, pairs, *only_if_all_absent),
        Write::Delete { keys } => delete(kv, keys),
        Write::DeleteAndGet { key } => match kv.get(key)? {
            None => Ok(Reply::Null),
            Some(old) => {
                kv.edit(key, &Edit::Delete)?;
                Ok(Reply::Bulk(old.data))
            }
        },
        Write::Add { key, delta } => add(kv, key, *delta),
        Write::Append { key, value } => append(kv, key, value),
        Write::Expire { key, at_ms, condition } => expire(kv, key, *at_ms, *condition),
        Write::Persist { key } => match kv.get(key)? {
            Some(old) if old.expires_ms.is_some() => {
                kv.edit(key, &Edit::Put(Stored { expires_ms: None, ..old }))?;
                Ok(Reply::Int(1))
            }
            _ => Ok(Reply::Int(0)),
        },
    })
}

fn set(kv: &Kv, key: &[u8], value: &Bytes, options: SetOptions) -> Answer {
    let is_plain = options.condition == SetCondition::Always
        && options.answer == SetAnswer::Ok
        && options.expiry != Expiry::Keep;
    let old = if is_plain { None } else { kv.get(key)? };
    let is_met = match options.condition {
        SetCondition::Always => true,
        SetCondition::IfAbsent => old.is_none(),
        SetCondition::IfPresent => old.is_some(),
    };
    if is_met {
        let expires_ms = match options.expiry {
            Expiry::Never => None,
            Expiry::Keep => old.as_ref().and_then(|old| old.expires_ms),
            Expiry::At(ms) => Some(ms),
        };
        kv.edit(key, &Edit::Put(Stored { data: value.clone(), expires_ms }))?;
    }
    Ok(match (options.answer, is_met) {
        (SetAnswer::Ok, true) => Reply::OK,
        (SetAnswer::Ok, false) => Reply::Null,
        (SetAnswer::Flag, _) => Reply::Int(i64::from(is_met)),
        (SetAnswer::Old, _) => old.map_or(Reply::Null, |old| Reply::Bulk(old.data)),
    })
}

fn set_many(kv: &Kv, pairs: &[(Bytes, Bytes)], only_if_all_absent: bool) -> Answer {
    if only_if_all_absent {
        for (key, _) in pairs {
            if kv.get(key)?.is_some() {
                return Ok(Reply::Int(0));
            }
        }
    }
    let put = |value: &Bytes| Edit::Put(Stored { data: value.clone(), expires_ms: None });
    kv.edit_all(pairs.iter().map(|(key, value)| (&key[..], put(value))))?;
    Ok(if only_if_all_absent { Reply::Int(1) } else { Reply::OK })
}

fn delete(kv: &Kv, keys: &[Bytes]) -> Answer {
    let mut present: Vec<&[u8]> = Vec::new();
    for key in keys {
        if kv.get(key)?.is_some() {
            present.push(key);
        }
    }
    present.sort_unstable();
    present.dedup();
    kv.edit_all(present.iter().map(|&key| (key, Edit::Delete)))?;
    Ok(Reply::count(present.len()))
}

fn add(kv: &Kv, key: &[u8], delta: i64) -> Answer {
    let old = kv.get(key)?;
    let number = old.as_ref().map_or(Ok(0), |old| integer(&old.data))?;
    let sum = number.checked_add(delta).ok_or(CommandError::Overflow)?;
    let expires_ms = old.and_then(|old| old.expires_ms);
    kv.edit(key, &Edit::Put(Stored { data: sum.to_string().into(), expires_ms }))?;
    Ok(Reply::Int(sum))
}

fn append(kv: &Kv, key: &[u8], value: &[u8]) -> Answer {
    let old = kv.get(key)?;
    let old_len = old.as_ref().map_or(0, |old| old.data.len());
    if old_len + value.len() > MAX_FRAME_BYTES {
        return Err(CommandError::TooLong);
    }
    let mut data = BytesMut::with_capacity(old_len + value.len());
    let expires_ms = old.as_ref().and_then(|old| old.expires_ms);
    data.put_slice(old.as_ref().map_or(b"", |old| &old.data));
    data.put_slice(value);
    let len = data.len();
    kv.edit(key, &Edit::Put(Stored { data: data.freeze(), expires_ms }))?;
    Ok(Reply::count(len))
}

fn expire(kv: &Kv, key: &[u8], at_ms: i64, condition: ExpireCondition) -> Answer {
    let Some(old) = kv.get(key)? else { return Ok(Reply::Int(0)) };
    let new_ms = u64::try_from(at_ms).unwrap_or(0);
    let is_met = match condition {
        ExpireCondition::Always => true,
        ExpireCondition::IfNone => old.expires_ms.is_none(),
        ExpireCondition::IfSome => old.expires_ms.is_some(),
        ExpireCondition::IfSomeAndLater => old.expires_ms.is_some_and(|ms| new_ms > ms),
        ExpireCondition::IfSooner => old.expires_ms.is_none_or(|ms| new_ms < ms),
        ExpireCondition::IfSomeAndSooner => old.expires_ms.is_some_and(|ms| new_ms < ms),
    };
    if !is_met {
        return Ok(Reply::Int(0));
    }
    let edit = if new_ms <= kv.now_ms() {
        Edit::Delete
    } else {
        Edit::Put(Stored { expires_ms: Some(new_ms), ..old })
    };
    kv.edit(key, &edit)?;
    Ok(Reply::Int(1))
}

/// Adds to the bytes of an answer in the making.
pub(crate) fn grow_answer(total: &mut usize, by: usize) -> Result<(), CommandError> {
    *total = total.saturating_add(by);
    if *total > MAX_ANSWER_BYTES {
        return Err(CommandError::AnswerTooLarge { limit_bytes: MAX_ANSWER_BYTES });
    }
    Ok(())
}
