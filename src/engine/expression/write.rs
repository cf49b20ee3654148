//! How is an expression written for `regex`, and what does it leave out?
//!
//! In: a tree. Out: text that takes all that the tree takes, and more. Where it would look around, a group marks the place,
//! and what has to hold there is told beside.

use super::dialect::{Borders, is_condition, looks_around, refers, spelt_out};
use super::line::with_flags;
use super::linear::{self, Expression};
use super::rule::{Rule, What};
use super::tree::{self, Item, Part, Row};

/// An expression for `regex` that takes all that `source` takes and more: what looks around is left out, what refers to a
/// group takes anything, and of a condition either branch will do.
///
/// # Errors
/// Its brackets are wrong.
pub(in crate::engine) fn relaxed(source: &str) -> Result<String, String> {
    Ok(relaxed_branches(&tree::parse(source)?))
}

/// As [`relaxed`].
pub(super) fn relaxed_branches(branches: &[Row<'_>]) -> String {
    let mut writer = Writer {
        keeps_names: true,
        ..Writer::default()
    };
    writer.branches(branches);
    writer.text
}

/// A loose expression.
pub(super) struct Written<'s> {
    /// For `regex`.
    pub(super) text: String,
    /// Its groups that had a name, with their numbers.
    pub(super) groups: Vec<(&'s str, usize)>,
    /// What has to hold; nothing if that cannot be told.
    pub(super) rules: Option<Vec<Rule>>,
}

/// The loose expression of some branches.
pub(super) fn written<'s>(branches: &[Row<'s>], multi_line: bool) -> Written<'s> {
    let mut writer = Writer {
        multi_line,
        ..Writer::default()
    };
    writer.branches(branches);
    Written {
        text: with_flags(&writer.text, multi_line),
        groups: writer.groups,
        rules: writer.rules,
    }
}

#[derive(Debug)]
struct Writer<'s> {
    text: String,
    multi_line: bool,
    /// Whether groups keep their names, and nothing is marked.
    keeps_names: bool,
    /// How many groups capture.
    captures: usize,
    groups: Vec<(&'s str, usize)>,
    rules: Option<Vec<Rule>>,
    /// How many groups around this place are repeated.
    repeated: usize,
    /// The flags of groups around this place, as they are written.
    flags: String,
}

impl Default for Writer<'_> {
    fn default() -> Self {
        Writer {
            text: String::new(),
            multi_line: false,
            keeps_names: false,
            captures: 0,
            groups: Vec::new(),
            rules: Some(Vec::new()),
            repeated: 0,
            flags: String::new(),
        }
    }
}

