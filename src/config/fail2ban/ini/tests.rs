//! Facts about the reader of one file.

use proptest::prelude::*;

use super::*;

fn text(content: &str) -> Arc<Text> {
    Arc::new(Text {
        path: "x".into(),
        content: content.to_owned(),
    })
}

fn read(content: &str) -> Vec<(String, Vec<(String, String)>)> {
    let file = parse(&text(content)).expect("a file without mistakes");
    let said = |options: &Options| {
        let said = options.iter();
        said.map(|(key, value)| (key.to_owned(), value.text.clone()))
            .collect()
    };
    let sections = file.sections.iter();
    let sections = sections.map(|section| (section.name.clone(), said(&section.options)));
    [(DEFAULT.to_owned(), said(&file.defaults))]
        .into_iter()
        .chain(sections)
        .collect()
}

fn one(content: &str) -> String {
    let sections = read(content);
    sections[1].1[0].1.clone()
}

#[test]
fn values_go_on_in_lines_that_stand_further_in() {
    assert_eq!(one("[a]\nx = 1\n  2\n\n 3\n\n"), "1\n2\n\n3");
    assert_eq!(one("[a]\nx =\n  2\n# no\n  ; no\n\t3"), "\n2\n3");
    assert_eq!(one("[a]\r\nx: 1 = 2\r\n 3\r\n"), "1 = 2\n3");
    assert_eq!(one("[a]\n  x = 1\n  y = 2\n   z = 3\n"), "1");
    assert_eq!(
        read("[a]\n  x = 1\n  y = 2\n   z = 3\n")[1].1[1].1,
        "2\nz = 3"
    );
}

#[test]
fn only_a_semicolon_begins_a_comment_behind_a_value() {
    assert_eq!(one("[a]\nx = 10m # ten"), "10m # ten");
    assert_eq!(one("[a]\nx = 10m ; ten"), "10m");
    assert_eq!(one("[a]\nx = 10m;ten"), "10m;ten");
    assert_eq!(one("[a]\nx = ;ten"), "");
}

#[test]
fn keys_are_small_and_sections_are_not() {
    let sections = read("[DEFAULT]\nBanTime = 1\n[Sshd] and so on\nA.B = 2\n[DEFAULT]\nc=3");
    let keys = |at: usize| -> Vec<_> { sections[at].1.iter().map(|(key, _)| key).collect() };
    assert_eq!(keys(0), ["bantime", "c"]);
    assert_eq!(sections[1].0, "Sshd");
    assert_eq!(keys(1), ["a.b"]);
}

#[test]
fn mistakes_are_found_in_their_lines() {
    let mistakes = |content: &str| {
        let errors = parse(&text(content)).expect_err("a file with mistakes");
        let told = errors.into_iter();
        told.map(|error| (error.place.offset(), error.mistake))
            .collect::<Vec<_>>()
    };
    let twice = |key: &str| Mistake::KeyTwice {
        key: key.to_owned(),
        section: "a".to_owned(),
    };
    assert_eq!(mistakes("[a]\nx=1\nX : 2"), [(8, twice("x"))]);
    assert_eq!(
        mistakes("[a]\n[b]\n[a]\nwhat\n= 3\n"),
        [
            (8, Mistake::SectionTwice("a".to_owned())),
            (12, Mistake::NoOption),
            (17, Mistake::NoOption)
        ]
    );
    assert_eq!(mistakes("# x\n  x = 1\ny\n"), [(6, Mistake::NoSection)]);
    assert_eq!(
        mistakes("[a]\nx = 1\n/y\n[b\n[]\n"),
        [
            (10, Mistake::NotIndented("x".to_owned())),
            (13, Mistake::Unclosed),
            (16, Mistake::NotIndented("x".to_owned())),
        ]
    );
    assert_eq!(mistakes("[a\nx = 1\n"), [(0, Mistake::Unclosed)]);
    for first in ["[a]", "# a", ""] {
        let content = format!("\u{feff}{first}\n[b]\nx = 1\n");
        assert_eq!(mistakes(&content), [(0, Mistake::ByteOrderMark)]);
    }
    assert_eq!(
        mistakes(&format!("[a]\n{}", "no\n".repeat(99))).len(),
        MOST_TOLD
    );
}

proptest! {
    #[test]
    fn no_text_is_too_odd(content in "(?s).{0,200}") {
        parse(&text(&content)).ok();
    }

    #[test]
    fn no_file_is_too_odd(words in proptest::collection::vec("(\\[[a-z\\]]{0,2}\\]?|\\n|\\r|=|:|[ \\t]|[a-z%;#]|\u{1c}|\u{a0}|é)", 0..60)) {
        parse(&text(&words.concat())).ok();
    }
}
