//! What does a group do?

use super::super::fault::Fault;
use super::super::syntax::{Change, Flags, Look, Node, Width};
use super::{Begun, Mistake, Parser, is_name, turned_on};

/// What `(?` can be followed by that sets flags.
const FLAGS: &str = "aiLmstux";

impl Parser<'_> {
    /// Reads a group; `None` if it was a comment, or flags for the whole expression, which only the first group can set.
    pub(super) fn group(&mut self, may_set_flags: bool) -> Result<Option<Node>, Mistake> {
        let from = self.at;
        let is_scoped = self.scope_flags();
        self.next();
        if !self.skip("?") {
            return self.capture(None, from).map(Some);
        }
        let bad = (from, Fault::BadGroup);
        let sign = self.next().ok_or(bad.clone())?;
        match sign {
            ':' => self.inside(from).map(|inside| Some(bracketed(inside))),
            '>' => Ok(Some(Node::Atomic(Box::new(self.inside(from)?)))),
            '#' => self.until(')', Fault::OpenGroup).map(|_| None),
            '=' | '!' => self.look(sign == '!', false, from).map(Some),
            '<' => match self.next() {
                Some(sign @ ('=' | '!')) => self.look(sign == '!', true, from).map(Some),
                _ => Err(bad),
            },
            'P' => self.python(from).map(Some),
            '(' => self.condition(from).map(Some),
            '-' => self.flagged(sign, from, is_scoped, may_set_flags),
            sign if FLAGS.contains(sign) => self.flagged(sign, from, is_scoped, may_set_flags),
            _ => Err(bad),
        }
    }

    /// Fail2ban has flags that stand first in a group hold for this group, and takes away what else the group is: `((?i)a)` is
    /// `(?i:a)`. If it is so, goes to the flags.
    fn scope_flags(&mut self) -> bool {
        let rest = self.rest();
        let inner = rest.strip_prefix("(?:").or_else(|| rest.strip_prefix('('));
        let Some(flags) = inner.and_then(|inner| inner.strip_prefix("(?")) else {
            return false;
        };
        let end = flags.find(|next: char| !next.is_ascii_lowercase());
        let is_scoped = end.is_some_and(|end| end > 0 && flags[end..].starts_with(')'));
        if is_scoped {
            self.at += rest.len() - flags.len() - 2;
        }
        is_scoped
    }

    /// The inside of a group, and its end.
    fn inside(&mut self, from: usize) -> Result<Node, Mistake> {
        let inside = self.alternation(false)?;
        self.close(from)?;
        Ok(inside)
    }

    fn close(&mut self, from: usize) -> Result<(), Mistake> {
        match self.skip(")") {
            true => Ok(()),
            false => Err((from, Fault::OpenGroup)),
        }
    }

    fn capture(&mut self, name: Option<String>, from: usize) -> Result<Node, Mistake> {
        if let Some(name) = name.as_deref()
            && self.named(name).is_some()
        {
            return Err((from, Fault::Redefined(name.to_owned())));
        }
        self.groups.push(Begun { name, width: None });
        let number = self.groups.len();
        let inside = self.inside(from)?;
        let width = Width::of(&inside, &self.widths());
        self.groups[number - 1].width = Some(width);
        Ok(Node::Group(number, Box::new(inside)))
    }

    /// `(?P<name>…)` and `(?P=name)`
    fn python(&mut self, from: usize) -> Result<Node, Mistake> {
        if self.skip("<") {
            let name = self.until('>', Fault::BadName)?;
            return match is_name(&name) {
                true => self.capture(Some(name), from),
                false => Err((from, Fault::BadName)),
            };
        }
        if !self.skip("=") {
            return Err((from, Fault::BadGroup));
        }
        let name = self.until(')', Fault::BadName)?;
        let group = self.named(&name).ok_or((from, Fault::NoSuchGroup))?;
        self.refer(group, from)?;
        Ok(Node::Reference(group))
    }

    fn look(&mut self, is_negative: bool, is_behind: bool, from: usize) -> Result<Node, Mistake> {
        let behind = self.behind;
        if is_behind && behind.is_none() {
            self.behind = Some(self.groups.len());
        }
        let inside = self.inside(from)?;
        self.behind = behind;
        let width = Width::of(&inside, &self.widths());
        if is_behind && width.least != width.most {
            return Err((from, Fault::NoOneLength));
        }
        let look = Look {
            is_behind,
            is_negative,
        };
        Ok(Node::Look(look, Box::new(inside)))
    }

    /// `(?(name)yes|no)`
    fn condition(&mut self, from: usize) -> Result<Node, Mistake> {
        let name = self.until(')', Fault::BadName)?;
        let group = match is_name(&name) {
            true => self.named(&name).ok_or((from, Fault::NoSuchGroup))?,
            false => {
                let number = name.parse().ok().filter(|number| *number > 0);
                let group = number.ok_or((from, Fault::BadName))?;
                self.conditions.push((group, from));
                group
            }
        };
        self.refer_behind(group, from)?;
        self.depth += 1;
        let yes = self.sequence(false)?;
        let no = match self.skip("|") {
            true => self.sequence(false)?,
            false => Node::Empty,
        };
        self.depth -= 1;
        if self.peek() == Some('|') {
            return Err((self.at, Fault::ManyBranches));
        }
        self.close(from)?;
        Ok(Node::Condition(group, Box::new(yes), Box::new(no)))
    }

    /// `(?i)`, `(?i:…)`, `(?i-s:…)`, of which the first sign was read.
    fn flagged(
        &mut self,
        sign: char,
        from: usize,
        is_scoped: bool,
        may_set_flags: bool,
    ) -> Result<Option<Node>, Mistake> {
        let bad = (from, Fault::BadFlag);
        let rest = self.rest();
        let end = rest.find([':', ')']).ok_or(bad.clone())?;
        let flags = format!("{sign}{}", &rest[..end]);
        let is_scoped = is_scoped || rest[end..].starts_with(':');
        self.at += end + 1;
        let change = change(&flags).ok_or(bad.clone())?;
        if !is_scoped {
            if flags.contains('-') {
                return Err(bad);
            }
            if !may_set_flags {
                return Err((from, Fault::LateFlags));
            }
            self.flags = self.flags.changed(turned_on(change.on));
            self.verbose = self.flags.verbose;
            return Ok(None);
        }
        if flags.contains('t') {
            return Err(bad);
        }
        let before = self.verbose;
        self.verbose = (before || change.on.verbose) && !change.off.verbose;
        let inside = self.inside(from)?;
        self.verbose = before;
        Ok(Some(Node::Flagged(change, Box::new(inside))))
    }
}

