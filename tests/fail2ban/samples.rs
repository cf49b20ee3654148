//! Facts about stock filters: they find in Fail2ban's own sample logs what its own tests demand.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use f2bd::config::Problems;
use f2bd::config::fail2ban::expression::Hosts;
use f2bd::config::fail2ban::filter::{self, Reading};
use f2bd::config::fail2ban::jail::State;
use f2bd::config::fail2ban::{Tree, VERSION};
use f2bd::config::filter::FilterFile;
use f2bd::engine::filter::{FilterSet, LineMemory, Said, View};
use f2bd::engine::record::Record;
use f2bd::engine::record::line::{LineForm, LineReader};
use f2bd::engine::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::support::samples;

const TESTS: &str = "usr/lib/python3/dist-packages/fail2ban/tests";

/// The clock and the zone that these tests assume.
const NOW: i64 = 1_124_013_600;
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0";

/// What is different on purpose, by file and line, and why.
const EXPLAINED: &[(&str, usize, &str)] = &[
    ("freeswitch", 24, YEAR_OF_THE_LOG),
    ("freeswitch", 26, YEAR_OF_THE_LOG),
];

/// Its tests expect the year of their clock.
const YEAR_OF_THE_LOG: &str =
    "a year that is not told is that of the lines before, which were written eleven years later";

/// Of all cases so many must agree, in thousandths.
const AGREEING: usize = 995;

/// What has to come of a line.
struct Case {
    file: String,
    number: usize,
    line: String,
    /// As it is annotated; nothing if it must stay silent.
    expected: Map<String, Value>,
    /// The filter, by the name of its jail, and whether the line came from a journal.
    jail: String,
    is_journal: bool,
}

/// Options of a filter, as the annotations tell them.
type Options = Map<String, Value>;

/// All cases of a filter's sample logs, in their order.
struct Reader<'r> {
    logs: &'r Path,
    filter: &'r str,
    jails: BTreeMap<String, String>,
    cases: Vec<Case>,
}

impl Reader<'_> {
    fn read_all(&mut self) {
        let mut files = vec![self.filter.to_owned()];
        let mut at = 0;
        while let Some(file) = files.get(at).cloned() {
            at += 1;
            let more = self.read(&file);
            files.extend(more);
        }
    }

    fn read(&mut self, file: &str) -> Vec<String> {
        let text = fs::read(self.logs.join(file)).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut more = Vec::new();
        let mut common = Options::new();
        let mut chosen = vec![Options::new()];
        let mut expected = Options::new();
        for (line, number) in text.split('\n').zip(1..) {
            let line = line.trim_end_matches('\r');
            match directive(line) {
                Some(("failJSON", told)) => expected = object(told),
                Some(("fileOptions", told)) => common = object(told),
                Some(("addFILE", told)) => more.push(told.as_str().unwrap().to_owned()),
                Some(("filterOptions", told)) => {
                    let all = match told {
                        Value::Array(all) => all,
                        one => vec![one],
                    };
                    chosen = all
                        .into_iter()
                        .map(|own| merged(&common, object(own)))
                        .collect();
                    chosen.retain(|options| self.is_meant(options.get("test.condition"), options));
                }
                Some((other, _)) => panic!("{file}:{number}: {other}"),
                None if line.starts_with('#') || line.trim().is_empty() => {}
                None => {
                    for options in &chosen {
                        if self.is_meant(expected.get("constraint"), options) {
                            self.add((file, number, line), &expected, options);
                        }
                    }
                    expected = Options::new();
                }
            }
        }
        more
    }

    /// Whether a condition holds: of Python's expressions only these are used.
    fn is_meant(&self, condition: Option<&Value>, options: &Options) -> bool {
        let Some(condition) = condition.and_then(Value::as_str) else {
            return true;
        };
        let condition: String = condition.split_whitespace().collect();
        let mode = options.get("mode").and_then(Value::as_str);
        match condition.as_str() {
            "name=='sshd'" => self.filter == "sshd",
            "opts.get('mode')!='aggressive'" => mode != Some("aggressive"),
            "opts.get('mode')=='aggressive'" => mode == Some("aggressive"),
            other => panic!("an unknown condition: {other}"),
        }
    }

    fn add(
        &mut self,
        (file, number, line): (&str, usize, &str),
        expected: &Options,
        options: &Options,
    ) {
        let mut named = self.filter.to_owned();
        for (key, value) in options.iter().filter(|(key, _)| !key.starts_with("test.")) {
            write!(named, "[{key}=\"{}\"]", value.as_str().unwrap()).unwrap();
        }
        let count = self.jails.len();
        let jail = self
            .jails
            .entry(named)
            .or_insert_with(|| format!("{}-{count}", self.filter));
        let is_journal = options.get("logtype").and_then(Value::as_str) == Some("journal");
        let before = options.get("test.prefix-line").and_then(Value::as_str);
        let before = before.filter(|_| is_journal).unwrap_or_default();
        self.cases.push(Case {
            file: file.to_owned(),
            number,
            line: format!("{before}{line}"),
            expected: expected.clone(),
            jail: jail.clone(),
            is_journal,
        });
    }
}

