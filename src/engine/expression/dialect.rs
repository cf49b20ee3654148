//! Which parts does a regular expression over lines have, and what do they stand for?
//!
//! The language is that of `regex`, with look-around, references, conditions and atomic groups, over bytes. It knows nothing
//! of Unicode, but it does not cut words of other languages apart: every byte beyond ASCII counts as a letter. Nothing
//! is compiled here.

/// One part of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A backslash and what belongs to it: `\w`, `\x41`, `\k<name>`.
    Escape(&'s str),
    /// `[…]`, with all brackets in it.
    Class(&'s str),
    /// The beginning of a group: `(`, `(?:`, `(?P<name>`, `(?=`, `(?i:`, and also `(?i)`, which has no end.
    Open(&'s str),
    Close,
    Bar,
    /// One character that stands for itself, or does something else.
    Other(&'s str),
}

/// The parts of an expression, in order; all of its text is in them.
pub(super) struct Tokens<'s> {
    rest: &'s str,
}

pub(super) fn tokens(source: &str) -> Tokens<'_> {
    Tokens { rest: source }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        let (length, token): (usize, fn(&'s str) -> Token<'s>) = match self.rest.chars().next()? {
            '\\' => (escape(self.rest), Token::Escape),
            '[' => (class(self.rest), Token::Class),
            '(' => (open(self.rest), Token::Open),
            ')' => (1, |_| Token::Close),
            '|' => (1, |_| Token::Bar),
            other => (other.len_utf8(), Token::Other),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token(text))
    }
}

/// How long the escape is that `text` begins with.
fn escape(text: &str) -> usize {
    let closed = |open: char, close: char| {
        let inner = text[2..].strip_prefix(open)?;
        Some(2 + open.len_utf8() + inner.find(close)? + close.len_utf8())
    };
    let digits = |from: usize, most: usize, is: fn(&u8) -> bool| {
        from + text.as_bytes()[from..]
            .iter()
            .take(most)
            .take_while(|byte| is(byte))
            .count()
    };
    match text.as_bytes().get(1) {
        Some(b'k') => closed('<', '>').unwrap_or(2),
        Some(b'x') => closed('{', '}').unwrap_or_else(|| digits(2, 2, u8::is_ascii_hexdigit)),
        Some(b'0'..=b'9') => digits(1, 3, u8::is_ascii_digit),
        _ => 1 + text[1..].chars().next().map_or(0, char::len_utf8),
    }
}

/// How long the class is that `text` begins with; all of it if it has no end.
fn class(text: &str) -> usize {
    let (mut depth, mut rest) = (0_usize, text);
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '\\' => length = escape(rest),
            '[' => {
                depth += 1;
                // A bracket that stands first is no end.
                length += usize::from(rest[length..].starts_with('^'));
                length += usize::from(rest[length..].starts_with(']'));
            }
            ']' => depth -= 1,
            _ => {}
        }
        rest = &rest[length..];
        if depth == 0 {
            break;
        }
    }
    text.len() - rest.len()
}

/// How long the beginning of a group is that `text` begins with.
fn open(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("(?") else {
        return 1;
    };
    for look in ["=", "!", "<=", "<!", ">", ":"] {
        if rest.starts_with(look) {
            return 2 + look.len();
        }
    }
    let end = match rest.as_bytes().first() {
        Some(b'P' | b'<') => rest.find('>'),
        Some(b'(') => rest.find(')'),
        _ => rest.find([':', ')']),
    };
    end.map_or(text.len(), |end| 2 + end + 1)
}

/// Whether `regex` cannot do it: it looks around, refers to what a group has taken, or does not go back.
pub(in crate::engine) fn needs_backtracking(source: &str) -> bool {
    tokens(source).any(|token| match token {
        Token::Open(open) => looks_around(open) || is_condition(open) || open == "(?>",
        Token::Escape(escape) => refers(escape),
        _ => false,
    })
}

/// Whether it asks for borders of words.
pub(super) fn asks_for_borders(source: &str) -> bool {
    tokens(source).any(|token| matches!(token, Token::Escape(r"\b" | r"\B")))
}

pub(super) fn looks_around(open: &str) -> bool {
    matches!(open, "(?=" | "(?!" | "(?<=" | "(?<!")
}

pub(super) fn is_condition(open: &str) -> bool {
    open.starts_with("(?(")
}

pub(super) fn refers(escape: &str) -> bool {
    escape[1..].starts_with(|first: char| first == 'k' || first.is_ascii_digit())
}

