//! Facts about f2bd called as `fail2ban-regex`: it prints what Fail2ban's own prints, of stock filters and their sample logs, and
//! of what people type.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Zoned;
use regex::{Captures, Regex};

use crate::fail2ban::package::Package;
use crate::support::world::F2BD;

const LOGS: &str = "usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

/// What is asked of each filter and its log. Names of hosts are not looked up.
const ASKED: &[&[&str]] = &[
    &["-r"],
    &[
        "-r",
        "-v",
        "--no-check-all",
        "--print-all-matched",
        "--print-no-missed",
    ],
    &["-r", "--print-all-ignored", "--print-all-missed"],
    &["-r", "-o", "row"],
    &["-r", "-o", "msg"],
    &[
        "-r",
        "-o",
        "<fid>|<ip>|<ip-rev>|<family>|<F-USER>|<F-NOFAIL>|<msg>|<time>|<nonsense>|<br>",
    ],
];

/// Filters with another mode that matters.
const AGGRESSIVE: &[&str] = &["sshd", "postfix", "dovecot", "exim", "nginx-http-auth"];

/// Filters whose times are others on purpose, and why.
const OTHER_TIMES: &[(&str, &str)] = &[
    ("ejabberd-auth", THE_LINE_BEFORE),
    ("guacamole", THE_LINE_BEFORE),
    ("freeswitch", YEAR_OF_THE_LOG),
];

/// Fail2ban takes the present.
const THE_LINE_BEFORE: &str = "a line that need not have a date has that of the lines before";

/// Fail2ban takes the present year.
const YEAR_OF_THE_LOG: &str = "a year that is not told is that of the lines before";

/// f2bd under the name of the tool, and Fail2ban's own.
struct Tools {
    package: Package,
    home: tempfile::TempDir,
}

/// What a tool came to: its exit code, and what it printed.
type Said = (i32, String);

impl Tools {
    fn find() -> Option<Tools> {
        let package = Package::find()?;
        let home = tempfile::tempdir().unwrap();
        symlink(F2BD, home.path().join("fail2ban-regex")).unwrap();
        Some(Tools { package, home })
    }

    fn config(&self) -> String {
        self.package.path("etc/fail2ban").display().to_string()
    }

    /// What f2bd says, and what it complains of.
    fn complaining(&self, words: &[String]) -> (Said, String) {
        let mut command = Command::new(self.home.path().join("fail2ban-regex"));
        let output = command.args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = (output.status.code().unwrap(), text(&output.stdout));
        (said, text(&output.stderr))
    }

    fn ours(&self, words: &[String]) -> Said {
        self.complaining(words).0
    }

