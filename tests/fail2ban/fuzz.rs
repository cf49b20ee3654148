//! Facts about the reader, shown by text that nobody would write: whatever is thrown together, Fail2ban's own reader on
//! Python's says the same of it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use f2bd::config::fail2ban::brackets;
use f2bd::config::fail2ban::files::{Files, FilesError};
use f2bd::config::fail2ban::interpolation::Mistake;
use f2bd::config::fail2ban::merged::Merged;
use f2bd::config::fail2ban::options::{Options, Written};
use f2bd::config::fail2ban::tags::Tags;
use f2bd::config::fail2ban::time;
use f2bd::config::{Place, Problems, Text};
use serde_json::{Map, Value, json};

use super::package::Package;
use crate::support::dice::Dice;

/// What Fail2ban answers to each question.
fn ask(package: &Package, questions: &[(&str, Value)]) -> Vec<Value> {
    let mut python = package.python(include_str!("ask.py"));
    python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = questions
        .iter()
        .map(|question| format!("{}\n", json!(question)))
        .collect();
    // It answers while it is asked.
    let asking = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// Some of the words, thrown together.
fn thrown(dice: &mut Dice, words: &[&str], most: u64) -> String {
    let count = dice.below(most);
    let word = |_| words[dice.below(words.len() as u64) as usize];
    (0..count).map(word).collect()
}

fn chosen<'w>(dice: &mut Dice, words: &[&'w str]) -> &'w str {
    words[dice.below(words.len() as u64) as usize]
}

/// A file that is mostly as it should be.
fn file(dice: &mut Dice) -> String {
    let mut text = String::new();
    let mut sections = HashSet::new();
    for _ in 0..1 + dice.below(3) {
        let section = chosen(
            dice,
            &["DEFAULT", "a", "b", "INCLUDES", "A", "b c", "a?x=1"],
        );
        if dice.below(20) > 0 && !sections.insert(section) {
            continue;
        }
        text.push_str(&format!("[{section}]\n"));
        let mut keys = HashSet::new();
        for _ in 0..dice.below(6) {
            let key = match section {
                "INCLUDES" => chosen(dice, &["before", "after", "x"]),
                _ => chosen(
                    dice,
                    &["x", "y", "z", "Y", "long key", "é", "known/x", "a/x"],
                ),
            };
            if dice.below(30) > 0 && !keys.insert(key.to_lowercase()) {
                continue;
            }
            text.push_str(&format!(
                "{key}{}{}\n",
                chosen(dice, &["=", " = ", ": ", "  :"]),
                value(dice, section)
            ));
        }
        if dice.below(30) == 0 {
            text.push_str(chosen(
                dice,
                &[
                    "=\n",
                    "no option\n",
                    " indented\n",
                    "[]\n",
                    "[a]x\n",
                    "\u{a0}\n",
                    "\u{1c}x\n",
                ],
            ));
        }
    }
    match dice.below(10) {
        0 => text.replace('\n', "\r\n"),
        1 => text.replacen('\n', "\r", 1),
        _ => text,
    }
}

fn value(dice: &mut Dice, section: &str) -> String {
    if section == "INCLUDES" {
        let names = [
            "x.conf",
            "y.conf",
            "jail.conf",
            "no.conf",
            "\n ",
            "\n ",
            " ",
            "%(x)s",
        ];
        return thrown(dice, &names, 4);
    }
    let words = [
        "%(x)s",
        "%(y)s",
        "%(z)s",
        "%(known/x)s",
        "%(known/y)s",
        "%(default/x)s",
        "%(a/x)s",
        "%(b/y)s",
        "%(A/x)s",
        "%(Known/X)s",
        "%(KNOWN/x)s",
        "%(__name__)s",
        "%(long key)s",
        "%%",
        "%",
        "%(",
        ")s",
        "1",
        "two",
        " ",
        " ",
        ";",
        " ; ",
        "#",
        "\n ",
        "\n  ",
        "\n\n ",
        "\n# c\n ",
        "\n\t",
        "\u{a0}",
        "é",
        "=",
        ":",
        "[",
        "]",
        "%(b c/x)s",
        "%(x%(y)s",
        "%(é)s",
    ];
    // Most references are good ones, or hardly a value could be put together.
    match dice.below(3) {
        0 => thrown(dice, &words, 6),
        1 => thrown(dice, &words[..8], 4),
        _ => thrown(dice, &words[16..], 4),
    }
}

