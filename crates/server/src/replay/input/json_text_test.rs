//! Values as written, compared with `serde_json`.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

#[test]
fn values_are_returned_as_written() {
    let object = r#" { "a" : 1700000000.1234567890123 , "b":"x\"}y","c":{"d":[1,{"e":"]"}],"f":-1e3},"g":null}"#;
    assert_eq!(lookup(object, "a"), Some("1700000000.1234567890123"));
    assert_eq!(lookup(object, "b"), Some(r#""x\"}y""#));
    assert_eq!(lookup(object, "c.d"), Some(r#"[1,{"e":"]"}]"#));
    assert_eq!(lookup(object, "c.f"), Some("-1e3"));
    assert_eq!(lookup(object, "g"), Some("null"));
    for missing in ["d", "c.e", "a.b", "c.", ".c", "", "c.d.e", "g.a"] {
        assert_eq!(lookup(object, missing), None, "{missing}");
    }
    assert_eq!(names(object).collect::<Vec<_>>(), ["a", "b", "c", "g"]);
}

#[test]
fn a_name_with_dots_comes_before_a_path() {
    let object = r#"{"a.b":1,"a":{"b":2,"c.d":3},"e":{"f":4}}"#;
    assert_eq!(lookup(object, "a.b"), Some("1"));
    assert_eq!(lookup(object, "a.c.d"), Some("3"));
    assert_eq!(lookup(object, "e.f"), Some("4"));
}

#[test]
fn names_are_compared_decoded_and_the_last_counts() {
    assert_eq!(lookup(r#"{"\u006bey":1}"#, "key"), Some("1"));
    assert_eq!(lookup(r#"{"k":1,"k":2}"#, "k"), Some("2"));
    assert_eq!(lookup("{}", "k"), None);
}

#[test]
fn strings_are_decoded() {
    assert_eq!(decode_string(r#""abc""#).as_deref(), Some("abc"));
    assert_eq!(decode_string(r#""a\"\u00e9\ud83d\ude00""#).as_deref(), Some("a\"é😀"));
    assert_eq!(decode_string(r#""\ud83d""#), None);
    assert_eq!(decode_string("\""), None);
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop::collection::vec(any::<char>(), 0..6).prop_map(String::from_iter);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_member_is_found(
        values in prop::collection::vec(value(), 0..6),
        pretty in any::<bool>(),
    ) {
        let members: Map<String, Value> =
            values.into_iter().enumerate().map(|(i, value)| (format!("\"n\\{i}"), value)).collect();
        let object = Value::Object(members.clone());
        let text = if pretty { format!("{object:#}") } else { object.to_string() };
        for (name, value) in &members {
            let found = lookup(&text, name).expect("a member");
            prop_assert_eq!(&serde_json::from_str::<Value>(found).expect("JSON"), value);
        }
        prop_assert_eq!(names(&text).count(), members.len());
    }

    #[test]
    fn anything_else_does_not_panic(text in prop::collection::vec(
        prop::sample::select(vec!['{', '}', '[', ']', '"', '\\', ',', ':', ' ', 'a', '1', 'é']), 0..40,
    )) {
        let text: String = text.into_iter().collect();
        let _ = (lookup(&text, "a"), lookup(&text, "a.a"), names(&text).count());
        let _ = decode_string(&text);
    }
}