/// What stands in brackets can be repeated, even if it is already.
fn bracketed(inside: Node) -> Node {
    match inside {
        Node::Repeat(..) | Node::Assertion(_) => Node::Concat(vec![inside]),
        other => other,
    }
}

/// What flags change; `None` if they cannot be so.
fn change(flags: &str) -> Option<Change> {
    let (on, off) = match flags.split_once('-') {
        Some((on, off)) => (on, Some(off)),
        None => (flags, None),
    };
    let off = match off {
        Some("") => return None,
        Some(off) => off,
        None => "",
    };
    let is_ascii = on.contains('a');
    let is_unicode = on.contains('u');
    let cannot_be_off = off.contains(['a', 'u', 't']);
    let is_both = on.contains(|flag| off.contains(flag));
    if (is_ascii && is_unicode) || cannot_be_off || is_both {
        return None;
    }
    Some(Change {
        on: flags_of(on)?,
        off: flags_of(off)?,
        unicode: is_unicode,
    })
}

fn flags_of(letters: &str) -> Option<Flags> {
    let mut flags = Flags::default();
    for letter in letters.chars() {
        match letter {
            'i' => flags.ignore_case = true,
            'm' => flags.multi_line = true,
            's' => flags.dot_all = true,
            'a' => flags.ascii = true,
            'x' => flags.verbose = true,
            // What is so in any case, and what nobody knows the meaning of.
            'u' | 't' => {}
            _ => return None,
        }
    }
    Some(flags)
}
