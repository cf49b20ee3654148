//! In which ways can an expression with conditions take a text?
//!
//! What a condition asks for was decided further to the left. There the expression is cut into ways, one for each answer, of
//! which each has all that follows; in it the condition is what it comes to. Which is tried before which stays as it was.
//! In: a tree. Out: trees, those before coming first; the same one where that is not so simple.

use regex_automata::dfa::onepass;
use regex_automata::util::syntax;

use super::dialect::{is_condition, looks_around};
use super::tree::{Item, Part, Row};
use super::write::relaxed_branches;

/// Ways of one expression, at the most: those of stock filters come to eight. Each can be as long as the whole.
const MOST_WAYS: usize = 16;

/// The most memory, in bytes, for finding out whether there is only one way to take a text.
const LARGEST_PROGRAM: usize = 1 << 20;

/// The longest row, in bytes, of which that is asked: it is asked anew behind each item.
const LONGEST_ROW: usize = 4 << 10;

/// What together takes what `branches` take, each without conditions; `branches` alone if they have none, or cannot be cut so.
pub(super) fn ways<'s>(branches: &[Row<'s>]) -> Vec<Vec<Row<'s>>> {
    let mut asked = Vec::new();
    let is_simple = |item: &Item<'s>| match item.part {
        // In a branch, flags would also hold for those behind it.
        Part::Leaf(leaf) => !leaf.starts_with("(?"),
        Part::Group(open, _) => item.condition().is_some() || !is_condition(open),
    };
    let mut is_other = |item: &Item<'s>| {
        asked.extend(item.condition());
        !is_simple(item)
    };
    let whole = || vec![branches.to_vec()];
    if branches
        .iter()
        .flatten()
        .any(|item| item.any(&mut is_other))
        || asked.is_empty()
    {
        return whole();
    }
    let mut cutting = Cutting { asked, cuts: 0 };
    let rows = branches.iter();
    let ways: Option<Vec<_>> = rows.map(|row| cutting.row(row, Way::default())).collect();
    let one = |way| vec![way];
    ways.map_or_else(whole, |ways| ways.into_iter().flatten().map(one).collect())
}

struct Cutting<'s> {
    /// The groups that conditions ask for.
    asked: Vec<&'s str>,
    /// How many ways there are more than one.
    cuts: usize,
}

/// One way to take a text.
#[derive(Clone, Default)]
struct Way<'s> {
    row: Row<'s>,
    /// The groups with a name that have taken something on it, and before it.
    taken: Vec<&'s str>,
}

impl<'s> Cutting<'s> {
    /// The ways through a row, behind `way`.
    fn row(&mut self, row: &[Item<'s>], mut way: Way<'s>) -> Option<Vec<Row<'s>>> {
        for (place, item) in row.iter().enumerate() {
            let rest = &row[place + 1..];
            let is_group = matches!(item.part, Part::Group(..));
            let mut ways = match self.differs(item) {
                true => self.ways(item, &way.taken)?,
                // What offers a choice is better cut before something is decided behind it.
                false if is_group && rest.iter().any(|item| self.is_asked(item)) => {
                    let with_it = way.clone().and(Way::of(item));
                    match is_single(&with_it.row) {
                        true => vec![Way::of(item)],
                        false => self.cut(item, &[]).unwrap_or_else(|| vec![Way::of(item)]),
                    }
                }
                false => vec![Way::of(item)],
            };
            if ways.len() == 1 {
                way = way.and(ways.remove(0));
                continue;
            }
            if is_single(&way.row) {
                let ways = ways
                    .into_iter()
                    .map(|next| self.row(rest, way.clone().and(next)));
                return Some(ways.collect::<Option<Vec<_>>>()?.concat());
            }
            // Of the ways through what stands before, one would be tried only when all that follows had been with another.
            let mut branches = Vec::new();
            for mut next in ways {
                next.taken.extend(&way.taken);
                branches.extend(self.row(rest, next)?);
            }
            way.row.push(Item::once(Part::Group("(?:", branches)));
            break;
        }
        Some(vec![way.row])
    }