/// Something that is no part of the language though an engine would take it.
pub(in crate::engine) fn foreign(source: &str) -> Option<&'static str> {
    let (mut earlier, mut before) = (None, None);
    for token in tokens(source) {
        match (before, token) {
            (Some(Token::Escape(r"\b" | r"\B")), Token::Other("{")) => {
                return Some(r"`{` behind `\b`");
            }
            (_, Token::Escape(r"\<" | r"\>")) => {
                return Some(r"`\<`, `\>`: a literal one has no backslash");
            }
            (
                _,
                Token::Escape(
                    r"\G" | r"\K" | r"\R" | r"\O" | r"\N" | r"\g" | r"\h" | r"\H" | r"\Z",
                ),
            ) => {
                return Some(r"`\G`, `\K`, `\R`, `\O`, `\N`, `\g`, `\h`, `\H` and `\Z`");
            }
            (_, Token::Escape(r"\p" | r"\P")) => {
                return Some(r"`\p{…}`: nothing is known of Unicode");
            }
            // One of the engines would ask whether its group took part, and take nothing if not.
            (Some(Token::Open(open)), Token::Close) if is_condition(open) => {
                return Some("a condition with nothing in it");
            }
            (Some(Token::Bar), Token::Close) if earlier.is_some_and(opens_condition) => {
                return Some("a condition with nothing in it");
            }
            (_, Token::Open(open)) if is_condition(open) && !asks_for_group(open) => {
                return Some("a condition on other things than a group: `(?(<name>)…)`, `(?(1)…)`");
            }
            (_, Token::Open(open)) => match flags(open) {
                Some(flags) if flags.contains('x') => return Some("the flag `x`"),
                Some(flags) if flags.contains(['u', 'R', '~', '*']) => {
                    return Some("the flags `u` and `R`");
                }
                _ => {}
            },
            _ => {}
        }
        (earlier, before) = (before, Some(token));
    }
    None
}

fn opens_condition(token: Token<'_>) -> bool {
    matches!(token, Token::Open(open) if is_condition(open))
}

/// Whether a condition asks for a group, by its name in brackets or by its number.
fn asks_for_group(open: &str) -> bool {
    let asked = open
        .strip_prefix("(?(")
        .and_then(|rest| rest.strip_suffix(')'));
    let name = |asked: &str| {
        asked
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .is_some_and(|name| {
                name.starts_with(|first: char| first == '_' || first.is_alphabetic())
            })
    };
    asked.is_some_and(|asked| name(asked) || asked.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The flags that a group begins with.
fn flags(open: &str) -> Option<&str> {
    let inner = open.strip_prefix("(?")?;
    let is_other = looks_around(open) || is_condition(open) || inner.starts_with(['P', '<', '>']);
    (!is_other).then_some(inner)
}

/// How a border of words is put into effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Borders {
    /// As `regex` does it, which is right where all is ASCII.
    Ascii,
    /// By looking around.
    Looked,
}

/// The expression with all that stands for letters and spaces spelt out for an engine that thinks in ASCII. A space is what
/// is one in Unicode, as far as ASCII goes.
pub(in crate::engine) fn spelt_out(source: &str, borders: Borders) -> String {
    const BORDER: &str =
        r"(?:(?<=[\w\x80-\xFF])(?![\w\x80-\xFF])|(?<![\w\x80-\xFF])(?=[\w\x80-\xFF]))";
    const NO_BORDER: &str =
        r"(?:(?<=[\w\x80-\xFF])(?=[\w\x80-\xFF])|(?<![\w\x80-\xFF])(?![\w\x80-\xFF]))";
    let mut spelt = String::with_capacity(source.len() * 2);
    for token in tokens(source) {
        match token {
            Token::Escape(r"\w") => spelt.push_str(r"[\w\x80-\xFF]"),
            Token::Escape(r"\W") => spelt.push_str(r"[^\w\x80-\xFF]"),
            Token::Escape(r"\s") => spelt.push_str(r"[\s\x1C-\x1F]"),
            Token::Escape(r"\S") => spelt.push_str(r"[^\s\x1C-\x1F]"),
            Token::Escape(r"\b") if borders == Borders::Looked => spelt.push_str(BORDER),
            Token::Escape(r"\B") if borders == Borders::Looked => spelt.push_str(NO_BORDER),
            Token::Class(class) => spelt_out_class(class, &mut spelt),
            // As one character, one of the engines would look back for one byte.
            Token::Other(letter) if !letter.is_ascii() => {
                spelt.push_str("(?:");
                spelt.extend(letter.bytes().map(|byte| format!(r"\x{byte:02X}")));
                spelt.push(')');
            }
            other => spelt.push_str(text(other)),
        }
    }
    spelt
}

fn spelt_out_class(class: &str, spelt: &mut String) {
    let mut rest = class;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => escape(rest),
            _ => first.len_utf8(),
        };
        let (item, after) = rest.split_at(length);
        spelt.push_str(match item {
            r"\w" => r"\w\x80-\xFF",
            r"\W" => r"[^\w\x80-\xFF]",
            r"\s" => r"\s\x1C-\x1F",
            r"\S" => r"[^\s\x1C-\x1F]",
            other => other,
        });
        rest = after;
    }
}

pub(super) fn text<'s>(token: Token<'s>) -> &'s str {
    match token {
        Token::Escape(text) | Token::Class(text) | Token::Open(text) | Token::Other(text) => text,
        Token::Close => ")",
        Token::Bar => "|",
    }
}
