//! The table of commands: names, arity, what they touch.
//!
//! Arity as redis counts it: the name included, negative = at least that many.
//! Proof: `parse_test.rs`, `commands_test.rs`.

/// Every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(crate) enum Command {
    // Reads.
    Get, MGet, Exists, Strlen, Ttl, PTtl, Type,
    // Writes.
    Set, SetNx, SetEx, PSetEx, GetSet, GetDel, MSet, MSetNx, Del, Unlink, Incr, Decr, IncrBy, DecrBy,
    Append, Expire, PExpire, Persist,
    // Scans.
    Scan, Keys, DbSize,
    // The connection and the server.
    Ping, Echo, Select, Hello, Auth, Quit, Reset, Client, ListCommands, Config, Info, Time, FlushAll, FlushDb,
    // The ranges.
    Ranges, Split, Merge, Move,
}

/// What a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Keys, observed as reads.
    Read,
    /// Keys, observed as writes.
    Write,
    /// Many keys or the ranges, not observed; may take long.
    Sweep,
    /// Nothing that is stored.
    Server,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) arity: i32,
    pub(crate) command: Command,
    pub(crate) access: Access,
    /// First key, last key (negative: from the end), step between keys.
    pub(crate) keys: (i64, i64, i64),
}

impl Spec {
    /// Whether `count` words (the name included) are right.
    pub(crate) fn takes(&self, count: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= arity } else { count == arity }
    }
}

const fn spec(
    name: &'static str,
    arity: i32,
    command: Command,
    access: Access,
    keys: (i64, i64, i64),
) -> Spec {
    Spec { name, arity, command, access, keys }
}

const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);
const PAIRS: (i64, i64, i64) = (1, -1, 2);
const NO: (i64, i64, i64) = (0, 0, 0);

/// The table, by name.
pub(crate) static COMMANDS: [Spec; 46] = {
    use Access::{Read, Server, Sweep, Write};
    [
        spec("append", 3, Command::Append, Write, ONE),
        spec("auth", -2, Command::Auth, Server, NO),
        spec("client", -2, Command::Client, Server, NO),
        spec("command", -1, Command::ListCommands, Server, NO),
        spec("config", -2, Command::Config, Server, NO),
        spec("dbsize", 1, Command::DbSize, Sweep, NO),
        spec("decr", 2, Command::Decr, Write, ONE),
        spec("decrby", 3, Command::DecrBy, Write, ONE),
        spec("del", -2, Command::Del, Write, ALL),
        spec("echo", 2, Command::Echo, Server, NO),
        spec("exists", -2, Command::Exists, Read, ALL),
        spec("expire", -3, Command::Expire, Write, ONE),
        spec("flushall", -1, Command::FlushAll, Sweep, NO),
        spec("flushdb", -1, Command::FlushDb, Sweep, NO),
        spec("get", 2, Command::Get, Read, ONE),
        spec("getdel", 2, Command::GetDel, Write, ONE),
        spec("getset", 3, Command::GetSet, Write, ONE),
        spec("hello", -1, Command::Hello, Server, NO),
        spec("incr", 2, Command::Incr, Write, ONE),
        spec("incrby", 3, Command::IncrBy, Write, ONE),
        spec("info", -1, Command::Info, Sweep, NO),
        spec("keys", 2, Command::Keys, Sweep, NO),
        spec("merge", 2, Command::Merge, Sweep, NO),
        spec("mget", -2, Command::MGet, Read, ALL),
        spec("move", 3, Command::Move, Sweep, NO),
        spec("mset", -3, Command::MSet, Write, PAIRS),
        spec("msetnx", -3, Command::MSetNx, Write, PAIRS),
        spec("persist", 2, Command::Persist, Write, ONE),
        spec("pexpire", -3, Command::PExpire, Write, ONE),
        spec("ping", -1, Command::Ping, Server, NO),
        spec("psetex", 4, Command::PSetEx, Write, ONE),
        spec("pttl", 2, Command::PTtl, Read, ONE),
        spec("quit", -1, Command::Quit, Server, NO),
        spec("ranges", 1, Command::Ranges, Sweep, NO),
        spec("reset", 1, Command::Reset, Server, NO),
        spec("scan", -2, Command::Scan, Sweep, NO),
        spec("select", 2, Command::Select, Server, NO),
        spec("set", -3, Command::Set, Write, ONE),
        spec("setex", 4, Command::SetEx, Write, ONE),
        spec("setnx", 3, Command::SetNx, Write, ONE),
        spec("split", 2, Command::Split, Sweep, NO),
        spec("strlen", 2, Command::Strlen, Read, ONE),
        spec("time", 1, Command::Time, Server, NO),
        spec("ttl", 2, Command::Ttl, Read, ONE),
        spec("type", 2, Command::Type, Read, ONE),
        spec("unlink", -2, Command::Unlink, Write, ALL),
    ]
};

/// Where in the table the command called `name` (any case) is.
pub(crate) fn find(name: &[u8]) -> Option<usize> {
    let mut lower = [0u8; 16];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    COMMANDS.binary_search_by(|spec| spec.name.as_bytes().cmp(lower)).ok()
}