    /// Whether a condition may ask for an item or something in it.
    fn is_asked(&self, item: &Item<'s>) -> bool {
        item.any(&mut |item| item.name().is_some_and(|name| self.asked.contains(&name)))
    }

    /// Whether an item may be different from way to way.
    fn differs(&self, item: &Item<'s>) -> bool {
        self.is_asked(item) || item.any(&mut |item| item.condition().is_some())
    }

    /// The ways through an item behind `taken`.
    fn ways(&mut self, item: &Item<'s>, taken: &[&'s str]) -> Option<Vec<Way<'s>>> {
        if !self.differs(item) {
            return Some(vec![Way::of(item)]);
        }
        let Some(asked) = item.condition() else {
            return self.cut(item, taken);
        };
        match &item.part {
            Part::Group(_, branches) if item.times.is_empty() => {
                match (taken.contains(&asked), &branches[..]) {
                    (true, [yes] | [yes, _]) => self.ways_of(yes, taken),
                    (false, [_]) => Some(vec![Way::default()]),
                    (false, [_, no]) => self.ways_of(no, taken),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The ways through a group, one for each of its branches at least.
    fn cut(&mut self, item: &Item<'s>, taken: &[&'s str]) -> Option<Vec<Way<'s>>> {
        let Part::Group(open, branches) = &item.part else {
            return None;
        };
        if looks_around(open) || *open == "(?>" {
            return None;
        }
        let mut ways = Vec::new();
        for branch in branches {
            for mut way in self.ways_of(branch, taken)? {
                way.row = vec![Item::once(Part::Group(open, vec![way.row]))];
                way.taken.extend(item.name());
                ways.push(way);
            }
        }
        match item.times {
            "" => {}
            "?" => ways.push(Way::default()),
            "??" => ways.insert(0, Way::default()),
            _ => return None,
        }
        self.cuts += ways.len() - 1;
        (self.cuts < MOST_WAYS).then_some(ways)
    }

    /// The ways through a row within a group, behind `taken`.
    fn ways_of(&mut self, row: &[Item<'s>], taken: &[&'s str]) -> Option<Vec<Way<'s>>> {
        let mut all = vec![Way::default()];
        for item in row {
            let mut longer = Vec::new();
            for way in all {
                let next = self.ways(item, &[taken, &way.taken].concat())?;
                if next.len() > 1 && !way.row.iter().all(offers_no_choice) {
                    return None;
                }
                longer.extend(next.into_iter().map(|next| way.clone().and(next)));
            }
            all = longer;
        }
        Some(all)
    }
}

impl<'s> Way<'s> {
    fn of(item: &Item<'s>) -> Self {
        Way {
            row: vec![item.clone()],
            taken: Vec::new(),
        }
    }

    fn and(mut self, next: Way<'s>) -> Self {
        self.row.extend(next.row);
        self.taken.extend(next.taken);
        self
    }
}

/// Whether there is only one way for a row to take the beginning of a text, whatever follows.
fn is_single(row: &[Item<'_>]) -> bool {
    let text = relaxed_branches(&[row.to_vec()]);
    if text.len() > LONGEST_ROW {
        return false;
    }
    // The group tells ways apart that take as much together with what follows.
    let config = onepass::Config::new().size_limit(Some(LARGEST_PROGRAM));
    let builder = onepass::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(&format!("({text})(?s:.*)"));
    builder.is_ok()
}

/// Whether there is only one way for an item to take a text, whatever it is.
fn offers_no_choice(item: &Item<'_>) -> bool {
    let is_single = match &item.part {
        Part::Leaf(_) => true,
        Part::Group(_, branches) => branches.len() == 1 && branches[0].iter().all(offers_no_choice),
    };
    is_single && item.times.is_empty()
}