fn directive(line: &str) -> Option<(&str, Value)> {
    let rest = line.trim_start_matches('#');
    let is_comment = rest.len() < line.len();
    let (name, told) = rest.strip_prefix(' ').unwrap_or(rest).split_once(':')?;
    let names = ["failJSON", "fileOptions", "filterOptions", "addFILE"];
    let is_known = is_comment && names.contains(&name);
    is_known.then(|| (name, serde_json::from_str(told).unwrap()))
}

fn object(value: Value) -> Options {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

fn merged(common: &Options, own: Options) -> Options {
    let mut options = common.clone();
    options.extend(own);
    options
}

/// A tree with a jail for each of these filters.
fn tree(root: &Path, readers: &[Reader<'_>]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("filter.d")).unwrap();
    let own = folder.path().join("filter.d");
    for filters in [
        root.join("etc/fail2ban/filter.d"),
        root.join(TESTS).join("config/filter.d"),
    ] {
        for entry in fs::read_dir(filters).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // Filters of the tests name stock ones by where they were among the sources.
            let text = text.replace("../../../../../../../config/filter.d/", "");
            fs::write(own.join(path.file_name().unwrap()), text).unwrap();
        }
    }
    let mut text = String::new();
    for (named, jail) in readers.iter().flat_map(|reader| &reader.jails) {
        writeln!(text, "[{jail}]\nenabled = true\nfilter = {named}").unwrap();
    }
    fs::write(folder.path().join("jail.conf"), text).unwrap();
    let mut problems = Problems::default();
    let tree = Tree::read(folder.path(), VERSION, &mut problems).expect("a tree");
    (folder, tree)
}

fn filters(tree: &Tree) -> HashMap<&str, FilterSet> {
    let reading = Reading {
        hosts: Hosts::Named,
        zone: TimeZone::posix(ZONE).unwrap(),
    };
    let mut filters = HashMap::new();
    for jail in &tree.jails {
        let started = match &jail.state {
            State::On(started) => started,
            state => panic!("{} is not started: {state:?}", jail.name),
        };
        let options = &started.filter.as_ref().unwrap().options;
        let mut problems = Problems::default();
        let file = filter::file(jail.name.parse().unwrap(), options, &reading, &mut problems);
        let Some(file) = file else {
            panic!("{}: {:?}", jail.name, problems.into_sorted());
        };
        let spec = FilterFile::from(file).spec("normal");
        let set = FilterSet::compile(vec![spec]).unwrap_or_else(|error| panic!("{error:?}"));
        filters.insert(jail.name.as_str(), set);
    }
    filters
}

/// What was heard of a log by one filter.
struct Heard {
    reader: LineReader,
    memory: LineMemory,
}

impl Default for Heard {
    fn default() -> Self {
        let form = LineForm::in_zone(TimeZone::posix(ZONE).unwrap());
        Heard {
            reader: LineReader::new(&form, Timestamp::from_micros(NOW * 1_000_000)),
            memory: LineMemory::default(),
        }
    }
}

/// What is wrong with what a filter makes of a line.
fn differences(case: &Case, filters: &FilterSet, heard: &mut Heard) -> Option<String> {
    let now = Timestamp::from_micros(NOW * 1_000_000);
    let line = case.line.as_bytes();
    let record = match case.is_journal {
        true => Record::bare(now, line),
        false => heard.reader.read(line).unwrap().unwrap(),
    };
    let time = record.time;
    let view = View::from(record);
    let findings = filters.findings(&view, &mut heard.memory);
    let Some(finding) = findings.first() else {
        let is_expected = case.expected.get("match") == Some(&Value::Bool(true));
        return is_expected.then(|| "nothing is found".to_owned());
    };
    let found = &finding.found;
    if case.expected.get("match") != Some(&Value::Bool(true)) {
        return Some(format!(
            "pattern {} takes it: {}",
            found.pattern, found.host
        ));
    }
    let said = found.said.as_deref().unwrap();
    for (key, expected) in &case.expected {
        let wrong = match key.as_str() {
            "match" | "desc" | "constraint" => None,
            _ if expected.is_null() => None,
            "host" => wrong(expected, &found.host),
            "attempts" => wrong_number(expected, said.lines),
            "users" => wrong_users(expected, said),
            "time" => {
                let expected = expected.as_str().unwrap();
                let expected = DateTime::strptime("%Y-%m-%dT%H:%M:%S%.f", expected).unwrap();
                let zone = TimeZone::posix(ZONE).unwrap();
                let expected = zone.to_ambiguous_timestamp(expected).later().unwrap();
                let is = said.time.unwrap_or(time);
                // Fail2ban forgets parts of a second, but for moments that are told as a number.
                let is_whole = expected.subsec_microsecond() == 0;
                let unit = if is_whole { 1_000_000 } else { 1 };
                let is_same =
                    expected.as_microsecond().div_euclid(unit) == is.as_micros().div_euclid(unit);
                (!is_same).then(|| is.to_string())
            }
            name => wrong(expected, said.words.get(name).unwrap_or_default()),
        };
        if let Some(is) = wrong {
            return Some(format!("{key} is {is} and should be {expected}"));
        }
    }
    None
}

fn wrong(expected: &Value, is: &str) -> Option<String> {
    let same = expected
        .as_str()
        .map_or_else(|| is.is_empty() && expected.is_null(), |text| text == is);
    (!same).then(|| format!("`{is}`"))
}

fn wrong_number(expected: &Value, is: u32) -> Option<String> {
    (expected.as_u64() != Some(u64::from(is))).then(|| is.to_string())
}

fn wrong_users(expected: &Value, said: &Said) -> Option<String> {
    let mut wanted: Vec<_> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user.as_str().unwrap())
        .collect();
    let mut users: Vec<_> = said.users.iter().map(AsRef::as_ref).collect();
    wanted.sort_unstable();
    users.sort_unstable();
    (wanted != users).then(|| format!("{users:?}"))
}

