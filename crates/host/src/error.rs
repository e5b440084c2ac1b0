//! What can go wrong: [`HostError`] for the operator, [`CommandError`] for the client.
//!
//! Responsible for: messages that name the thing, the reason and what to do. A [`CommandError`]
//! prints as the text behind RESP's `-`, in redis's own words where redis has such an error.
//! Proof: `commands_test.rs`, `config_test.rs`, `tests/process.rs`.

use std::io;
use std::path::PathBuf;

use keyviz_lineage::{GroupId, RouteId};
use thiserror::Error;

/// Why the host cannot start or cannot keep a change.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error("cannot {action} {}: {source}; check that the path exists and that this user may write there", path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("data dir {} is in use by another keyviz-host; stop it or choose another --data-dir", path.display())]
    Locked { path: PathBuf },
    #[error("data dir {} holds {found:?}, which keyviz-host did not write; choose an empty folder for --data-dir", path.display())]
    Foreign { path: PathBuf, found: String },
    #[error("data dir {} has format {found}, this keyviz-host reads format {known}; run a newer keyviz-host", path.display())]
    NewerFormat { path: PathBuf, found: u64, known: u64 },
    #[error("{} is damaged ({reason}); restore the data dir from a backup or start with an empty one", path.display())]
    DamagedFile { path: PathBuf, reason: String },
    #[error("cannot open the database in {}: {source}; restore the data dir from a backup or start with an empty one", path.display())]
    Open { path: PathBuf, source: rocksdb::Error },
    #[error(
        "the database could not {action}: {source}; check the space and the health of the disk"
    )]
    Database { action: &'static str, source: rocksdb::Error },
    #[error("the value of key \"{}\" is damaged ({reason}); restore the data dir from a backup", key.escape_ascii())]
    Damaged { key: Vec<u8>, reason: String },
    #[error(
        "cannot listen on {address}: {source}; stop what holds the address or choose another {flag}"
    )]
    Listen { flag: &'static str, address: String, source: io::Error },
    #[error("{flag}: {reason}")]
    Flag { flag: &'static str, reason: String },
    #[error("the metrics contradict each other: {source}; this is a bug, please report it")]
    Metrics { source: keyviz_observers::prometheus::Error },
    #[error("cannot start the {what}: {source}")]
    Runtime { what: &'static str, source: io::Error },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why the ranges cannot be changed as asked.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CatalogueError {
    #[error("the empty key is the start of the first range already; split at a key inside a range")]
    EmptyKey,
    #[error("\"{}\" is the start of range {route} already; split at a key inside a range", key.escape_ascii())]
    Boundary { key: Vec<u8>, route: RouteId },
    #[error("\"{}\" lies in the reserved namespace '!admin|'; split at a user key", key.escape_ascii())]
    Reserved { key: Vec<u8> },
    #[error("a boundary of {bytes} bytes is too long; the limit is {limit} bytes")]
    TooLong { bytes: usize, limit: usize },
    #[error("boundaries \"{}\" and \"{}\" are out of order or equal; give them ascending", left.escape_ascii(), right.escape_ascii())]
    Unordered { left: Vec<u8>, right: Vec<u8> },
    #[error(
        "range {route} is the last one and has no right neighbour to merge with; merge the range before it"
    )]
    LastRange { route: RouteId },
    #[error(
        "range {left} is in group {left_group} and its right neighbour {right} in group {right_group}; MOVE one of them first"
    )]
    TwoGroups { left: RouteId, left_group: GroupId, right: RouteId, right_group: GroupId },
    #[error("range {route} is in group {group} already; name another group")]
    SameGroup { route: RouteId, group: GroupId },
    #[error("there is no group {group}; start with a larger --groups to have more")]
    UnknownGroup { group: GroupId },
    #[error(
        "the stored ranges do not tile the key space at range {route}; restore the data dir from a backup"
    )]
    NotTiling { route: RouteId },
}

/// Why a command is answered with an error.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR invalid expire time in '{command}' command")]
    ExpireTime { command: &'static str },
    #[error("ERR wrong number of arguments for '{command}' command")]
    Arity { command: String },
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    UnknownCommand { name: String, args: String },
    #[error("ERR unknown subcommand '{name}'. Try {command} HELP.")]
    UnknownSubcommand { name: String, command: &'static str },
    #[error("ERR Unsupported option {name}")]
    UnsupportedOption { name: String },
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNxWithOthers,
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireGtWithLt,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    #[error("ERR a key of {bytes} bytes is too long; the limit is {limit_bytes} bytes")]
    KeyTooLong { bytes: usize, limit_bytes: usize },
    #[error("ERR the answer exceeds {limit_bytes} bytes; ask for fewer keys at once")]
    AnswerTooLarge { limit_bytes: usize },
    #[error("ERR more than {limit} keys match; use SCAN instead of KEYS")]
    TooManyKeys { limit: usize },
    #[error("ERR invalid cursor")]
    Cursor,
    #[error("ERR DB index is out of range")]
    DbIndex,
    #[error("NOPROTO unsupported protocol version")]
    Protocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotAnInteger,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPassword,
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error("ERR '{command}' refused: keys that begin with '!admin|' are reserved for the system")]
    Reserved { command: &'static str },
    #[error("ERR {command}: {source}")]
    Catalogue { command: &'static str, source: CatalogueError },
    #[error("ERR {0}")]
    Host(HostError),
}

impl From<HostError> for CommandError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}
