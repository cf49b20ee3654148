//! What does `fail2ban-regex` tell people?
//!
//! In: what became of each line. Out: the report that Fail2ban prints, in its own form. What looks at the lines is not here.

use std::io::{self, Write};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::output::Out;
use crate::config::fail2ban::date;
use crate::control::fail2ban::value::Value;
use crate::engine::filter::line::Words;
use crate::engine::record::kept::is_odd;
use crate::engine::time::Timestamp;

/// What is listed of lines, and what not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Nothing.
    None,
    /// All if they are few, or else how to see them.
    Few,
    /// All.
    All,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is none of the failures that it looks like.
    Ignored,
    /// Somebody has failed.
    Matched,
    /// No pattern takes it.
    Missed,
}

/// Lines of one fate.
#[derive(Debug)]
struct Lines {
    count: usize,
    listing: Listing,
    listed: Vec<String>,
}

/// An expression, and how often it took a line.
#[derive(Debug)]
struct Tally {
    text: String,
    hits: usize,
    /// Who has failed by it and when, if all is told.
    told: Vec<String>,
}

/// All that is told at the end.
#[derive(Debug)]
pub struct Report {
    tells_all: bool,
    most: usize,
    prefix: Option<Tally>,
    failures: Vec<Tally>,
    ignores: Vec<Tally>,
    /// Templates of dates by their numbers; nothing where dates are told otherwise.
    dates: Option<Vec<Tally>>,
    ignored: Lines,
    matched: Lines,
    missed: Lines,
    tested: usize,
}

/// What somebody wants to see.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Also what was not found, and who was.
    pub tells_all: bool,
    /// So many lines are few.
    pub most: usize,
    /// Of ignored lines.
    pub ignored: Listing,
    /// Of failures.
    pub matched: Listing,
    /// Of lines that no pattern takes.
    pub missed: Listing,
}

fn tallies<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Tally> {
    let tally = |text: &str| Tally {
        text: text.to_owned(),
        hits: 0,
        told: Vec::new(),
    };
    texts.map(tally).collect()
}