fn names(logs: &Path, folders: [PathBuf; 2]) -> Vec<String> {
    let mut names = Vec::new();
    for (folder, is_own) in folders.iter().zip([true, false]) {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".conf") else {
                continue;
            };
            let is_meant = if is_own {
                !name.ends_with("common")
            } else {
                name.starts_with("zzz-")
            };
            if is_meant && logs.join(name).is_file() {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn stock_filters_find_what_they_should_in_the_sample_logs() {
    let Some(root) = samples::root("etc/fail2ban/filter.d") else {
        return;
    };
    let logs = root.join(TESTS).join("files/logs");
    let folders = [
        root.join("etc/fail2ban/filter.d"),
        root.join(TESTS).join("config/filter.d"),
    ];
    let names = names(&logs, folders);
    let mut readers: Vec<_> = names
        .iter()
        .map(|filter| Reader {
            logs: &logs,
            filter,
            jails: BTreeMap::new(),
            cases: Vec::new(),
        })
        .collect();
    readers.iter_mut().for_each(Reader::read_all);
    let (_folder, tree) = tree(&root, &readers);
    let filters = filters(&tree);
    let mut heard: HashMap<&str, Heard> = HashMap::new();
    let (mut cases, mut known, mut different) = (0, 0, Vec::new());
    for case in readers.iter().flat_map(|reader| &reader.cases) {
        cases += 1;
        let heard = heard.entry(&case.jail).or_default();
        let mut explained = EXPLAINED.iter();
        let explained =
            explained.find(|(file, number, _)| *file == case.file && *number == case.number);
        let Some(what) = differences(case, &filters[case.jail.as_str()], heard) else {
            continue;
        };
        if explained.is_some() {
            known += 1;
            continue;
        }
        different.push(format!(
            "{}:{} ({}): {what}\n    {}",
            case.file, case.number, case.jail, case.line
        ));
    }
    assert!(cases > 1_000, "only {cases} cases");
    assert!(known >= EXPLAINED.len(), "an explained difference is gone");
    let agreeing = (cases - different.len() - known) * 1_000 / cases;
    assert!(
        different.is_empty() && agreeing >= AGREEING,
        "{} of {cases} differ:\n{}",
        different.len(),
        different.join("\n")
    );
}
