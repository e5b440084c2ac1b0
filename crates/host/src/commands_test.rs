//! What every command answers, through the dispatch point, on a real database.

use crate::harness_test::{TestHost, strings};
use crate::reply::{Protocol, Reply};

fn check(host: &mut TestHost, cases: &[(&str, Reply)]) {
    for (line, expected) in cases {
        assert_eq!(&host.run(line), expected, "{line}");
    }
}

fn text(text: &str) -> Reply {
    Reply::bulk(text.to_owned())
}

#[test]
fn set_and_its_options() {
    let mut host = TestHost::new();
    check(
        &mut host,
        &[
            ("GET a", Reply::Null),
            ("SET a 1", Reply::OK),
            ("GET a", text("1")),
            ("SET a 2 NX", Reply::Null),
            ("SET a 2 XX", Reply::OK),
            ("SET b 2 XX", Reply::Null),
            ("SET b 2 nx", Reply::OK),
            ("SET a 3 GET", text("2")),
            ("SET a 4 NX GET", text("3")),
            ("SET c 4 NX GET", Reply::Null),
            ("GET c", text("4")),
            ("SETNX a 9", Reply::Int(0)),
            ("SETNX d 9", Reply::Int(1)),
            ("GETSET a 5", text("3")),
            ("GETSET e 5", Reply::Null),
            ("GETDEL a", text("5")),
            ("GETDEL a", Reply::Null),
            ("EXISTS a b b c", Reply::Int(3)),
            ("TYPE b", Reply::Simple("string")),
            ("TYPE a", Reply::Simple("none")),
            ("STRLEN b", Reply::Int(1)),
            ("STRLEN a", Reply::Int(0)),
        ],
    );
}

#[test]
fn several_keys_at_once() {
    let mut host = TestHost::new();
    check(
        &mut host,
        &[
            ("MSET a 1 b 2 a 3", Reply::OK),
            ("MGET a x b", Reply::Array(vec![text("3"), Reply::Null, text("2")])),
            ("MSETNX c 1 b 9", Reply::Int(0)),
            ("EXISTS c", Reply::Int(0)),
            ("MSETNX c 1 d 9", Reply::Int(1)),
            ("DBSIZE", Reply::Int(4)),
            ("DEL a a x", Reply::Int(1)),
            ("UNLINK b c", Reply::Int(2)),
            ("DBSIZE", Reply::Int(1)),
        ],
    );
}

#[test]
fn counters() {
    let mut host = TestHost::new();
    check(
        &mut host,
        &[
            ("INCR n", Reply::Int(1)),
            ("INCRBY n 41", Reply::Int(42)),
            ("DECR n", Reply::Int(41)),
            ("DECRBY n 50", Reply::Int(-9)),
            ("GET n", text("-9")),
            ("SET n 9223372036854775807", Reply::OK),
            ("APPEND s ab", Reply::Int(2)),
            ("APPEND s cd", Reply::Int(4)),
            ("GET s", text("abcd")),
        ],
    );
    assert_eq!(host.error("INCR n"), "ERR increment or decrement would overflow");
    assert_eq!(host.error("INCR s"), "ERR value is not an integer or out of range");
    assert_eq!(host.error("INCRBY n 1x"), "ERR value is not an integer or out of range");
    assert_eq!(host.error("DECRBY n -9223372036854775808"), "ERR decrement would overflow");
}

#[test]
fn expiry() {
    let mut host = TestHost::new();
    check(
        &mut host,
        &[
            ("SET a 1 EX 10", Reply::OK),
            ("TTL a", Reply::Int(10)),
            ("PTTL a", Reply::Int(10_000)),
            ("INCR a", Reply::Int(2)),
            ("TTL a", Reply::Int(10)),
            ("SET a 1 KEEPTTL", Reply::OK),
            ("TTL a", Reply::Int(10)),
            ("PERSIST a", Reply::Int(1)),
            ("PERSIST a", Reply::Int(0)),
            ("TTL a", Reply::Int(-1)),
            ("TTL x", Reply::Int(-2)),
            ("EXPIRE x 5", Reply::Int(0)),
            ("EXPIRE a 5", Reply::Int(1)),
            ("EXPIRE a 9 NX", Reply::Int(0)),
            ("EXPIRE a 9 GT", Reply::Int(1)),
            ("EXPIRE a 9 GT", Reply::Int(0)),
            ("EXPIRE a 3 LT", Reply::Int(1)),
            ("EXPIRE a 3 XX", Reply::Int(1)),
            ("PSETEX b 1500 v", Reply::OK),
            ("SETEX c 2 v", Reply::OK),
            ("SET d v PXAT 1750000001000", Reply::OK),
            ("SET e v", Reply::OK),
            ("EXPIRE e -1", Reply::Int(1)),
            ("DBSIZE", Reply::Int(4)),
        ],
    );
    host.clock.advance(1_600);
    check(&mut host, &[("GET b", Reply::Null), ("GET d", Reply::Null), ("GET c", text("v"))]);
    host.clock.advance(1_400);
    check(
        &mut host,
        &[
            ("GET a", Reply::Null),
            ("DBSIZE", Reply::Int(0)),
            ("SET a 7 NX", Reply::OK),
            ("TTL a", Reply::Int(-1)),
        ],
    );
    assert_eq!(host.error("SET a 1 EX 0"), "ERR invalid expire time in 'set' command");
    assert_eq!(host.error("SETEX a -1 v"), "ERR invalid expire time in 'setex' command");
    assert_eq!(
        host.error("EXPIRE a 9223372036854775807"),
        "ERR invalid expire time in 'expire' command"
    );
}

