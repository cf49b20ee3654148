//! Which lines has a container written to its two outputs?
//!
//! In: the parts of lines, those of both outputs between each other. Out: whole lines. What is left of a line whose
//! beginning is not known must not pass for a line of its own: an attacker can choose how that begins.

use super::LONGEST_MESSAGE;
use super::json::Chunk;
use super::line::{LONGEST_LINE, Malformed};

/// What is kept of a line of text, with room for what stands before the message.
const LONGEST_TEXT: usize = LONGEST_MESSAGE + 1024;

/// The room that is kept for lines that are not over: most are shorter, and there are two for each log.
const KEPT_ROOM: usize = 8 * 1024;

/// In which outputs the last line of a log is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// In the standard output.
    pub stdout: bool,
    /// In the standard error output.
    pub stderr: bool,
}

impl Unfinished {
    /// In neither, as at the beginning of a log.
    pub const NONE: Self = Unfinished {
        stdout: false,
        stderr: false,
    };

    /// Perhaps in both, as anywhere else.
    pub const BOTH: Self = Unfinished {
        stdout: true,
        stderr: true,
    };
}

/// What a part makes of its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output<'o> {
    /// It goes on.
    Unfinished,
    /// It is over, and this is all of it.
    Whole(&'o [u8]),
    /// It is over, and this is how a line of text begins that is over the limit.
    Cut(&'o [u8]),
    /// It is over, and too much of it is missing.
    Lost,
}

/// The lines that are not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Outputs {
    stdout: Pending,
    stderr: Pending,
}

#[derive(Clone, Debug, Default)]
struct Pending {
    line: Vec<u8>,
    /// Whether the line has more parts to come.
    goes_on: bool,
    missing: Missing,
}

/// What is not kept of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Missing {
    #[default]
    Nothing,
    /// What is over the limit.
    Rest,
    /// Its beginning, or anything else.
    Beginning,
}

impl Outputs {
    /// Begins behind a place where these lines were not over; what is left of them is dropped.
    pub fn resume(&mut self, unfinished: Unfinished) {
        self.stdout = Pending::resumed(unfinished.stdout);
        self.stderr = Pending::resumed(unfinished.stderr);
    }

    /// Comes behind a line that no engine writes, as where the machine went down: if lines were not over, it may have held
    /// the end of one and the beginning of another, of either output.
    pub fn tear(&mut self) {
        if self.unfinished() != Unfinished::NONE {
            self.resume(Unfinished::BOTH);
        }
    }

    /// Which lines are not over.
    pub fn unfinished(&self) -> Unfinished {
        Unfinished {
            stdout: self.stdout.goes_on,
            stderr: self.stderr.goes_on,
        }
    }

