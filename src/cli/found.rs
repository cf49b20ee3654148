//! What was found in a line, or that nothing was.
//!
//! In: a line and what a filter makes of it. Out: a line for people or an object for programs. There may be millions of
//! them.

use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::json;

use super::failure::Failure;
use super::output::{Clock, Out, harmless};
use crate::engine::filter::{FilterSpec, Found};
use crate::engine::record::Record;
use crate::engine::time::Timestamp;

/// What is printed, and how.
#[derive(Debug)]
pub struct Printer<'p> {
    /// For programs.
    pub json: bool,
    /// With the pattern.
    pub explain: bool,
    /// With the filter's name, for there are several.
    pub names_filter: bool,
    /// With the log's name, for there are several.
    pub log: Option<&'p str>,
    /// For people.
    pub clock: &'p Clock,
    /// The time that was printed last.
    pub shown: Shown,
}

/// A line of `--json`, a contract.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    filter: &'a str,
    pattern: u16,
    time: &'a str,
    ip: Option<IpAddr>,
    host: &'a str,
    user: Option<&'a str>,
    target: Option<&'a str>,
    forwarded: Option<&'a str>,
    /// The pattern itself, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The log, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

impl Printer<'_> {
    /// Prints what counts as a failure.
    ///
    /// # Errors
    /// The output is gone.
    pub fn found(
        &mut self,
        out: &mut Out,
        spec: &FilterSpec,
        number: u64,
        record: &Record<'_>,
        found: &Found<'_>,
    ) -> Result<(), Failure> {
        let mut patterns = spec.failures.iter();
        let pattern = match self.explain {
            true => patterns.find(|pattern| pattern.number == found.pattern),
            false => None,
        };
        if self.json {
            let line = Line {
                line: number,
                filter: spec.name.as_str(),
                pattern: found.pattern,
                time: self.shown.utc(record.time),
                ip: found.ip,
                host: &found.host,
                user: found.user.as_deref(),
                target: found.target.as_deref(),
                forwarded: found.forwarded.as_deref(),
                text: pattern.map(ToString::to_string),
                log: self.log,
            };
            serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            return Ok(());
        }
        self.place(out, number)?;
        if self.names_filter {
            write!(out, "{} ", spec.name)?;
        }
        let time = self.shown.local(record.time, self.clock);
        write!(out, "pattern {} {time}", found.pattern)?;
        if !found.host.is_empty() {
            write!(out, " {}", harmless(&found.host))?;
        }
        for (what, text) in [
            ("user", &found.user),
            ("target", &found.target),
            ("forwarded", &found.forwarded),
        ] {
            if let Some(text) = text {
                write!(out, " {what} `{}`", harmless(text))?;
            }
        }
        writeln!(out)?;
        if self.explain {
            let line = String::from_utf8_lossy(found.line);
            let pattern = pattern.map(ToString::to_string).unwrap_or_default();
            writeln!(out, "    {}\n    {pattern}", harmless(&line))?;
        }
        Ok(())
    }

    /// Prints what no pattern takes.
    ///
    /// # Errors
    /// The output is gone.
    pub fn missed(&self, out: &mut Out, number: u64, record: &Record<'_>) -> Result<(), Failure> {
        let message = String::from_utf8_lossy(record.message);
        if self.json {
            let mut line =
                json!({ "line": number, "program": record.program, "message": &*message });
            if let Some(log) = self.log {
                line["log"] = log.into();
            }
            writeln!(out, "{line}")?;
            return Ok(());
        }
        self.place(out, number)?;
        if !record.program.is_empty() {
            write!(out, "{} ", harmless(record.program))?;
        }
        writeln!(out, "{}", harmless(&message))?;
        Ok(())
    }

    fn place(&self, out: &mut Out, number: u64) -> Result<(), Failure> {
        match self.log {
            Some(log) => write!(out, "{}:{number}: ", harmless(log))?,
            None => write!(out, "{number}: ")?,
        }
        Ok(())
    }
}

/// The time that was shown last. Lines of the same second follow one another, and telling the date costs as much as
/// finding the failure.
#[derive(Debug, Default)]
pub struct Shown {
    second: Option<i64>,
    text: String,
    /// How much of the text is the second's.
    length: usize,
}

impl Shown {
    /// As a moment displays itself.
    fn utc(&mut self, moment: Timestamp) -> &str {
        let (second, micros) = parts(moment);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = Timestamp::from_micros(moment.as_micros() - micros).to_string();
            self.length = self.text.strip_suffix('Z').map_or(0, str::len);
        }
        if self.length == 0 {
            // Too far away for a date.
            self.second = None;
            self.text = moment.to_string();
            return &self.text;
        }
        self.text.truncate(self.length);
        if micros > 0 {
            // Writing to a String cannot fail.
            let _ = write!(self.text, ".{micros:06}");
            self.text.truncate(self.text.trim_end_matches('0').len());
        }
        self.text.push('Z');
        &self.text
    }

    /// As the clock shows it.
    pub fn local(&mut self, moment: Timestamp, clock: &Clock) -> &str {
        let (second, _) = parts(moment);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = clock.show(moment);
        }
        &self.text
    }
}

/// The second since 1970, and what is over.
fn parts(moment: Timestamp) -> (i64, i64) {
    let micros = moment.as_micros();
    (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_are_shown_as_they_display_themselves(
            moments in proptest::collection::vec(
                prop_oneof![
                    any::<i64>(),
                    -3_000_000_i64..3_000_000,
                    (0_i64..3).prop_map(|second| 1_770_905_421_000_000 + second * 500_000),
                ],
                1..20,
            ),
        ) {
            let mut shown = Shown::default();
            for moment in moments.into_iter().map(Timestamp::from_micros) {
                prop_assert_eq!(shown.utc(moment), moment.to_string());
            }
        }
    }
}