impl<'s> Writer<'s> {
    fn branches(&mut self, branches: &[Row<'s>]) {
        for (number, row) in branches.iter().enumerate() {
            if number > 0 {
                self.text.push('|');
            }
            row.iter().for_each(|item| self.item(item));
        }
    }

    fn item(&mut self, item: &Item<'s>) {
        match &item.part {
            Part::Leaf(leaf) => self.leaf(leaf, item),
            Part::Group(open, branches) if looks_around(open) => self.look(open, branches, item),
            Part::Group(open, branches) => match self.guarded(item) {
                Some((what, group)) => self.mark(what, true, &group),
                None => self.group(open, branches, item),
            },
        }
    }

    fn leaf(&mut self, leaf: &'s str, item: &Item<'s>) {
        match leaf {
            r"\b" | r"\B" if self.marks(item) => {
                return self.mark(What::Border, leaf == r"\B", "()");
            }
            r"\b" | r"\B" => return self.leave_out(item),
            _ if leaf.starts_with('\\') && refers(leaf) => {
                self.rules = None;
                self.text.push_str("(?s:.*)");
            }
            _ => {
                // What changes flags changes those of what follows, and these are signs that something is repeated twice.
                if leaf.starts_with("(?") || ["*", "+", "?", "{"].contains(&leaf) {
                    self.rules = None;
                }
                self.text.push_str(&spelt_out(leaf, Borders::Ascii));
            }
        }
        self.text.push_str(item.times);
    }

    fn look(&mut self, open: &str, branches: &[Row<'s>], item: &Item<'s>) {
        let is_behind = open.starts_with("(?<");
        if !self.marks(item) {
            return self.leave_out(item);
        }
        let ends = |item: &Item<'_>| matches!(item.part, Part::Leaf("$" | r"\z"));
        let looks_on = branches
            .iter()
            .flatten()
            .any(|item| item.any(&mut { ends }));
        let inside = (!is_behind || !looks_on).then(|| self.inside(branches));
        let what = inside.flatten().and_then(|inside| match is_behind {
            true => Some(What::Behind(self.expression(&format!("(?:{inside})\\z"))?)),
            false => Some(What::Ahead(self.expression(&inside)?)),
        });
        match what {
            Some(what) => self.mark(what, open.ends_with('!'), "()"),
            None => self.leave_out(item),
        }
    }

    /// Whether the place of an item can be marked.
    fn marks(&self, item: &Item<'s>) -> bool {
        !self.keeps_names && self.rules.is_some() && self.repeated == 0 && item.times.is_empty()
    }

    /// Leaves something out of which nothing will be known.
    fn leave_out(&mut self, item: &Item<'s>) {
        self.rules = None;
        // Something has to be there for what may repeat it.
        self.text.push_str("(?:)");
        self.text.push_str(item.times);
    }

    /// Marks a place by a group.
    fn mark(&mut self, what: What, is_negative: bool, group: &str) {
        self.captures += 1;
        let mark = self.captures;
        self.text.push_str(group);
        if let Some(rules) = &mut self.rules {
            rules.push(Rule {
                mark,
                what,
                is_negative,
            });
        }
    }

    fn group(&mut self, open: &'s str, branches: &[Row<'s>], item: &Item<'s>) {
        let flags_around = self.flags.len();
        match (item.name(), open) {
            (Some(name), _) => {
                self.captures += 1;
                self.groups.push((name, self.captures));
                self.text
                    .push_str(if self.keeps_names { open } else { "(" });
            }
            (None, "(") => {
                self.captures += 1;
                self.text.push('(');
            }
            (None, "(?:") => self.text.push_str(open),
            (None, "(?>") => {
                self.rules = None;
                self.text.push_str("(?:");
            }
            (None, _) if is_condition(open) => {
                self.rules = None;
                self.text.push_str("(?:");
            }
            (None, flags) => {
                self.text.push_str(flags);
                self.flags.push_str(&flags.replace(':', ")"));
            }
        }
        let is_repeated = !matches!(item.times, "" | "?" | "??");
        self.repeated += usize::from(is_repeated);
        // What the last of its turns is, if one may take nothing, is told in another way by each engine.
        if item.name().is_some() && self.repeated > 0 {
            self.rules = None;
        }
        self.branches(branches);
        self.repeated -= usize::from(is_repeated);
        if is_condition(open) && branches.len() == 1 {
            self.text.push('|');
        }
        self.flags.truncate(flags_around);
        self.text.push(')');
        self.text.push_str(item.times);
    }

    /// Of `(?:(?!x).)*`, what it must not be, and the group that takes its place.
    fn guarded(&self, item: &Item<'s>) -> Option<(What, String)> {
        let Part::Group("(?:", branches) = &item.part else {
            return None;
        };
        let ([row], "*" | "+" | "*?" | "+?") = (&branches[..], item.times) else {
            return None;
        };
        let [look, taken] = &row[..] else {
            return None;
        };
        match (&look.part, &taken.part) {
            (Part::Group("(?!", guard), Part::Leaf(leaf))
                if takes_a_character(leaf) && self.marks(look) && taken.times.is_empty() =>
            {
                let what = What::Within(self.expression(&self.inside(guard)?)?);
                let taken = spelt_out(leaf, Borders::Ascii);
                Some((what, format!("({taken}{})", item.times)))
            }
            _ => None,
        }
    }

    /// What stands in a look, if it is an expression for `regex` of which nobody wants to know what its groups took.
    fn inside(&self, branches: &[Row<'s>]) -> Option<String> {
        let mut inside = Writer::default();
        inside.branches(branches);
        let is_linear = inside.rules.is_some_and(|rules| rules.is_empty());
        (is_linear && inside.groups.is_empty()).then_some(inside.text)
    }

    /// An expression, as it is meant at this place.
    fn expression(&self, text: &str) -> Option<Expression> {
        let source = with_flags(&format!("{}{text}", self.flags), self.multi_line);
        let hir = linear::parse(&source).ok()?;
        Expression::new(source, &hir).ok()
    }
}

/// Whether a leaf takes a character, neither more nor less.
fn takes_a_character(leaf: &str) -> bool {
    leaf == "."
        || leaf.starts_with('[')
        || [r"\w", r"\W", r"\s", r"\S", r"\d", r"\D"].contains(&leaf)
}
