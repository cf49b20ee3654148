//! Which lines of a file are of bans that nobody knows of?
//!
//! In: what the file held, what it would hold without any ban, and what it is to hold. Out: the last with the lines that
//! only the first has, each where it stood. For as long as not all bans are known, so that nobody is let go meanwhile.

use std::collections::{BTreeMap, HashSet};

/// Lines of an earlier run.
#[derive(Debug, Default)]
pub struct Unknown {
    /// By how many of the lines that are always there stand before them.
    lines: BTreeMap<usize, Vec<String>>,
}

impl Unknown {
    /// Those of `old`; `None` if that was not made of the same lines that are always there, so that nobody can say what its
    /// others mean.
    pub fn find(old: &str, always: &str) -> Option<Unknown> {
        let mut always = always.lines().peekable();
        let mut lines: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut before = 0;
        for line in old.lines() {
            match always.next_if_eq(&line) {
                Some(_) => before += 1,
                None => lines.entry(before).or_default().push(line.to_owned()),
            }
        }
        always.next().is_none().then_some(Unknown { lines })
    }

    /// `new` and these. What is known from now on is known for good: once it is lifted, it is gone.
    pub fn add_to(&mut self, new: String, always: &str) -> String {
        let known: HashSet<&str> = new.lines().collect();
        for lines in self.lines.values_mut() {
            lines.retain(|line| !known.contains(line.as_str()));
        }
        self.lines.retain(|_, lines| !lines.is_empty());
        if self.lines.is_empty() {
            return new;
        }
        let mut text = String::new();
        let mut add = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        let mut always = always.lines().peekable();
        let mut before = 0;
        let kept = |before| self.lines.get(&before).into_iter().flatten();
        for line in new.lines() {
            if always.next_if_eq(&line).is_some() {
                kept(before).for_each(|line| add(line));
                before += 1;
            }
            add(line);
        }
        kept(before).for_each(|line| add(line));
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALWAYS: &str = "geo {\ndefault 0;\n}\n";

    fn file(addresses: &[&str]) -> String {
        let lines = addresses.iter().map(|address| format!("{address} 1;\n"));
        format!("geo {{\ndefault 0;\n{}}}\n", lines.collect::<String>())
    }

    #[test]
    fn what_nobody_knows_of_stays_where_it_is() {
        let old = file(&["192.0.2.1", "192.0.2.2"]);
        let mut unknown = Unknown::find(&old, ALWAYS).expect("the same lines are always there");
        let new = file(&["192.0.2.2", "192.0.2.3"]);
        let both = file(&["192.0.2.2", "192.0.2.3", "192.0.2.1"]);
        assert_eq!(unknown.add_to(new, ALWAYS), both);
        // The second was known, and is lifted.
        let rest = file(&["192.0.2.3", "192.0.2.1"]);
        assert_eq!(unknown.add_to(file(&["192.0.2.3"]), ALWAYS), rest);
        // The first is banned anew, and lifted.
        unknown.add_to(file(&["192.0.2.1"]), ALWAYS);
        assert_eq!(unknown.add_to(file(&[]), ALWAYS), file(&[]));
    }

    #[test]
    fn a_file_of_another_form_tells_nothing() {
        assert!(Unknown::find("192.0.2.1\n192.0.2.2\n", ALWAYS).is_none());
        let plain = Unknown::find("192.0.2.1\n", "").map(|mut it| it.add_to(String::new(), ""));
        assert_eq!(plain.as_deref(), Some("192.0.2.1\n"));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_new_comes(old in "([ab1{}]{0,2}\n){0,9}", new in "([ab1]{0,2}\n){0,5}") {
            let old = format!("{{\n{old}}}\n");
            let new = format!("{{\n{new}}}\n");
            let mut unknown = Unknown::find(&old, "{\n}\n").expect("it begins and ends so");
            let text = unknown.add_to(new.clone(), "{\n}\n");
            let has = |text: &str, line: &str| text.lines().any(|own| own == line);
            prop_assert!(old.lines().chain(new.lines()).all(|line| has(&text, line)));
            prop_assert!(text.lines().all(|line| has(&old, line) || has(&new, line)));
        }
    }
}