    /// What Fail2ban's own says, each time it is asked.
    fn theirs(&self, questions: &[Vec<String>]) -> Vec<Said> {
        let lines: Vec<_> = questions
            .iter()
            .map(|words| serde_json::to_string(words).unwrap())
            .collect();
        let input = self.home.path().join("questions");
        fs::write(&input, lines.join("\n") + "\n").unwrap();
        let mut python = self.package.python(include_str!("regex.py"));
        let output = python
            .stdin(fs::File::open(&input).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let answers = text.lines().map(|line| serde_json::from_str(line).unwrap());
        answers.collect()
    }

    /// Holds the answers of both against each other.
    fn compare(&self, questions: &[Vec<String>]) {
        let theirs = self.theirs(questions);
        assert_eq!(theirs.len(), questions.len());
        let mut different = Vec::new();
        for (words, (code, text)) in questions.iter().zip(theirs) {
            let (our_code, our_text) = self.ours(words);
            let (ours, theirs) = (comparable(words, &our_text), comparable(words, &text));
            if (our_code, &ours) != (code, &theirs) {
                different.push(format!(
                    "{words:?}:\n{our_code} {ours}\ninstead of\n{code} {theirs}"
                ));
            }
        }
        let count = different.len();
        assert!(count == 0, "{count} differ:\n{}", different.join("\n"));
    }
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// A report without what differs on purpose.
fn comparable(words: &[String], text: &str) -> String {
    let replaced = |pattern: &str, text: &str, with: &str| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(text, with)
            .into_owned()
    };
    // f2bd is faster.
    let text = replaced(r"\[processed in [0-9.]+ sec\]", text, "[processed]");
    // Fail2ban shows what its tags come to in Python here, f2bd what the filter says.
    let text = replaced(r"(Prefregex: \d+ total\n\|  ).*", &text, "$1PREFIX");
    // Templates that f2bd tells one by one are one to Fail2ban, and it orders those without hits as it last used them. The
    // sum of the hits must be the same.
    let dates = Regex::new(r"(?s)(Date template hits:)(.*?)\n\n").unwrap();
    let hits = Regex::new(r"(?m)^\|  \[(\d+)\]").unwrap();
    let text = dates.replace_all(&text, |found: &Captures<'_>| {
        let hits = hits.captures_iter(&found[2]);
        let sum: u64 = hits.map(|hits| hits[1].parse::<u64>().unwrap()).sum();
        format!("{} {sum}\n\n", &found[1])
    });
    // Python's sets have no order.
    let users = Regex::new(r"'users': \{(.*?)\}").unwrap();
    let text = users.replace_all(&text, |found: &Captures<'_>| {
        let mut users: Vec<_> = found[1].split(", ").collect();
        users.sort_unstable();
        format!("users {users:?}")
    });
    // What tells no time is told as if it were written when the tool runs.
    let today = Zoned::now().strftime(r"%a %b %d [0-9:]{8} %Y").to_string();
    let text = replaced(&today, &text, "TIME");
    let text = replaced(r"1\d{9}\.\d{3,}", &text, "TIME");
    // What f2bd remembers of a line has no control characters.
    let text = text.replace("\\\\x0a", "\\n");
    let mut others = OTHER_TIMES.iter();
    match others.any(|(filter, _)| words.last().unwrap() == filter) {
        true => {
            let text = replaced(r"\d{10}(\.\d+)?", &text, "TIME");
            replaced(
                r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d [0-9:]{8} \d{4}",
                &text,
                "TIME",
            )
        }
        false => text,
    }
}

/// Copies a log. Its last line has an end: without one, Fail2ban would not read it.
fn copied(from: &Path, to: PathBuf) -> PathBuf {
    let mut text = fs::read(from).unwrap();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    fs::write(&to, text).unwrap();
    to
}

#[test]
fn stock_filters_tell_of_their_samples_what_they_tell_there() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let mut questions = Vec::new();
    for entry in fs::read_dir(tools.package.path(LOGS)).unwrap() {
        let log = entry.unwrap().path();
        let filter = log.file_name().unwrap().to_str().unwrap();
        let file = format!("etc/fail2ban/filter.d/{filter}.conf");
        if !tools.package.path(&file).is_file() {
            continue;
        }
        let log = copied(&log, tools.home.path().join(filter))
            .display()
            .to_string();
        let mut named = vec![filter.to_owned()];
        if AGGRESSIVE.contains(&filter) {
            named.push(format!("{filter}[mode=aggressive]"));
        }
        for named in &named {
            for asked in ASKED {
                let config = tools.config();
                let all = [&["-c", &*config][..], asked, &[&log, named]];
                questions.push(words(&all.concat()));
            }
        }
    }
    assert!(questions.len() > 500, "only {} questions", questions.len());
    tools.compare(&questions);
}

#[test]
fn expressions_and_texts_are_taken_as_there() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let log = tools.home.path().join("log");
    let lines = "2026-11-21T01:33:04 box a: denied jo at 192.0.2.7
# denied jo at 192.0.2.8

