use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    id: IdArgs,
}

/// What `keyviz id <line>` prints, or says instead.
fn said(line: &str) -> Result<String, String> {
    let parsed = Cli::try_parse_from(["id"].into_iter().chain(line.split_whitespace()));
    let parsed = parsed.map_err(|error| error.to_string())?;
    let answer = match parsed.id.command {
        IdCommand::Derive(args) => args.answer(),
        IdCommand::Explain(args) => args.answer(),
    };
    answer.map_err(|error| error.to_string())
}

/// Contract section 3.
const VECTORS: [(u64, u64, &str, u64, &str); 4] = [
    (
        114688000000000000,
        1,
        "000102030405060708090a0b0c0d0e0f",
        0,
        "01977420-dc00-7000-83cb-469d7667bba3",
    ),
    (
        114688000000000000,
        1,
        "000102030405060708090a0b0c0d0e0f",
        1,
        "01977420-dc00-7000-87cb-469d7667bba3",
    ),
    (
        114688000000043981,
        7,
        "00112233445566778899aabbccddeeff",
        0,
        "01977420-dc00-7abc-b605-f5d0fa1d6342",
    ),
    (
        114688000000065535,
        u64::MAX,
        "ffffffffffffffffffffffffffffffff",
        1,
        "01977420-dc01-7000-81b3-0448dc92f4fe",
    ),
];

#[test]
fn the_vectors_of_the_contract_are_derived_and_explained() {
    for (hlc, group, proposal, ordinal, id) in VECTORS {
        let line =
            format!("derive --hlc {hlc} --group {group} --proposal {proposal} --ordinal {ordinal}");
        assert_eq!(said(&line).unwrap(), id);
        let parts = Hlc(hlc);
        let as_uuid = Uuid::parse_str(proposal).unwrap().hyphenated();
        let other = format!(
            "derive --hlc {parts} --group {group} --proposal {as_uuid} --ordinal {ordinal}"
        );
        assert_eq!(said(&other).unwrap(), id);
        let derived: Value =
            serde_json::from_str(&said(&format!("{line} -o json")).unwrap()).unwrap();
        assert_eq!((&derived["id"], &derived["proposal_id"]), (&json!(id), &json!(proposal)));
        assert_eq!((&derived["group_id"], &derived["ordinal"]), (&json!(group), &json!(ordinal)));
        let explained: Value =
            serde_json::from_str(&said(&format!("explain {id} -o json")).unwrap()).unwrap();
        assert_eq!(explained["hlc"], json!(hlc + ordinal));
        assert_eq!(explained["unix_ms"], json!((hlc + ordinal) >> 16));
        assert_eq!(explained["logical"], json!((hlc + ordinal) & 0xffff));
    }
}

#[test]
fn an_explanation_names_time_clock_and_tail() {
    let text = said("explain 01977420-dc00-7abc-b605-f5d0fa1d6342").unwrap();
    assert_eq!(
        text,
        "01977420-dc00-7abc-b605-f5d0fa1d6342 is a lineage id (UUID version 7)\n\
         \x20 time  2025-06-15T15:06:40.000Z (1750000000000 ms after 1970)\n\
         \x20 hlc   114688000000043981 (1750000000000 ms, logical 43981)\n\
         \x20 tail  205f5d0fa1d6342 (58 bits of BLAKE2b-256 over group and proposal)"
    );
}

#[test]
fn a_bucket_is_said_to_be_one() {
    let id = id::digest_id(b"bounds");
    for line in [format!("explain {id}"), format!("explain virtual:{id}")] {
        let text = said(&line).unwrap();
        assert!(text.contains("virtual bucket") && text.contains("version 8"), "{text}");
    }
    let explained: Value =
        serde_json::from_str(&said(&format!("explain {id} -o json")).unwrap()).unwrap();
    assert_eq!(explained, json!({ "id": id, "kind": "digest", "version": 8 }));
}

#[test]
fn what_keyviz_did_not_make_is_named() {
    for (id, name) in [
        ("00000000-0000-0000-0000-000000000000", "the nil UUID"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "the max UUID"),
        ("6fa459ea-ee8a-4ca4-894e-db77e160355e", "a UUID of version 4 (random)"),
        ("6fa459ea-ee8a-1ca4-894e-db77e160355e", "a UUID of version 1 (time and node)"),
        ("6fa459ea-ee8a-4ca4-c94e-db77e160355e", "a UUID of variant Microsoft (a GUID)"),
        ("6fa459ea-ee8a-4ca4-094e-db77e160355e", "a UUID of variant NCS (reserved)"),
        (
            "6fa459ea-ee8a-7ca4-e94e-db77e160355e",
            "a UUID of a variant that is reserved for the future",
        ),
    ] {
        let text = said(&format!("explain {id}")).unwrap_err();
        assert!(
            text.starts_with(&format!("{id} is {name}; keyviz makes ids of version 7")),
            "{text}"
        );
        assert_eq!(said(&format!("explain {id} -o json")), Err(text));
    }
    let text = said("explain route:7").unwrap_err();
    assert!(text.contains("<UUID>") && text.contains("route:7"), "{text}");
}

#[test]
fn bad_input_is_refused_by_the_name_of_its_flag() {
    let derive = |hlc: &str, group: &str, proposal: &str, more: &str| {
        said(&format!("derive --hlc {hlc} --group {group} --proposal {proposal} {more}"))
            .unwrap_err()
    };
    let proposal = VECTORS[0].2;
    for (text, flag, why) in [
        (
            derive("1", "1", "0001", ""),
            "--proposal",
            "16 bytes (32 hexadecimal digits), and this is 2",
        ),
        (derive("1", "1", "xyz", ""), "--proposal", "32 hexadecimal digits"),
        (derive("1", "1", &format!("{proposal}00"), ""), "--proposal", "and this is 17"),
        (derive("1", "1", "01977420-dc00-7000-83cb-469d7667bbag", ""), "--proposal", "invalid"),
        (derive("1", "0", proposal, ""), "--group", "group 0 is reserved"),
        (derive("1", "18446744073709551616", proposal, ""), "--group", "2^64 - 1"),
        (derive("18446744073709551616", "1", proposal, ""), "--hlc", "below 2^64"),
        (derive("1.65536", "1", proposal, ""), "--hlc", "below 65536"),
        (derive("281474976710656.0", "1", proposal, ""), "--hlc", "below 2^64"),
        (
            derive("18446744073709551615", "1", proposal, "--ordinal 1"),
            "--ordinal",
            "more than 2^64 - 1",
        ),
        (derive("1", "1", proposal, "--ordinal last"), "--ordinal", "last"),
    ] {
        assert!(text.contains(flag) && text.contains(why), "{flag} {why}: {text}");
    }
    let last = format!("derive --hlc {} --group 1 --proposal {proposal}", u64::MAX);
    assert_eq!(said(&last).unwrap().split('-').next(), Some("ffffffff"));
}