#[test]
fn scans_see_every_key_once() {
    let mut host = TestHost::new();
    for number in 0..95 {
        host.run(&format!("SET key:{number:03} v"));
    }
    for line in ["SCAN 0 COUNT 7", "SCAN 0", "SCAN 0 MATCH key:0* COUNT 1000"] {
        let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
        let options = line.strip_prefix("SCAN 0").unwrap();
        loop {
            let Reply::Array(parts) = host.run(&format!("SCAN {cursor}{options}")) else {
                panic!()
            };
            let [Reply::Bulk(next), Reply::Array(keys)] = &parts[..] else { panic!() };
            seen.extend(keys.clone());
            cursor = String::from_utf8(next.to_vec()).unwrap();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 95, "{line}");
        seen.dedup();
        assert_eq!(seen.len(), 95, "{line}");
    }
    assert_eq!(host.run("KEYS key:09[34]"), strings(&["key:093", "key:094"]));
    let none = Reply::Array(vec![text("0"), Reply::Array(vec![])]);
    assert_eq!(host.run("SCAN 0 TYPE hash COUNT 1000"), none);
    assert_eq!(host.error("SCAN 12345"), "ERR invalid cursor");
    assert_eq!(host.error("SCAN x"), "ERR invalid cursor");
    assert_eq!(host.error("SCAN 0 COUNT 0"), "ERR syntax error");
    assert_eq!(host.error("SCAN 0 MATCH"), "ERR syntax error");
}

#[test]
fn the_reserved_namespace_is_hidden_and_refused() {
    let mut host = TestHost::new();
    host.run("SET !admim v");
    host.run("SET !admin} v");
    let reserved = "!admin|host|meta|node";
    for line in [
        "SET @ v",
        "SETNX @ v",
        "GETSET @ v",
        "GETDEL @",
        "MSET a 1 @ v",
        "MSETNX a 1 @ v",
        "DEL a @",
        "UNLINK @",
        "INCR @",
        "INCRBY @ 2",
        "APPEND @ v",
        "EXPIRE @ 9",
        "PERSIST @",
        "SETEX @ 9 v",
    ] {
        let error = host.error(&line.replace('@', reserved));
        assert!(error.starts_with("ERR '") && error.contains("reserved"), "{line}: {error}");
    }
    check(
        &mut host,
        &[
            ("GET !admin|host|meta|node", Reply::Null),
            ("MGET !admin|host|meta|node !admim", Reply::Array(vec![Reply::Null, text("v")])),
            ("EXISTS !admin|host|meta|node a", Reply::Int(0)),
            ("TTL !admin|host|meta|node", Reply::Int(-2)),
            ("TYPE !admin|host|meta|node", Reply::Simple("none")),
            ("KEYS *", strings(&["!admim", "!admin}"])),
            ("DBSIZE", Reply::Int(2)),
            ("SCAN 0 COUNT 100", Reply::Array(vec![text("0"), strings(&["!admim", "!admin}"])])),
        ],
    );
    let Reply::Text(info) = host.run("INFO keyviz") else { panic!() };
    assert!(info.contains("keyviz_reserved_refused:14\r\n"), "{info}");
    assert_eq!(host.run("FLUSHALL"), Reply::OK);
    assert_eq!(host.run("DBSIZE"), Reply::Int(0));
    assert_eq!(host.restarted().boot.term, 2, "FLUSHALL left the system's records");
}

#[test]
fn flush_takes_keys_on_both_sides_of_the_namespace() {
    let mut host = TestHost::new();
    host.words(&["SET", "", "empty"]);
    host.run("MSET ! 1 a 2 z 3");
    host.words(&["SET", "\u{10ffff}", "last"]);
    assert_eq!(host.run("DBSIZE"), Reply::Int(5));
    assert_eq!(host.run("FLUSHDB ASYNC"), Reply::OK);
    assert_eq!(host.run("DBSIZE"), Reply::Int(0));
    assert_eq!(host.error("FLUSHDB NOW"), "ERR syntax error");
    assert_eq!(host.run("SET a 1"), Reply::OK);
    assert_eq!(host.run("GET a"), text("1"));
}