/// What we make of a tree, in the words of the answers.
fn ours(files: &BTreeMap<&str, String>) -> Value {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let merged = Files::of(home.path()).read("jail", &mut Problems::default());
    match merged {
        Err(FilesError::Missing) => json!({"error": "Nothing"}),
        Err(FilesError::Broken) => json!({"error": "Broken"}),
        Ok(merged) => {
            let sections = merged.sections();
            sections
                .map(|(name, _)| json!([name, values(&merged, name)]))
                .collect()
        }
    }
}

fn values(merged: &Merged, section: &str) -> Map<String, Value> {
    let own = merged.section(section).into_iter().flat_map(Options::iter);
    let keys = own.chain(merged.defaults().iter()).map(|(key, _)| key);
    let value = |key: &str| match merged.get(section, key, &Options::default()) {
        Ok(value) => json!(value.unwrap().text),
        Err(error) => json!({"error": match error.mistake {
            Mistake::Missing { .. } => "InterpolationMissingOptionError",
            Mistake::TooDeep(_) => "InterpolationDepthError",
            Mistake::Percent(_) => "InterpolationSyntaxError",
            Mistake::TooLong(_) => "",
        }}),
    };
    keys.map(|key| (key.to_owned(), value(key))).collect()
}

/// Mistakes that make a file unusable have many names there.
fn plain(answer: Value) -> Value {
    let broken = [
        "MissingSectionHeaderError",
        "ParsingError",
        "DuplicateOptionError",
        "DuplicateSectionError",
    ];
    let interpolation = [
        "InterpolationMissingOptionError",
        "InterpolationDepthError",
        "InterpolationSyntaxError",
    ];
    let is_broken = |error: &str| broken.contains(&error) || interpolation.contains(&error);
    match answer["error"].as_str() {
        // Python goes round in circles until it has no more room.
        Some("RecursionError") => json!({"error": "Broken"}),
        Some(error) if is_broken(error) => json!({"error": "Broken"}),
        _ => answer,
    }
}

#[test]
fn trees_are_read_as_fail2ban_reads_them() {
    let Some(package) = Package::find() else {
        return;
    };
    let mut dice = Dice::new(8);
    let names = [
        "jail.conf",
        "jail.local",
        "jail.d/a.conf",
        "jail.d/b.local",
        "x.conf",
        "x.local",
        "y.conf",
    ];
    let trees: Vec<_> = (0..1_500)
        .map(|_| {
            let mut files = BTreeMap::new();
            for name in names {
                if name == "jail.conf" || dice.below(3) == 0 {
                    files.insert(name, file(&mut dice));
                }
            }
            files
        })
        .collect();
    let questions: Vec<_> = trees.iter().map(|tree| ("tree", json!(tree))).collect();
    let mut values = 0;
    for (tree, theirs) in trees.iter().zip(ask(&package, &questions)) {
        let ours = ours(tree);
        assert_eq!(ours, plain(theirs), "{tree:#?}");
        let sections = ours.as_array().into_iter().flatten();
        let said = sections.filter_map(|section| section[1].as_object());
        values += said
            .flat_map(Map::values)
            .filter(|value| value.is_string())
            .count();
    }
    assert!(values > 2_500, "only {values} values could be compared");
}

#[test]
fn brackets_are_read_as_fail2ban_reads_them() {
    let Some(package) = Package::find() else {
        return;
    };
    let mut dice = Dice::new(9);
    let words = [
        "a",
        "b-c.d",
        "=",
        "[",
        "]",
        "\"",
        "'",
        ",",
        " ",
        "\n",
        "x=1",
        ",y=\"2 3\"",
        "z='4,5'",
        "][",
        "] [",
        "é",
    ];
    let mut texts: Vec<_> = (0..20_000).map(|_| thrown(&mut dice, &words, 14)).collect();
    texts.extend((0..20_000).map(|_| format!("a[{}]", thrown(&mut dice, &words[6..], 10))));
    let both = texts
        .iter()
        .flat_map(|text| [("brackets", json!(text)), ("list", json!(text))]);
    let answers = ask(&package, &both.collect::<Vec<_>>());
    let mut good = 0;
    for (text, theirs) in texts.iter().zip(answers.chunks(2)) {
        let ours = match brackets::part(text) {
            Ok(named) => json!([named.name, named.parameters]),
            Err(_) => json!({"error": "ValueError"}),
        };
        good += usize::from(ours.is_array());
        assert_eq!(ours, theirs[0], "{text:?}");
        assert_eq!(json!(brackets::list(text)), theirs[1], "{text:?}");
    }
    assert!(good > 2_000, "only {good} could be read");
}

