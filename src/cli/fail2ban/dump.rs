//! What does `fail2ban-client -d` list?
//!
//! The commands that Fail2ban's client would send for a tree, as lists of Python, one a line; for people, a line that is too
//! long is broken after each word.

use super::{Dump, NotDone, Session, complain, print};
use crate::config::Problems;
use crate::config::fail2ban::stream;
use crate::config::fail2ban::{Tree, VERSION, is_tree};
use crate::control::fail2ban::value::Value;

/// How many letters a line may have before it is broken for people.
const WIDEST: usize = 1_000;

impl Session {
    /// Lists the settings of a tree.
    pub(super) fn dump(&self, dump: Dump) -> Result<(), NotDone> {
        let Some(folder) = self.config().filter(|folder| is_tree(folder)) else {
            complain(
                "the settings of f2bd are no commands that could be listed: `f2bd check --json` tells them",
            );
            return Err(NotDone);
        };
        self.logging()?;
        let mut problems = Problems::default();
        let tree = Tree::read(&folder, VERSION, &mut problems);
        for problem in problems.into_sorted() {
            complain(&problem.to_string());
        }
        let Some(tree) = tree else {
            print("ERROR: The configuration stream failed because of the invalid syntax.")?;
            return Err(NotDone);
        };
        let said: Vec<_> = self.options.logging.said().collect();
        let commands = stream::commands(&tree, &said);
        let commands = commands.into_iter().map(Value::List);
        let lines = commands.map(|command| match dump {
            Dump::Plain => command.to_string(),
            Dump::Pretty => pretty(&command, 0),
        });
        print(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// A word, broken if it is wide, that begins after so many letters.
fn pretty(word: &Value, before: usize) -> String {
    let plain = word.to_string();
    let Value::List(words) = word else {
        return plain;
    };
    if before + plain.chars().count() < WIDEST {
        return plain;
    }
    let words: Vec<_> = words.iter().map(|word| pretty(word, before + 2)).collect();
    let between = format!(",\n{}", " ".repeat(before + 2));
    format!("[ {}]", words.join(&between))
}
