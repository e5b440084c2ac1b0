//! Commands about the connection and the server. They touch no key.
//!
//! Responsible for: PING, ECHO, SELECT, HELLO, AUTH, QUIT, RESET, CLIENT, COMMAND, CONFIG, TIME.
//! Proof: `commands_test.rs`, `tests/redis_clients.rs`.

use bytes::Bytes;

use crate::command::{Access, COMMANDS, Command, Spec, find};
use crate::dispatch::{Dispatcher, Session};
use crate::error::CommandError;
use crate::frame::MAX_FRAME_BYTES;
use crate::glob;
use crate::info::REDIS_VERSION;
use crate::parse::integer;
use crate::reply::{Protocol, Reply};

type Answer = Result<Reply, CommandError>;

/// Answers a command whose number of words is right.
pub(crate) fn run(
    host: &Dispatcher,
    session: &mut Session,
    command: Command,
    words: &[Bytes],
) -> Answer {
    match command {
        Command::Ping => match words {
            [_] => Ok(Reply::Simple("PONG")),
            [_, text] => Ok(Reply::Bulk(text.clone())),
            _ => Err(CommandError::Arity { command: "ping".to_owned() }),
        },
        Command::Echo => Ok(Reply::Bulk(words[1].clone())),
        Command::Select => match integer(&words[1])? {
            0 => Ok(Reply::OK),
            _ => Err(CommandError::DbIndex),
        },
        Command::Hello => hello(session, words),
        Command::Auth => match words {
            [_, _] => Err(CommandError::NoPassword),
            [_, user, _] => log_in(user).map(|()| Reply::OK),
            _ => Err(CommandError::Syntax),
        },
        Command::Quit => {
            session.is_closing = true;
            Ok(Reply::OK)
        }
        Command::Reset => {
            *session = Session { id: session.id, ..Session::default() };
            Ok(Reply::Simple("RESET"))
        }
        Command::Client => client(session, words),
        Command::ListCommands => list_commands(words),
        Command::Config => config(host, words),
        _ => {
            let now_ms = host.kv.now_ms();
            let seconds = Reply::bulk((now_ms / 1_000).to_string());
            Ok(Reply::Array(vec![seconds, Reply::bulk((now_ms % 1_000 * 1_000).to_string())]))
        }
    }
}

/// There are no passwords: the default user may do everything, no other user exists.
fn log_in(user: &[u8]) -> Result<(), CommandError> {
    if user == b"default" { Ok(()) } else { Err(CommandError::WrongPass) }
}

