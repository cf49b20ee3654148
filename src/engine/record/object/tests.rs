//! Facts about objects, as they should be and as they should not.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn read(text: &[u8]) -> Option<Object> {
    let mut object = Object::default();
    object.read(text).then_some(object)
}

fn said(text: &str, path: &str) -> Option<String> {
    let object = read(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
    let value = object.get(path)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[test]
fn fields_are_found_by_their_paths() {
    let text = r#" {"a":"x","b" : {"c":[1, {"d":2}],"e":{"f":-1.50e3},"":7},"g.h":true,"n":null,"l":[120,121],"m":[]} "#;
    for (path, value) in [
        ("a", Some("x")),
        ("b.c", Some(r#"[1, {"d":2}]"#)),
        ("b.e.f", Some("-1.50e3")),
        ("b.e", Some(r#"{"f":-1.50e3}"#)),
        ("g.h", Some("true")),
        ("l", Some("xy")),
        ("m", Some("[]")),
        ("n", None),
        ("b.c.d", None),
        ("d", None),
        ("e", None),
        ("f", None),
        ("b.e.f.g", None),
        ("g", None),
    ] {
        assert_eq!(said(text, path).as_deref(), value, "{path}");
    }
}

#[test]
fn what_loggers_write_that_is_no_json_is_read() {
    for (text, value) in [
        (
            r#"{"a":"\" \\ \/ \b\f\n\r\t \u00e4 \ud83d\ude00"}"#,
            "\" \\ / \u{8}\u{c}\n\r\t ä 😀",
        ),
        (
            r#"{"a":"\x22 \u12 \u+123 \ud800 \udfff \ud800\u0041"}"#,
            "\\x22 \\u12 \\u+123 \u{fffd} \u{fffd} \u{fffd}A",
        ),
        ("{\"a\":\"\u{1}\t\u{7f}\"}", "\u{1}\t\u{7f}"),
        (r#"{"a":-,"b":NaN}"#, "-"),
        (r#"{"a":"x\\","b":"\\\""}"#, "x\\"),
    ] {
        assert_eq!(said(text, "a").as_deref(), Some(value), "{text}");
    }
    let object = read(b"{\"a\":\"x \xff y\"}").expect("an object");
    assert_eq!(object.get("a"), Some(&b"x \xff y"[..]));
}

#[test]
fn what_is_told_twice_is_not_told() {
    for text in [
        r#"{"a":{"b":1},"c":2,"a":{"b":3}}"#,
        r#"{"a.b":1,"c":2,"a":{"b":1}}"#,
        r#"{"a":{"b":1},"c":2,"\u0061":{"\u0062":3}}"#,
    ] {
        assert_eq!(said(text, "a.b"), None, "{text}");
        let object = read(text.as_bytes()).expect("an object");
        assert_eq!(object.told("a.b"), Told::Twice, "{text}");
        assert_eq!(object.told("a.x"), Told::Never, "{text}");
        assert_eq!(said(text, "c").as_deref(), Some("2"), "{text}");
    }
}

#[test]
fn what_is_no_object_has_no_fields() {
    for text in [
        "",
        "{",
        "x",
        "[1]",
        "\"x\"",
        "null",
        "{}}",
        "{} x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":x}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1}",
        "{\"a\":[1,]}",
        "{a:1}",
        "{\"a\":\"x\\\"}",
        "{\"a\":\"x",
        "{\"a\":1",
        "{\"a\":{\"b\":1}",
        "{\"a\":+1}",
        "{\"a\":tru}",
        "{\"a\":'x'}",
    ] {
        let mut object = Object::default();
        object.read(b"{\"a\":1}");
        assert!(!object.read(text.as_bytes()), "{text}");
        assert_eq!(object.get("a"), None, "{text}");
    }
}

/// Who can add fields must not choose by their number as what the others are taken.
#[test]
fn nothing_is_told_by_an_object_of_too_many_fields() {
    for (name, value) in [("\"x\"", "1"), ("\"\"", "{\"\":1}"), ("\"a.b\"", "[1,2]")] {
        let more = format!(",{name}:{value}");
        let each = 1 + usize::from(value.starts_with('{'));
        let line = |count: usize| format!("{{\"a\":1{}}}", more.repeat(count / each));
        let object = read(line(MOST_FIELDS - each).as_bytes()).expect("an object");
        assert_eq!(object.told("a"), Told::Once(b"1"));
        let object = read(line(MOST_FIELDS).as_bytes()).expect("an object");
        assert_eq!(object.told("a"), Told::Twice);
        assert_eq!(object.told("none"), Told::Twice);
        assert!(object.fields.len() <= MOST_FIELDS);
    }
    let mut object = read(b"{}").expect("an object");
    assert!(object.read(format!("{{{}\"a\":1}}", "\"x\":1,".repeat(MOST_FIELDS)).as_bytes()));
    assert!(object.read(b"{\"a\":1}"));
    assert_eq!(object.get("a"), Some(&b"1"[..]));
}

/// Deep nesting and long names cost no more than their own length.
#[test]
fn depth_costs_nothing() {
    let nested = |depth| ["{\"a\":".repeat(depth), "1".into(), "}".repeat(depth)].concat();
    assert!(said(&nested(MOST_FIELDS), "a").is_some());
    assert!(said(&nested(MOST_FIELDS), "a.a.a").is_some());
    let depth = 60_000;
    assert_eq!(said(&nested(depth), "a"), None);
    let text = ["{\"a\":", &"[".repeat(depth), &"]".repeat(depth), "}"].concat();
    let object = read(text.as_bytes()).expect("an object");
    assert!(object.text.len() <= text.len());
}

/// Every path in `value` with its text; of lists only the whole is told, by its value.
fn paths(value: &Value, path: &str, told: &mut Vec<(String, Value)>) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            told.push((path.clone(), value.clone()));
            paths(value, &path, told);
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Of other fractions serde_json reads the last digit otherwise.
        any::<i32>().prop_map(|number| (f64::from(number) / 4.0).into()),
        "(?s).{0,6}".prop_map(Value::from),
        "[\\\\\"{}\\[\\],:u0-9]{0,8}".prop_map(Value::from),
    ];
    let any = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"\\\\]{1,2}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map("[a-c\"\\\\]{1,2}", any, 0..5)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

proptest! {
    /// Whatever is JSON says what serde_json says that it says.
    #[test]
    fn json_is_read_as_others_read_it(value in json(), pretty in any::<bool>()) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value),
            false => serde_json::to_string(&value),
        }.expect("JSON");
        let object = read(text.as_bytes()).expect("an object");
        let mut told = Vec::new();
        paths(&value, "", &mut told);
        for (path, value) in told {
            let said = object.get(&path);
            match value {
                Value::Null => prop_assert_eq!(said, None),
                Value::String(text) => prop_assert_eq!(said, Some(text.as_bytes())),
                other => {
                    let said = said.expect("a value");
                    let read = serde_json::from_slice::<Value>(said);
                    let bytes = Value::from(said.to_vec());
                    prop_assert!(read.is_ok_and(|read| read == other) || bytes == other);
                }
            }
        }
    }

    /// What a logger puts into a string by the rules stays in it, and is read as it was.
    #[test]
    fn no_text_leaves_its_string(text in "(?s)(.|[\"\\\\{}:,]|\"a\":\"x\"){0,12}") {
        let line = serde_json::json!({ "t": text, "a": "true" }).to_string();
        let object = read(line.as_bytes()).expect("an object");
        prop_assert_eq!(object.get("a"), Some(&b"true"[..]));
        prop_assert_eq!(object.get("t"), Some(text.as_bytes()));
    }

    #[test]
    fn no_bytes_break_the_reader(
        head in "([{}\\[\\]:,\"\\\\u0-9. ]|\"a\":|null|true|-1e9){0,30}",
        tail in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let text = [b"{\"a\":", head.as_bytes(), &tail].concat();
        if let Some(object) = read(&text) {
            object.get("a");
            object.get("a.a");
        }
        // What others take for an object, we do.
        if serde_json::from_slice::<Value>(&text).is_ok_and(|value| value.is_object()) {
            prop_assert!(read(&text).is_some());
        }
    }
}