#[test]
fn errors_are_in_the_words_of_redis() {
    let mut host = TestHost::new();
    for (line, expected) in [
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("get a b", "ERR wrong number of arguments for 'get' command"),
        ("MSET a", "ERR wrong number of arguments for 'mset' command"),
        ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
        ("SET a 1 EX", "ERR syntax error"),
        ("SET a 1 NX XX", "ERR syntax error"),
        ("SET a 1 EX 1 PX 1", "ERR syntax error"),
        ("SET a 1 EX 1 KEEPTTL", "ERR syntax error"),
        ("SET a 1 EX x", "ERR value is not an integer or out of range"),
        ("FOO", "ERR unknown command 'FOO', with args beginning with: "),
        ("foo a b", "ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        ("DEBUG SLEEP 1", "ERR unknown command 'DEBUG', with args beginning with: 'SLEEP' '1' "),
        ("SELECT 1", "ERR DB index is out of range"),
        ("SELECT x", "ERR value is not an integer or out of range"),
        ("CONFIG SET a b", "ERR unknown subcommand 'SET'. Try CONFIG HELP."),
        ("CONFIG GET", "ERR wrong number of arguments for 'config|get' command"),
        ("CLIENT KILL x", "ERR unknown subcommand 'KILL'. Try CLIENT HELP."),
        ("CLIENT SETNAME", "ERR wrong number of arguments for 'client|setname' command"),
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("HELLO x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 AUTH eve x", "WRONGPASS invalid username-password pair or user is disabled."),
        ("EXPIRE a 1 NX GT", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE a 1 GT LT", "ERR GT and LT options at the same time are not compatible"),
        ("EXPIRE a 1 ZZ", "ERR Unsupported option ZZ"),
    ] {
        assert_eq!(host.error(line), expected, "{line}");
    }
}

#[test]
fn the_connection_commands() {
    let mut host = TestHost::new();
    check(
        &mut host,
        &[
            ("PING", Reply::Simple("PONG")),
            ("PING hi", text("hi")),
            ("ECHO hi", text("hi")),
            ("SELECT 0", Reply::OK),
            ("CLIENT ID", Reply::Int(7)),
            ("CLIENT GETNAME", Reply::Null),
            ("CLIENT SETNAME me", Reply::OK),
            ("CLIENT GETNAME", text("me")),
            ("CLIENT SETINFO LIB-NAME x", Reply::OK),
            ("COMMAND COUNT", Reply::count(crate::command::COMMANDS.len())),
            ("COMMAND DOCS", Reply::Map(vec![])),
            ("CONFIG GET sav?", Reply::Map(vec![(text("save"), text(""))])),
            ("TIME", strings(&["1750000000", "0"])),
        ],
    );
    assert_eq!(host.session.protocol, Protocol::Resp2);
    host.run("HELLO 3 AUTH default pw SETNAME you");
    assert_eq!(host.session.protocol, Protocol::Resp3);
    assert_eq!(host.run("CLIENT GETNAME"), text("you"));
    assert_eq!(host.run("RESET"), Reply::Simple("RESET"));
    assert_eq!(host.session.protocol, Protocol::Resp2);
    assert_eq!(host.run("QUIT"), Reply::OK);
    assert!(host.session.is_closing);
}

#[test]
fn the_table_of_commands_is_sorted_and_complete() {
    let names: Vec<&str> = crate::command::COMMANDS.iter().map(|spec| spec.name).collect();
    assert!(names.is_sorted(), "it is searched by halves");
    for name in names {
        assert!(crate::command::find(name.to_uppercase().as_bytes()).is_some(), "{name}");
    }
    assert!(crate::command::find(b"").is_none());
    assert!(crate::command::find(&[b'x'; 40]).is_none());
}

#[test]
fn info_has_its_sections() {
    let mut host = TestHost::new();
    host.run("SET a 1");
    host.run("GET");
    host.run("INCR a b");
    let Reply::Text(info) = host.run("INFO all") else { panic!() };
    for line in [
        "# Server\r\n",
        "redis_version:7.0.0\r\n",
        "# Keyviz\r\n",
        "keyviz_address:\r\n",
        "keyviz_term:0\r\n",
        "keyviz_ranges:1\r\n",
        "keyviz_catalogue_version:2\r\n",
        "keyviz_columns_sent:0\r\n",
        "cmdstat_set:calls=1,rejected_calls=0,failed_calls=0\r\n",
        "cmdstat_get:calls=0,rejected_calls=1,failed_calls=0\r\n",
    ] {
        assert!(info.contains(line), "{line:?} in {info}");
    }
    let Reply::Text(one) = host.run("INFO stats") else { panic!() };
    assert!(one.starts_with("# Stats\r\n") && !one.contains("Keyviz"), "{one}");
}

#[test]
fn everything_survives_a_restart() {
    let mut host = TestHost::new();
    host.run("MSET a 1 b 2");
    host.run("SET c 3 PX 5000");
    let mut host = host.restarted();
    check(&mut host, &[("GET a", text("1")), ("PTTL c", Reply::Int(5_000))]);
}
