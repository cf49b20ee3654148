//! What else could have stood in a line, by the pattern that takes it?
//!
//! In: a regular expression of Fail2ban's, and a line. Out: lines in which one word of an alternation is replaced by another.
//! Only what is words is replaced: `a|b c|d[45]`, not what has no end.

/// So many texts of one alternation are enough.
const MOST_TEXTS: usize = 400;

/// The alternations of a pattern, each with all texts that its alternatives can be.
pub fn alternations(pattern: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut parser = Parser {
        rest: pattern,
        found: &mut found,
    };
    // A bracket too many ends it early; then less is found.
    parser.alternation();
    found.retain(|texts| texts.len() > 1);
    found
}

/// The line with one text of the alternation replaced by each other one.
pub fn others(line: &str, texts: &[String]) -> Vec<String> {
    let held = texts.iter().filter(|text| !text.trim().is_empty());
    let held = held.filter(|text| line.contains(text.as_str()));
    let Some(held) = held.max_by_key(|text| text.len()) else {
        return Vec::new();
    };
    let others = texts.iter().filter(|text| *text != held);
    others.map(|text| line.replacen(held, text, 1)).collect()
}

/// All texts that something can be; nothing if they have no end.
type Texts = Option<Vec<String>>;

struct Parser<'a> {
    rest: &'a str,
    found: &'a mut Vec<Vec<String>>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn takes(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Up to the bracket that ends it. Alternatives without an end are left out of what is found.
    fn alternation(&mut self) -> Texts {
        let mut parts = vec![self.sequence()];
        while self.takes("|") {
            parts.push(self.sequence());
        }
        let count = parts.len();
        let all: Texts = parts
            .iter()
            .cloned()
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat());
        if count > 1 {
            let texts: Vec<_> = parts.into_iter().flatten().flatten().collect();
            self.found.push(texts);
        }
        all
    }

    fn sequence(&mut self) -> Texts {
        let mut texts = Some(vec![String::new()]);
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let part = self.repeated();
            texts = texts
                .zip(part)
                .and_then(|(texts, part)| joined(&texts, &part));
        }
        texts
    }

    fn repeated(&mut self) -> Texts {
        let once = self.one();
        let texts = if self.takes("*") {
            None
        } else if self.takes("?") {
            once.map(|once| [vec![String::new()], once].concat())
        } else if self.takes("+") {
            once
        } else if self.rest.starts_with('{') {
            self.rest = self.rest.split_once('}').map_or("", |(_, rest)| rest);
            None
        } else {
            return once;
        };
        // What is lazy or possessive is the same text.
        let _ = self.takes("?") || self.takes("+");
        texts
    }

    fn one(&mut self) -> Texts {
        let text = match self.next()? {
            '(' => return self.group(),
            '[' => return self.class(),
            '\\' => match self.next()? {
                'd' => "1".to_owned(),
                's' => " ".to_owned(),
                'b' => String::new(),
                letter if letter.is_ascii_alphanumeric() => return None,
                sign => sign.to_string(),
            },
            '^' | '$' => String::new(),
            '.' => return None,
            // A tag.
            '<' => return None,
            plain => plain.to_string(),
        };
        Some(vec![text])
    }

    fn group(&mut self) -> Texts {
        let looks = ["?=", "?!", "?<=", "?<!"]
            .iter()
            .any(|look| self.takes(look));
        if self.takes("?P<") {
            self.rest = self.rest.split_once('>').map_or("", |(_, rest)| rest);
        } else if self.takes("?") {
            // Flags, to the colon; those of the whole pattern end at once.
            let end = self.rest.find([':', ')']).unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
            self.takes(":");
        }
        let texts = self.alternation();
        self.takes(")");
        match looks {
            true => None,
            false => texts,
        }
    }

    fn class(&mut self) -> Texts {
        let is_negated = self.takes("^");
        let mut members = Vec::new();
        let mut is_plain = !is_negated;
        loop {
            match self.next()? {
                ']' if !members.is_empty() => break,
                '\\' => {
                    let escaped = self.next()?;
                    is_plain &= !escaped.is_ascii_alphanumeric();
                    members.push(escaped.to_string());
                }
                member => {
                    is_plain &= member != '-' || members.is_empty() || self.rest.starts_with(']');
                    members.push(member.to_string());
                }
            }
        }
        is_plain.then_some(members)
    }
}

fn joined(before: &[String], after: &[String]) -> Texts {
    let is_enough = before.len() * after.len() <= MOST_TEXTS;
    let all = before
        .iter()
        .flat_map(|one| after.iter().map(move |two| format!("{one}{two}")));
    is_enough.then(|| all.collect())
}

#[test]
fn what_is_words_is_found() {
    let found = alternations(r"^<HOST> (?:a\.b|c(?:d)?|e[45]|\S+) (?P<x>y|z)(?!q)\d*$");
    let words = ["a.b", "c", "cd", "e4", "e5"].map(str::to_owned).to_vec();
    assert_eq!(found, [words.clone(), vec!["y".to_owned(), "z".to_owned()]]);
    assert_eq!(
        others("1 cd y", &words),
        ["1 a.b y", "1 c y", "1 e4 y", "1 e5 y"]
    );
}