fn hello(session: &mut Session, words: &[Bytes]) -> Answer {
    let mut protocol = session.protocol;
    if let Some(version) = words.get(1) {
        protocol = match integer(version).map_err(|_| CommandError::ProtocolNotAnInteger)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(CommandError::Protocol),
        };
    }
    let mut rest = words.get(2..).unwrap_or_default();
    let mut name = None;
    while let [option, after @ ..] = rest {
        rest = match (option.to_ascii_uppercase().as_slice(), after) {
            (b"AUTH", [user, _, after @ ..]) => {
                log_in(user)?;
                after
            }
            (b"SETNAME", [new, after @ ..]) => {
                name = Some(valid_name(new)?);
                after
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    session.protocol = protocol;
    session.name = name.unwrap_or_else(|| session.name.clone());
    let field = |name: &'static str, value| (Reply::bulk(name), value);
    Ok(Reply::Map(vec![
        field("server", Reply::bulk("keyviz-host")),
        field("version", Reply::bulk(REDIS_VERSION)),
        field("proto", Reply::Int(if protocol == Protocol::Resp3 { 3 } else { 2 })),
        field("id", Reply::Int(session.id as i64)),
        field("mode", Reply::bulk("standalone")),
        field("role", Reply::bulk("master")),
        field("modules", Reply::Array(Vec::new())),
    ]))
}

fn valid_name(name: &Bytes) -> Result<Bytes, CommandError> {
    let is_valid = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    if is_valid { Ok(name.clone()) } else { Err(CommandError::ClientName) }
}

fn subcommand_arity(command: &str, words: &[Bytes]) -> CommandError {
    let subcommand = String::from_utf8_lossy(&words[1]).to_lowercase();
    CommandError::Arity { command: format!("{command}|{subcommand}") }
}

fn unknown_subcommand(command: &'static str, words: &[Bytes]) -> CommandError {
    let name = String::from_utf8_lossy(&words[1][..words[1].len().min(128)]).into_owned();
    CommandError::UnknownSubcommand { name, command }
}

fn client(session: &mut Session, words: &[Bytes]) -> Answer {
    match (words[1].to_ascii_uppercase().as_slice(), words.len()) {
        (b"SETNAME", 3) => {
            session.name = valid_name(&words[2])?;
            Ok(Reply::OK)
        }
        (b"GETNAME", 2) if session.name.is_empty() => Ok(Reply::Null),
        (b"GETNAME", 2) => Ok(Reply::Bulk(session.name.clone())),
        (b"ID", 2) => Ok(Reply::Int(session.id as i64)),
        // What a client library says about itself is of no use here.
        (b"SETINFO", 4) => Ok(Reply::OK),
        (b"SETNAME" | b"GETNAME" | b"ID" | b"SETINFO", _) => Err(subcommand_arity("client", words)),
        _ => Err(unknown_subcommand("CLIENT", words)),
    }
}

fn list_commands(words: &[Bytes]) -> Answer {
    let Some(subcommand) = words.get(1) else {
        return Ok(Reply::Array(COMMANDS.iter().map(described).collect()));
    };
    match (subcommand.to_ascii_uppercase().as_slice(), words.len()) {
        (b"COUNT", 2) => Ok(Reply::count(COMMANDS.len())),
        (b"LIST", 2) => {
            Ok(Reply::Array(COMMANDS.iter().map(|spec| Reply::bulk(spec.name)).collect()))
        }
        (b"INFO", 2) => Ok(Reply::Array(COMMANDS.iter().map(described).collect())),
        (b"INFO", _) => {
            let one = |name: &Bytes| find(name).map_or(Reply::Null, |at| described(&COMMANDS[at]));
            Ok(Reply::Array(words[2..].iter().map(one).collect()))
        }
        // No texts: clients fall back to their own.
        (b"DOCS", _) => Ok(Reply::Map(Vec::new())),
        (b"COUNT" | b"LIST", _) => Err(subcommand_arity("command", words)),
        _ => Err(unknown_subcommand("COMMAND", words)),
    }
}

/// Name, arity, flags, first key, last key, step.
fn described(spec: &Spec) -> Reply {
    let flags = match spec.access {
        Access::Read => vec![Reply::Simple("readonly")],
        Access::Write => vec![Reply::Simple("write")],
        Access::Sweep => vec![Reply::Simple("admin")],
        Access::Server => vec![Reply::Simple("fast")],
    };
    let (first, last, step) = spec.keys;
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Int(i64::from(spec.arity)),
        Reply::Array(flags),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
    ])
}

fn config(host: &Dispatcher, words: &[Bytes]) -> Answer {
    if !words[1].eq_ignore_ascii_case(b"get") {
        return Err(unknown_subcommand("CONFIG", words));
    }
    if words.len() < 3 {
        return Err(subcommand_arity("config", words));
    }
    let settings = [
        ("appendfsync", "no".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", "1".to_owned()),
        ("maxclients", host.facts.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("port", host.facts.port.to_string()),
        ("proto-max-bulk-len", MAX_FRAME_BYTES.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let is_asked = |name: &str| {
        let mut patterns = words[2..].iter();
        patterns.any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let found = settings.into_iter().filter(|(name, _)| is_asked(name));
    Ok(Reply::Map(found.map(|(name, value)| (Reply::bulk(name), Reply::bulk(value))).collect()))
}