#[test]
fn tags_are_put_in_as_fail2ban_does() {
    let Some(package) = Package::find() else {
        return;
    };
    let mut dice = Dice::new(10);
    let words = [
        "<a>", "<b>", "<c>", "<d_a>", "<d_<c>>", "<", ">", "a", "b", " ", "<x>", "<<a>>", "d_",
    ];
    let mut value = |words: &[&str]| thrown(&mut dice, words, 4);
    let all: Vec<_> = (0..4_000)
        .map(|_| {
            [
                ("a", value(&words)),
                ("b", value(&words)),
                ("c", value(&words[7..])),
                ("d_a", value(&words[5..])),
            ]
        })
        .collect();
    let questions: Vec<_> = all.iter().map(|tags| ("tags", json!(tags))).collect();
    let text = Arc::new(Text {
        path: "x".into(),
        content: String::new(),
    });
    let mut good = 0;
    for (tags, theirs) in all.iter().zip(ask(&package, &questions)) {
        let mut options = Options::default();
        for (key, value) in tags {
            options.set(*key, Written::new(value, &Place::whole(&text)));
        }
        let ours = Tags {
            left: HashSet::new(),
            condition: "",
            elsewhere: &|_| Ok(None),
        };
        let ours = match ours.put_in(&options) {
            Ok(options) => options
                .iter()
                .map(|(key, value)| json!([key, value.text]))
                .collect(),
            Err(_) => json!({"error": "ValueError"}),
        };
        good += usize::from(ours.is_array());
        assert_eq!(ours, theirs, "{tags:?}");
    }
    assert!(good > 2_000, "only {good} could be put in");
}

/// The fewest figures of a number that we may take for too large.
const LARGE: usize = 18;

/// Whether what Python made of a text is no sum but a call, a tuple or an object of its own, which are nothing to us.
fn is_call(theirs: &Value) -> bool {
    let is_other = |text: &str| text.starts_with(['(', '<']);
    theirs["error"] == "TypeError" || theirs.as_str().is_some_and(is_other)
}

#[test]
fn times_are_computed_as_fail2ban_does() {
    let Some(package) = Package::find() else {
        return;
    };
    let mut dice = Dice::new(11);
    let words = [
        "1", "2", "30", "0", ".5", "1.5", "7", " ", " ", "d", "h", "m", "mo", "y", "w", "s",
        "Days", "hour", "min", "weeks", "+", "-", "*", "/", "//", "%", "(", ")", "\n", "foo", "#",
        "_", "e", "**2",
    ];
    let mut texts: Vec<_> = (0..20_000).map(|_| thrown(&mut dice, &words, 7)).collect();
    texts.extend((0..20_000).map(|_| thrown(&mut dice, &words[..23], 7)));
    let questions: Vec<_> = texts.iter().map(|text| ("time", json!(text))).collect();
    let mut good = 0;
    for (text, theirs) in texts.iter().zip(ask(&package, &questions)) {
        // A value of a file has no line of blanks at its end; Python misses something there, and nothing is missing.
        let end = text.trim_end().len();
        let has_empty_line = text[end..].contains("\n ");
        let ours = match time::seconds(text) {
            Err(time::TimeError::TooLarge) => {
                // Python counts as far as there is memory.
                let size = theirs
                    .as_str()
                    .map(|text| text.trim_start_matches('-').len());
                let is_large = size.is_some_and(|size| size >= LARGE) || is_call(&theirs);
                assert!(is_large || has_empty_line, "{text:?}: {theirs}");
                continue;
            }
            Ok(seconds) => json!(seconds.to_string()),
            Err(time::TimeError::Name(_)) => json!({"error": "NameError"}),
            Err(time::TimeError::Division) => json!({"error": "ZeroDivisionError"}),
            Err(_) => json!({"error": "SyntaxError"}),
        };
        if is_call(&theirs) {
            assert!(ours["error"].is_string(), "{text:?}: {ours}, not {theirs}");
            continue;
        }
        let theirs = match theirs["error"].as_str() {
            Some("IndentationError") => json!({"error": "SyntaxError"}),
            _ => theirs,
        };
        let is_named_call = theirs["error"] == "NameError" && text.contains(['(', '.']);
        let is_skipped = has_empty_line || is_named_call && ours["error"] == "SyntaxError";
        if !is_skipped {
            assert_eq!(ours, theirs, "{text:?}");
            good += usize::from(ours.is_string());
        }
    }
    assert!(good > 2_000, "only {good} could be computed");
}