impl Report {
    /// Nothing has happened yet. The expressions are those of Fail2ban's files.
    pub fn new<'t>(
        wanted: Wanted,
        prefix: Option<&'t str>,
        failures: impl Iterator<Item = &'t str>,
        ignores: impl Iterator<Item = &'t str>,
        dates: Option<&'t [Box<str>]>,
    ) -> Self {
        let lines = |listing| Lines {
            count: 0,
            listing,
            listed: Vec::new(),
        };
        Report {
            tells_all: wanted.tells_all,
            most: wanted.most,
            prefix: tallies(prefix.into_iter()).pop(),
            failures: tallies(failures),
            ignores: tallies(ignores),
            dates: dates.map(|names| tallies(names.iter().map(|name| &**name))),
            ignored: lines(wanted.ignored),
            matched: lines(wanted.matched),
            missed: lines(wanted.missed),
            tested: 0,
        }
    }

    /// The prefix pattern took that of a line.
    pub fn prefixed(&mut self, words: &Words) {
        let (tells_all, most) = (self.tells_all, self.most);
        let Some(prefix) = &mut self.prefix else {
            return;
        };
        prefix.hits += 1;
        if tells_all && prefix.told.len() <= most {
            let groups = words
                .groups()
                .map(|(name, text)| (name.to_owned(), text.map_or(Value::Nothing, Value::from)));
            let text = match prefix.told.len() == most {
                true => "...".to_owned(),
                false => Value::Map(groups.collect()).to_string(),
            };
            prefix.told.push(text);
        }
    }

    /// A date of a line was found by that template.
    pub fn dated(&mut self, template: usize) {
        let dates = self.dates.as_mut();
        if let Some(tally) = dates.and_then(|dates| dates.get_mut(template)) {
            tally.hits += 1;
        }
    }

    /// The ignoring pattern at that place took a line.
    pub fn ignored(&mut self, place: usize) {
        if let Some(tally) = self.ignores.get_mut(place) {
            tally.hits += 1;
        }
    }

    /// The failure pattern of that number took a line, which tells of that id, if of any; it may be that others took it
    /// before.
    pub fn failed(
        &mut self,
        pattern: u16,
        id: Option<&str>,
        time: Timestamp,
        is_one_of_many: bool,
    ) {
        let place = usize::from(pattern).checked_sub(1);
        let tally = place.and_then(|place| self.failures.get_mut(place));
        let Some(tally) = tally else {
            return;
        };
        tally.hits += 1;
        if self.tells_all {
            let id = id.unwrap_or("None");
            let many = match is_one_of_many {
                true => " (multiple regex matched)",
                false => "",
            };
            tally.told.push(format!("{id}  {}{many}", moment(time)));
        }
    }

    /// That became of a line.
    pub fn line(&mut self, line: &str, fate: Fate) {
        self.tested += 1;
        let most = self.most;
        let lines = self.lines(fate);
        lines.count += 1;
        let is_listed = match lines.listing {
            Listing::None => false,
            // One more, so that it is known that they are too many.
            Listing::Few => lines.count <= most + 1,
            Listing::All => true,
        };
        if is_listed {
            lines.listed.push(line.to_owned());
        }
    }

    /// An earlier line that nothing had taken belongs to a failure.
    pub fn found_later(&mut self, line: &str) {
        let missed = &mut self.missed;
        missed.count = missed.count.saturating_sub(1);
        if let Some(at) = missed.listed.iter().position(|missed| missed == line) {
            missed.listed.remove(at);
        }
        self.matched.count += 1;
        if self.matched.listing == Listing::All {
            self.matched.listed.push(line.to_owned());
        }
    }

    fn lines(&mut self, fate: Fate) -> &mut Lines {
        match fate {
            Fate::Ignored => &mut self.ignored,
            Fate::Matched => &mut self.matched,
            Fate::Missed => &mut self.missed,
        }
    }

    /// Prints all of it.
    ///
    /// # Errors
    /// The output is gone.
    pub fn print(&self, out: &mut Out, elapsed: Duration) -> io::Result<()> {
        writeln!(out, "\nResults\n=======")?;
        if let Some(prefix) = &self.prefix {
            writeln!(out, "\nPrefregex: {} total", prefix.hits)?;
            let told = prefix.told.iter().map(|told| format!("    {told}"));
            let lines = std::iter::once(prefix.text.clone()).chain(told);
            list(out, None, &lines.collect::<Vec<_>>())?;
        }
        self.print_expressions(out, "Failregex", &self.failures)?;
        self.print_expressions(out, "Ignoreregex", &self.ignores)?;
        if let Some(dates) = &self.dates {
            writeln!(out, "\nDate template hits:")?;
            list(
                out,
                Some("[# of hits] date format"),
                &self.date_lines(dates),
            )?;
        }
        writeln!(
            out,
            "\nLines: {} lines, {} ignored, {} matched, {} missed",
            self.tested, self.ignored.count, self.matched.count, self.missed.count
        )?;
        writeln!(out, "[processed in {:.2} sec]\n", elapsed.as_secs_f64())?;
        if self.matched.listing == Listing::All {
            self.print_lines(out, "Matched", &self.matched)?;
        }
        self.print_lines(out, "Ignored", &self.ignored)?;
        self.print_lines(out, "Missed", &self.missed)
    }

    fn print_expressions(&self, out: &mut Out, title: &str, tallies: &[Tally]) -> io::Result<()> {
        let total: usize = tallies.iter().map(|tally| tally.hits).sum();
        writeln!(out, "\n{title}: {total} total")?;
        let mut lines = Vec::new();
        for (tally, number) in tallies.iter().zip(1..) {
            if tally.hits == 0 && !self.tells_all {
                continue;
            }
            lines.push(format!("{number:>2}) [{}] {}", tally.hits, tally.text));
            lines.extend(tally.told.iter().map(|told| format!("    {told}")));
        }
        list(out, Some(" #) [# of hits] regular expression"), &lines)
    }

    /// Those of one name together, the most frequent ones first.
    fn date_lines(&self, dates: &[Tally]) -> Vec<String> {
        let mut named: Vec<(String, usize)> = Vec::new();
        for tally in dates {
            let name = date::named(&tally.text);
            match named.iter_mut().find(|(known, _)| *known == name) {
                Some((_, hits)) => *hits += tally.hits,
                None => named.push((name, tally.hits)),
            }
        }
        named.retain(|(_, hits)| *hits > 0 || self.tells_all);
        named.sort_by_key(|(_, hits)| std::cmp::Reverse(*hits));
        let lines = named.iter().map(|(name, hits)| format!("[{hits}] {name}"));
        lines.collect()
    }

    fn print_lines(&self, out: &mut Out, title: &str, lines: &Lines) -> io::Result<()> {
        if lines.count == 0 || lines.listing == Listing::None {
            return Ok(());
        }
        if lines.listing == Listing::All || lines.count < self.most {
            let shown: Vec<_> = lines.listed.iter().map(|line| plain(line)).collect();
            return list(out, Some(&format!("{title} line(s):")), &shown);
        }
        writeln!(
            out,
            "{title} line(s): too many to print.  Use --print-all-{} to print all {} lines",
            title.to_lowercase(),
            lines.count
        )
    }
}

/// Prints lines as branches, if there are some.
fn list(out: &mut Out, heading: Option<&str>, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    if let Some(heading) = heading {
        writeln!(out, "|- {heading}")?;
    }
    for line in lines {
        writeln!(out, "|  {line}")?;
    }
    writeln!(out, "`-")
}

/// A line that does nothing to a terminal.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    for sign in line.trim_end().chars() {
        match is_odd(sign) && sign != '\t' {
            true => plain.extend(sign.escape_default()),
            false => plain.push(sign),
        }
    }
    plain
}

fn moment(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.as_micros()) {
        Ok(known) => known
            .to_zoned(TimeZone::system())
            .strftime("%a %b %d %H:%M:%S %Y")
            .to_string(),
        Err(_) => time.to_string(),
    }
}