    /// Adds a part to its line.
    ///
    /// # Errors
    /// There is no such output.
    pub fn add(&mut self, part: &Chunk<'_>) -> Result<Output<'_>, Malformed> {
        Ok(self.of(part.output)?.add(part))
    }

    /// Adds a part that lost its end.
    ///
    /// # Errors
    /// There is no such output.
    pub fn add_cut(&mut self, part: &Chunk<'_>) -> Result<Output<'_>, Malformed> {
        let pending = self.of(part.output)?;
        *pending = Pending::resumed(true);
        Ok(pending.add(part))
    }

    fn of(&mut self, name: &[u8]) -> Result<&mut Pending, Malformed> {
        match name {
            b"stdout" => Ok(&mut self.stdout),
            b"stderr" => Ok(&mut self.stderr),
            _ => {
                self.tear();
                Err(Malformed)
            }
        }
    }
}

impl Pending {
    fn resumed(goes_on: bool) -> Self {
        Pending {
            line: Vec::new(),
            goes_on,
            missing: match goes_on {
                true => Missing::Beginning,
                false => Missing::Nothing,
            },
        }
    }

    fn add(&mut self, part: &Chunk<'_>) -> Output<'_> {
        if !std::mem::replace(&mut self.goes_on, part.goes_on) {
            self.missing = Missing::Nothing;
            self.line.clear();
            // A rare long line must not hold its room for ever.
            self.line.shrink_to(KEPT_ROOM);
        }
        if self.missing != Missing::Beginning {
            let first = self.line.first().or(part.text.first());
            // An object is understood as a whole or not at all.
            let limit = match first {
                Some(b'{') => LONGEST_LINE,
                _ => LONGEST_TEXT,
            };
            let room = limit - self.line.len().min(limit);
            let text = part.text.get(..room).unwrap_or(part.text);
            self.line.extend_from_slice(text);
            if text.len() < part.text.len() {
                self.missing = match limit {
                    LONGEST_LINE => Missing::Beginning,
                    _ => Missing::Rest,
                };
            }
        }
        match self.missing {
            _ if part.goes_on => Output::Unfinished,
            Missing::Nothing => Output::Whole(&self.line),
            Missing::Rest => Output::Cut(&self.line),
            Missing::Beginning => Output::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part<'t>(output: &'t str, text: &'t str, goes_on: bool) -> Chunk<'t> {
        Chunk {
            time: b"",
            output: output.as_bytes(),
            text: text.as_bytes(),
            goes_on,
        }
    }

    #[test]
    fn a_line_of_text_over_the_limit_is_cut_and_an_object_is_lost() {
        let mut outputs = Outputs::default();
        let piece = "x".repeat(LONGEST_TEXT / 2 + 1);
        for _ in 0..3 {
            let made = outputs.add(&part("stdout", &piece, true));
            assert_eq!(made, Ok(Output::Unfinished));
        }
        let made = outputs.add(&part("stdout", "lie", false));
        assert_eq!(made, Ok(Output::Cut("x".repeat(LONGEST_TEXT).as_bytes())));
        let object = format!("{{{piece}");
        outputs.add(&part("stderr", &object, true)).expect("a part");
        let made = outputs.add(&part("stderr", &piece, false));
        let whole = object.clone() + &piece;
        assert_eq!(made, Ok(Output::Whole(whole.as_bytes())));
        for _ in 0..LONGEST_LINE / piece.len() + 1 {
            outputs.add(&part("stderr", &object, true)).expect("a part");
        }
        let made = outputs.add(&part("stderr", "lie", false));
        assert_eq!(made, Ok(Output::Lost));
        outputs.add(&part("stderr", "x", false)).expect("a part");
        assert!(outputs.stderr.line.capacity() <= KEPT_ROOM);
    }

    #[test]
    fn a_part_that_was_cut_does_not_end_its_line() {
        let mut outputs = Outputs::default();
        let cut = outputs.add_cut(&part("stdout", "begin", true));
        assert_eq!(cut, Ok(Output::Unfinished));
        let other = outputs.add(&part("stderr", "other", false));
        assert_eq!(other, Ok(Output::Whole(b"other")));
        let rest = outputs.add(&part("stdout", "rest", false));
        assert_eq!(rest, Ok(Output::Lost));
        let next = outputs.add(&part("stdout", "next", false));
        assert_eq!(next, Ok(Output::Whole(b"next")));
        let cut = outputs.add_cut(&part("stdout", "all", false));
        assert_eq!(cut, Ok(Output::Lost));
        assert_eq!(outputs.unfinished(), Unfinished::NONE);
        assert_eq!(outputs.add(&part("stdin", "", false)), Err(Malformed));
    }

    proptest! {
        /// Wherever one resumes, what comes are whole lines and all that begin behind that place.
        #[test]
        fn no_tail_passes_for_a_line(
            parts in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..30),
            resumed in 0_usize..30,
        ) {
            let texts: Vec<String> = (0..parts.len()).map(|number| format!("{number} ")).collect();
            let parts: Vec<_> = parts
                .iter()
                .zip(&texts)
                .map(|((error, goes_on), text)| part(if *error { "stderr" } else { "stdout" }, text, *goes_on))
                .collect();
            let lines = |outputs: &mut Outputs, parts: &[Chunk<'_>]| -> Vec<Option<String>> {
                let mut take = |part| match outputs.add(part) {
                    Ok(Output::Whole(line)) => Some(String::from_utf8_lossy(line).into_owned()),
                    _ => None,
                };
                parts.iter().map(&mut take).collect()
            };
            let resumed = resumed.min(parts.len());
            let mut outputs = Outputs::default();
            lines(&mut outputs, &parts[..resumed]);
            let mut after = Outputs::default();
            after.resume(outputs.unfinished());
            let seen = lines(&mut after, &parts[resumed..]);
            let all = lines(&mut Outputs::default(), &parts);
            for (line, seen) in all[resumed..].iter().zip(seen) {
                let begins_before = |line: &String| {
                    line.split(' ').next().and_then(|number| number.parse().ok()).is_none_or(|number: usize| number < resumed)
                };
                prop_assert_eq!(seen, line.clone().filter(|line| !begins_before(line)));
            }
        }
    }
}
