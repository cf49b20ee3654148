//! What became of each class, for people to read.

use std::fmt::{self, Display};

use super::day::{Class, Intent};
use super::gate::{Judged, Outcome};

/// One line for each class.
pub struct Table(pub Vec<Row>);

/// What became of a class under settings.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub intent: Intent,
    pub hosts: usize,
    pub tries: usize,
    pub plain: Outcome,
    pub recommended: Outcome,
}

impl Row {
    pub fn new(class: &Class, plain: &Judged, recommended: &Judged) -> Row {
        Row {
            name: class.name,
            intent: class.intent,
            hosts: class.hosts.len(),
            tries: class.hosts.values().map(|host| host.tries).sum(),
            plain: plain.outcome(class),
            recommended: recommended.outcome(class),
        }
    }
}

impl Table {
    pub fn row(&self, name: &str) -> &Row {
        self.0.iter().find(|row| row.name == name).unwrap()
    }

    pub fn honest(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(|row| row.intent == Intent::Honest)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let banned = |outcome: fn(&Row) -> Outcome| -> usize {
            self.honest().map(|row| outcome(row).banned).sum()
        };
        let honest: usize = self.honest().map(|row| row.hosts).sum();
        let (plain, recommended) = (banned(|row| row.plain), banned(|row| row.recommended));
        writeln!(
            f,
            "{:50}  {:^17}  {:^17}",
            "", "5 in 10 minutes", "recommended"
        )?;
        writeln!(
            f,
            "{:30}  {:>8}  {:>8}  {:>7}  {:>8}  {:>7}  {:>8}",
            "", "hosts", "tries", "banned", "kept out", "banned", "kept out"
        )?;
        for row in &self.0 {
            let Row {
                name, hosts, tries, ..
            } = row;
            write!(f, "{name:30}  {hosts:>8}  {tries:>8}")?;
            for Outcome { banned, kept_out } in [row.plain, row.recommended] {
                let share = kept_out as f64 / *tries as f64 * 100.0;
                write!(f, "  {banned:>7}  {share:>6.1} %")?;
            }
            writeln!(f)?;
        }
        let title = "honest hosts banned";
        writeln!(
            f,
            "{title:30}  {honest:>8}  {:>8}  {plain:>7}  {:>8}  {recommended:>7}",
            "", ""
        )
    }
}
