//! Where in its line may a template stand, and which part of it is cut out?
//!
//! In: an expression as somebody wrote it, and where it may stand unless it says so itself. Out: the expression that is
//! compiled. What it tells is not known here.

/// The name of the group that is cut out.
pub const CUT: &str = "cut";

/// Where a template may begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Also within a word.
    Anywhere,
    /// Not within a word: one of the two neighbours is of none, or there is only one.
    Edge,
    /// At the head of the line, behind up to two signs.
    Head,
}

/// An expression, and where it may stand. What is cut out is its group [`CUT`].
#[derive(Clone, Debug)]
pub struct Placed {
    flags: String,
    start: Place,
    /// The expression itself.
    body: String,
    end: Place,
}

impl Placed {
    /// `text` from `start` to `end`, unless it says itself where it may stand.
    pub fn new(text: &str, start: Place, end: Place, ignores_case: bool) -> Self {
        let (mut flags, text) = without_flags(text);
        if ignores_case && !flags.contains('i') {
            flags.push('i');
        }
        let unless = |told: bool, place: Place| if told { Place::Anywhere } else { place };
        let (start, end) = (
            unless(tells_start(&text), start),
            unless(tells_end(&text), end),
        );
        let text = without_stars(&text);
        let body = match text.contains(&format!("(?P<{CUT}>")) {
            true => text,
            false => with_cut(&text).unwrap_or_else(|| grouped(&text)),
        };
        Placed {
            flags,
            start,
            body,
            end,
        }
    }

    /// Where it may begin and end, unless it says so itself.
    pub fn places(&self) -> (Place, Place) {
        (self.start, self.end)
    }

    /// The expression alone.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The whole expression with another body, for an engine that does not look around.
    pub fn linear(&self, body: &str) -> String {
        let edge = r"(?:\b{start-half}|\b{end-half})";
        self.with(body, edge, r"^[\W&&[\x00-\x7F]]{0,2}")
    }

    /// The whole expression, for an engine that looks around.
    pub fn looking(&self) -> String {
        self.with(&self.body, r"(?:(?<!\w)|(?!\w))", r"^\W{0,2}")
    }

    fn with(&self, body: &str, edge: &str, head: &str) -> String {
        let flags = match self.flags.as_str() {
            "" => String::new(),
            flags => format!("(?{flags})"),
        };
        let place = |place: Place| match place {
            Place::Anywhere => "",
            Place::Edge => edge,
            Place::Head => head,
        };
        format!("{flags}{}(?:{body}){}", place(self.start), place(self.end))
    }
}

/// The flags `(?i)` of `text`, wherever they stand, and the rest of it.
fn without_flags(text: &str) -> (String, String) {
    let (mut flags, mut rest) = (String::new(), String::new());
    let mut left = text;
    while let Some(at) = left.find("(?") {
        let inside = &left[at + 2..];
        let letters = inside.bytes().take_while(u8::is_ascii_lowercase).count();
        let is_flag = letters > 0 && inside[letters..].starts_with(')');
        if is_flag && !left[..at].ends_with('\\') {
            let ours = inside[..letters]
                .chars()
                .filter(|flag| "imsx".contains(*flag));
            flags.extend(ours);
            rest.push_str(&left[..at]);
            left = &inside[letters + 1..];
        } else {
            rest.push_str(&left[..at + 2]);
            left = inside;
        }
    }
    rest.push_str(left);
    (flags, rest)
}

/// Whether `text` says itself where it may begin.
fn tells_start(text: &str) -> bool {
    let inner = text.trim_start_matches('(');
    let starts = ["^", "?:^", "**"];
    starts.into_iter().any(|start| inner.starts_with(start))
}

/// Whether `text` says itself where it may end.
fn tells_end(text: &str) -> bool {
    let inner = text.strip_suffix(')').unwrap_or(text);
    let inner = match inner.ends_with('$') {
        true => inner,
        false => text,
    };
    let stars = text.trim_end_matches(')');
    ["$", r"\b", r"\s"].into_iter().any(|end| {
        inner
            .strip_suffix(end)
            .is_some_and(|rest| !rest.ends_with('\\'))
    }) || stars
        .strip_suffix("**")
        .is_some_and(|rest| !rest.ends_with('\\'))
}

/// `text` without `**` at its ends.
fn without_stars(text: &str) -> String {
    let opening = text.len() - text.trim_start_matches('(').len();
    let (open, text) = text.split_at(opening);
    let text = text.strip_prefix("**").unwrap_or(text);
    let inner = text.trim_end_matches(')');
    let close = &text[inner.len()..];
    let inner = match inner.strip_suffix("**") {
        Some(without) if !without.ends_with('\\') => without,
        _ => inner,
    };
    format!("{open}{inner}{close}")
}

/// `text` with its first group without a name called [`CUT`].
fn with_cut(text: &str) -> Option<String> {
    let mut escaped = false;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let next = bytes.peek().map(|(_, next)| *next);
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = true;
        } else if byte == b'(' && next != Some(b'?') {
            let (before, behind) = text.split_at(at + 1);
            return Some(format!("{before}?P<{CUT}>{behind}"));
        }
    }
    None
}

/// All of `text` in a group, without its anchors.
fn grouped(text: &str) -> String {
    let (start, text) = match text.strip_prefix('^') {
        Some(text) => ("^", text),
        None => ("", text),
    };
    let (text, end) = match text.strip_suffix('$') {
        Some(text) if !text.ends_with('\\') => (text, "$"),
        _ => (text, ""),
    };
    format!("{start}(?P<{CUT}>{text}){end}")
}
