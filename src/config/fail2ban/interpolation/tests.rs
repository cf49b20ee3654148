//! Facts about references in values.

use proptest::prelude::*;

use super::*;
use crate::config::fail2ban::merged::tests::merged;

fn get(files: &[&str], section: &str, key: &str) -> Result<Option<String>, Mistake> {
    let got = merged(files).get(section, key, &Options::default());
    got.map(|value| value.map(|value| value.text))
        .map_err(|error| error.mistake)
}

#[test]
fn values_of_the_section_go_before_those_of_all() {
    let file = "[DEFAULT]\nx = 1\ny = <%(X)s>\n[a]\nx = 2\nz = %(default/x)s%(y)s%%%(__name__)s";
    let value = |section, key| get(&[file], section, key);
    assert_eq!(value("a", "y"), Ok(Some("<2>".to_owned())));
    assert_eq!(value("DEFAULT", "Y"), Ok(Some("<1>".to_owned())));
    assert_eq!(value("a", "z"), Ok(Some("1<2>%a".to_owned())));
    assert_eq!(value("a", "w"), Ok(None));
}

#[test]
fn what_is_known_is_what_was_said_before() {
    let files = [
        "[DEFAULT]\nd = 0\n[a]\nx = 1\n[b]\nx = 7",
        "[a]\nx = %(known/x)s2 %(b/x)s %(b/d)s %(known/d)s",
    ];
    assert_eq!(get(&files, "a", "x"), Ok(Some("12 7 0 0".to_owned())));
}

#[test]
fn what_cannot_be_put_in_is_told() {
    let missing = |missing: &str| {
        Err(Mistake::Missing {
            key: "x".to_owned(),
            missing: missing.to_owned(),
        })
    };
    let x = |value: &str| {
        get(
            &[&format!("[B]\ny = 1\n[a]\nx = {value}\ny = %(x)s")],
            "a",
            "x",
        )
    };
    assert_eq!(x("%(nothing)s"), missing("nothing"));
    assert_eq!(x("%(c/y)s"), missing("c/y"));
    assert_eq!(
        x("%(B/y)s"),
        missing("b/y"),
        "as in Fail2ban: the name becomes small"
    );
    assert_eq!(x("%(y)s"), Err(Mistake::TooDeep("x".to_owned())));
    for percent in ["%", "5%", "% d", "%(y)", "%(y", "%()s", "%(y)d"] {
        assert_eq!(
            x(percent),
            Err(Mistake::Percent("x".to_owned())),
            "{percent}"
        );
    }
    let mut grown = String::from("[a]\nx0 = 0123456789%%\n");
    for level in 1..9 {
        let below = format!("%(x{})s", level - 1).repeat(20);
        grown.push_str(&format!("x{level} = {below}\n"));
    }
    let grown = get(&[&grown], "a", "x8");
    assert_eq!(grown, Err(Mistake::TooLong("x8".to_owned())));
}

proptest! {
    #[test]
    fn no_reference_is_too_odd(words in proptest::collection::vec("(%|%\\(|\\)s|/|known|default|a|x|y|__name__|\\n[xy]=|[^\\x00])", 0..40)) {
        let file = format!("[a]\nx = 1\n[a?b]\ny=2\n[DEFAULT]\nx={}", words.concat());
        get(&["[a]\nx=1", &file], "a", "x").ok();
    }
}
