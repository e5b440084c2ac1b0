//! The one dispatch point: parse, resolve the route, observe, execute.
//!
//! Rules of counting (offered load, contract section 9):
//! - A write is observed once per key before it executes, with the length of the value it brings:
//!   0 for DEL, UNLINK, GETDEL, EXPIRE, PERSIST, and for INCR and its relatives, whose result is
//!   not known before they run. SET with GET, GETSET and GETDEL are one write and no read.
//! - A read is observed once per key when its outcome is known, with the value's length where the
//!   value is the answer (GET, MGET), else 0 (absent, expired, EXISTS, STRLEN, TTL, TYPE).
//! - Failures count: a condition that is not met, a value that is no integer, a store that fails.
//!   What cannot be parsed reaches no range and does not count.
//! - SCAN, KEYS, DBSIZE, FLUSHALL and everything that touches no key is not observed.
//! - `!admin|` keys are absent to reads, refused to writes (the whole command, and counted for
//!   INFO), and never observed.
//!
//! Invariants: the routes of a command are resolved once, under a guard that is held until it has
//! executed (G1); nothing else in this crate observes (D1).
//! Proof: `dispatch_test.rs` (what each command counts), `commands_test.rs` (what it answers).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use keyviz_lineage::column::MAX_KEY_BYTES;
use keyviz_sampler::Op;

use crate::command::{Access, COMMANDS, Spec, find};
use crate::cursors::Cursors;
use crate::error::CommandError;
use crate::execute::{self, grow_answer};
use crate::info::Facts;
use crate::keys::is_reserved;
use crate::kv::Kv;
use crate::observed::Observed;
use crate::outbox::Outbox;
use crate::parse::{self, Words};
use crate::ranges::Ranges;
use crate::reply::{Protocol, Reply};
use crate::{connection_commands, sweep_commands};

/// What a connection has told about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) name: Bytes,
    pub(crate) protocol: Protocol,
    /// It asked to be closed once its answer is out.
    pub(crate) is_closing: bool,
}

/// How often a command was called.
#[derive(Debug, Default)]
pub(crate) struct CommandStats {
    /// With the right number of words.
    pub(crate) calls: AtomicU64,
    /// Of these, answered with an error.
    pub(crate) failed: AtomicU64,
    /// With a wrong number of words.
    pub(crate) rejected: AtomicU64,
}

/// Counters for INFO.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// As long as the table of commands, and in its order.
    pub(crate) commands: Vec<CommandStats>,
    pub(crate) reserved_refused: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) connected: AtomicU64,
}

/// Everything that commands work on.
pub(crate) struct Dispatcher {
    pub(crate) kv: Kv,
    pub(crate) ranges: Ranges,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) cursors: Cursors,
    pub(crate) stats: Stats,
    pub(crate) facts: Facts,
    pub(crate) observed: Observed,
}

impl Dispatcher {
    pub(crate) fn new(
        kv: Kv,
        ranges: Ranges,
        outbox: Arc<Outbox>,
        facts: Facts,
        observed: Observed,
    ) -> Self {
        let commands = COMMANDS.iter().map(|_| CommandStats::default()).collect();
        let (cursors, stats) = (Cursors::default(), Stats { commands, ..Stats::default() });
        Self { kv, ranges, outbox, cursors, stats, facts, observed }
    }

    /// Answers one command. `words` is never empty.
    pub(crate) fn call(&self, session: &mut Session, words: Words) -> Reply {
        let Some(index) = find(&words[0]) else { return unknown_command(&words).into() };
        let (spec, stats) = (&COMMANDS[index], &self.stats.commands[index]);
        if !spec.takes(words.len()) {
            stats.rejected.fetch_add(1, Ordering::Relaxed);
            return CommandError::Arity { command: spec.name.to_owned() }.into();
        }
        stats.calls.fetch_add(1, Ordering::Relaxed);
        let answer = match spec.access {
            Access::Read => self.read(spec, words),
            Access::Write => self.write(spec, words),
            Access::Sweep => {
                // May take long: other connections of this worker go on elsewhere.
                tokio::task::block_in_place(|| sweep_commands::run(self, spec.command, &words))
            }
            Access::Server => connection_commands::run(self, session, spec.command, &words),
        };
        answer.unwrap_or_else(|error| {
            stats.failed.fetch_add(1, Ordering::Relaxed);
            error.into()
        })
    }

    fn read(&self, spec: &Spec, mut keys: Words) -> Result<Reply, CommandError> {
        keys.remove(0);
        let kind = parse::read_kind(spec.command);
        let routes = self.ranges.resolve();
        let (mut found, mut answer_bytes, mut failure) = (Vec::with_capacity(keys.len()), 0, None);
        for key in &keys {
            if is_reserved(key) {
                found.push(None);
                continue;
            }
            let route = routes.of(key);
            let outcome = match failure {
                // The rest of a command that has failed was offered, too.
                Some(_) => Ok(None),
                None => self.kv.get(key),
            };
            let len = outcome.as_ref().map_or(0, |got| execute::read_len(kind, got.as_ref()));
            route.observe(key, Op::Read, len);
            match outcome {
                Ok(got) => found.push(got),
                Err(error) => failure = Some(CommandError::from(error)),
            }
            if let Err(error) = grow_answer(&mut answer_bytes, len) {
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(execute::read_answer(kind, found, self.kv.now_ms())),
        }
    }

    fn write(&self, spec: &'static Spec, words: Words) -> Result<Reply, CommandError> {
        let write = parse::write(spec, words, self.kv.now_ms())?;
        for (key, _) in write.touches().iter() {
            if is_reserved(key) {
                self.stats.reserved_refused.fetch_add(1, Ordering::Relaxed);
                return Err(CommandError::Reserved { command: spec.name });
            }
            if key.len() > MAX_KEY_BYTES {
                let (bytes, limit_bytes) = (key.len(), MAX_KEY_BYTES);
                return Err(CommandError::KeyTooLong { bytes, limit_bytes });
            }
        }
        let routes = self.ranges.resolve();
        for (key, value_len) in write.touches().iter() {
            routes.of(key).observe(key, Op::Write, value_len);
        }
        let answer = execute::write(&self.kv, &write);
        drop(routes);
        answer
    }
}

/// In redis's words: at most 128 bytes of the name, and of the words behind it.
fn unknown_command(words: &[Bytes]) -> CommandError {
    let cut = |word: &[u8], most: usize| {
        String::from_utf8_lossy(&word[..word.len().min(most)]).into_owned()
    };
    let mut args = String::new();
    for word in &words[1..] {
        let Some(left) = 128usize.checked_sub(args.len()).filter(|&left| left > 0) else { break };
        args.push_str(&format!("'{}' ", cut(word, left)));
    }
    CommandError::UnknownCommand { name: cut(&words[0], 128), args }
}

#[cfg(test)]
#[path = "commands_test.rs"]
mod commands_test;
#[cfg(test)]
#[path = "dispatch_test.rs"]
mod dispatch_test;