2026-11-21T01:33:05+01:00 box a: denied it's at 2001:DB8::7
1795224784.25 box a: denied jo at 192.0.2.0/24
2026-11-21T01:33:07 box a: denied jo at host.example.org
2026-11-21T01:33:08 box a: hello
21.11.26 01:33:09 box a: denied jo at 192.0.2.9
";
    fs::write(&log, lines).unwrap();
    let log = log.display().to_string();
    let denied = "denied <F-USER>\\S+</F-USER> at <HOST>";
    let id = "denied <F-ID>\\S+ at <ADDR></F-ID>";
    let subnet = "denied \\S+ at <SUBNET>";
    let two = "one <HOST>\ntwo 192.0.2.7 at <HOST>";
    let long = "denied jo at 192.0.2.7 and then a good many words more that nobody reads";
    let asked: &[&[&str]] = &[
        &["-r", &log, denied],
        &["-r", "-v", &log, denied],
        &["-r", &log, denied, "jo"],
        &["-r", "-v", &log, denied, "jo at 192"],
        &["-r", "-o", "row", &log, denied],
        &["-r", "-o", "row", &log, id],
        &["-o", "row", &log, subnet],
        &["-o", "<ip>/<fid>", &log, id],
        &["-r", "--out=dns", &log, denied],
        &["-r", "-o", "host", &log, denied],
        &["-r", "-o", "user", &log, denied],
        &["-r", "-o", "id", &log, id],
        &["-r", "-o", "ip", &log, id],
        &["--usedns", "no", &log, denied],
        &["--usedns=no", "-o", "fid", &log, denied],
        &["-r", "--TZ", "UTC+0300", "-o", "row", &log, denied],
        &[
            "-r",
            "-d",
            "%d\\.%m\\.%y %H:%M:%S",
            "-o",
            "row",
            &log,
            denied,
        ],
        &["-r", "-d", "^%Y-%m-%dT%H:%M:%S", &log, denied],
        &["-r", "-L", "2", &log, denied],
        &[
            "-r",
            "-L",
            "3",
            "-o",
            "msg",
            &log,
            "jo at 192\\.0\\.2\\.7<SKIPLINES>.*hello<SKIPLINES>.*at <HOST>",
        ],
        &[
            "-r",
            "--print-no-ignored",
            "--print-no-missed",
            &log,
            denied,
            "jo",
        ],
        &["-r", "--print-all-matched", &log, denied],
        &["denied jo at 192.0.2.7", denied],
        &[long, denied],
        &["-o", "row", "denied jo at 192.0.2.7", denied],
        &[two, "^two <HOST> at"],
        &["-o", "id", two, "<HOST>$"],
        &["hello", denied],
        &["hello", "no host"],
        &["a", "b", "c", "d"],
        &["a"],
    ];
    let questions: Vec<_> = asked.iter().map(|asked| words(asked)).collect();
    // What is wrong is told in other words.
    let (sound, wrong) = questions.split_at(questions.len() - 3);
    tools.compare(sound);
    for (words, (code, text)) in wrong.iter().zip(tools.theirs(wrong)) {
        let ((our_code, our_text), _) = tools.complaining(words);
        assert_eq!((our_code, code), (255, 255), "{words:?}: {our_text} {text}");
    }
    let (_, complaint) = tools.complaining(&words(&["a"]));
    assert!(
        complaint.contains("ERROR: provide both <LOG> and <REGEX>."),
        "{complaint}"
    );
}

#[test]
fn newer_options_and_those_for_python() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let ours = |all: &[&str]| tools.complaining(&words(all));
    let line = "denied jo at 192.0.2.7";
    // As the reference tells them, of a version that is newer than the package.
    assert_eq!(ours(&["-V"]).0, (0, "1.1.1\n".to_owned()));
    assert_eq!(
        ours(&["--version"]).0,
        (0, "fail2ban-regex 1.1.1\n".to_owned())
    );
    let both = format!("{line}\nhello");
    let inverted = ours(&["-o", "msg", "--invert", &both, "at <HOST>"]);
    assert_eq!(inverted.0, (0, "hello\n".to_owned()));
    for (option, word) in [
        ("-D", "f2bd match --explain"),
        ("-t", "no tracebacks"),
        ("--VD", "-v"),
    ] {
        let ((code, out), complaint) = ours(&[option, line, "at <HOST>"]);
        assert!(
            out.contains("1 lines, 0 ignored, 1 matched, 0 missed"),
            "{out}"
        );
        assert_eq!(code, 0);
        assert!(complaint.contains(word), "{complaint}");
    }
    let ((code, _), complaint) = ours(&["--nonsense", line, "at <HOST>"]);
    assert_eq!(code, 2, "{complaint}");
    let ((code, out), _) = ours(&[line, "at (<HOST>"]);
    assert!(code == 255 && out.contains("\nERROR: "), "{out}");
    let ((code, out), _) = ours(&["-c", &tools.config(), line, "sshd[mode]"]);
    assert!(
        code == 255 && out.contains("ERROR: failed to load filter sshd[mode]"),
        "{out}"
    );
    // A filter that takes too long on a line costs that line, and is told of.
    let slow = format!("{} 192.0.2.7", "a".repeat(60));
    let ((code, out), complaint) = ours(&[&slow, "^(?=(a+)+b)?((?:a|a)+)+(?!x)c <HOST>"]);
    assert!(
        out.contains("0 matched, 1 missed"),
        "{code} {out} {complaint}"
    );
}
