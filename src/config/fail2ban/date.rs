//! What does a date pattern of Fail2ban's filters mean, in the language of date templates?
//!
//! In: the value of a `datepattern` after all interpolation. Out: text for
//! [`DateTemplates`](crate::engine::record::date::template::DateTemplates), or what is wrong with it. Codes and names in
//! braces are the same in both; what stands around them is an expression of Python.

use super::expression::{ExpressionError, of_date};

/// What stands in braces.
const NAMES: [&str; 7] = [
    "{^LN-BEG}",
    "{UNB}",
    "{DATE}",
    "{EPOCH}",
    "{LEPOCH}",
    "{NONE}",
    "{DEFAULT}",
];

/// Stands at the end of a template that may begin or end within a word.
const STARS: &str = "**";

/// Translates the date patterns of a filter, one a line.
///
/// # Errors
/// What is wrong with one of them.
pub fn patterns(text: &str) -> Result<String, ExpressionError> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty()).map(pattern);
    Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// The words by which Fail2ban calls what a code stands for, when it tells people of a pattern.
const WORDS: [(&str, &str); 26] = [
    ("%%", "%"),
    ("%a", "DAY"),
    ("%A", "DAYNAME"),
    ("%b", "MON"),
    ("%B", "MONTH"),
    ("%d", "Day"),
    ("%f", "Microseconds"),
    ("%H", "24hour"),
    ("%I", "12hour"),
    ("%j", "Yearday"),
    ("%m", "Month"),
    ("%M", "Minute"),
    ("%p", "AMPM"),
    ("%S", "Second"),
    ("%U", "Yearweek"),
    ("%w", "Weekday"),
    ("%W", "Yearweek"),
    ("%y", "Year2"),
    ("%Y", "Year"),
    ("%z", "Zone offset"),
    ("%Z", "Zone name"),
    ("%k", "%k"),
    ("%l", "%l"),
    ("EPOCH", "Epoch"),
    ("%Exk", "%Exk"),
    ("%Exl", "%Exl"),
];

/// What Fail2ban tells of the dates of a filter that are written so: the pattern, and how it calls it.
pub fn title(patterns: &str) -> (Option<String>, String) {
    let lines = patterns.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let stands_for_many = |line: &str| {
        let mut names = ["{^LN-BEG}", "{DEFAULT}"].into_iter();
        names.any(|name| line.eq_ignore_ascii_case(name))
            || line.to_ascii_uppercase().contains("{DATE}")
    };
    let many = || (None, "Default Detectors".to_owned());
    match &*lines {
        lines if lines.iter().any(|line| stands_for_many(line)) => many(),
        [first] | [first, _] => match without_pattern(first) {
            Some(name) => (None, name),
            None => (Some((*first).to_owned()), named(first)),
        },
        _ => many(),
    }
}

/// How Fail2ban calls dates that are seconds alone, which are no pattern to it.
fn without_pattern(line: &str) -> Option<String> {
    const AT_FIRST: &str = "{^LN-BEG}";
    let rest = line.strip_prefix(AT_FIRST);
    let word = match rest.unwrap_or(line).to_ascii_uppercase().as_str() {
        "EPOCH" => "Epoch",
        "LEPOCH" => "LongEpoch",
        "TAI64N" => "TAI64N",
        _ => return None,
    };
    let before = rest.map_or("", |_| AT_FIRST);
    Some(format!("{before}{word}"))
}

/// A pattern with words for its codes.
pub fn named(pattern: &str) -> String {
    let (mut named, mut rest) = (String::new(), pattern);
    while let Some(first) = rest.chars().next() {
        let exact = rest
            .strip_prefix("%Ex")
            .and_then(|code| Some(format!("%{}", code.chars().next()?)));
        let plain = WORDS.iter().find(|(code, _)| rest.starts_with(code));
        let exactly = exact.and_then(|plain| WORDS.iter().find(|(code, _)| *code == plain));
        match (exactly, plain) {
            (_, Some((code, word))) => {
                named.push_str(word);
                rest = &rest[code.len()..];
            }
            (Some((code, word)), None) => {
                named.push_str("Ex");
                named.push_str(word);
                rest = &rest["Ex".len() + code.len()..];
            }
            (None, None) => {
                named.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    named
}

fn pattern(text: &str) -> Result<String, ExpressionError> {
    // Whatever is no expression of Python is replaced by words that mean nothing, until it is translated.
    let mut word = "x".to_owned();
    while text.contains(&word) {
        word.push('x');
    }
    let (mut replaced, mut originals) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = length(text, rest);
        let (part, behind) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            Some(_) => {
                replaced.push_str(&format!("{word}{}{word}", originals.len()));
                originals.push(part);
            }
            None => replaced.push_str(part),
        }
        rest = behind;
    }
    let mut translated = of_date(&replaced)?;
    for (number, original) in originals.iter().enumerate().rev() {
        translated = translated.replace(&format!("{word}{number}{word}"), original);
    }
    Ok(with_blanks(text, &translated))
}

/// `translated` with blanks at its ends that are not trimmed, if a group around them has kept them in `text`.
fn with_blanks(text: &str, translated: &str) -> String {
    let mut marks = ["{^LN-BEG}", "{UNB}"].into_iter();
    let mark = marks.find(|mark| text.starts_with(*mark) && translated.starts_with(*mark));
    let mark = mark.unwrap_or_default();
    let (text, inner) = (&text[mark.len()..], &translated[mark.len()..]);
    let (start, inner) = match inner.strip_prefix(' ') {
        Some(inner) if !text.starts_with(' ') => ("[ ]", inner),
        _ => ("", inner),
    };
    // Nobody's pattern ends with blanks of its own: it was trimmed.
    let (inner, end) = match inner.strip_suffix(' ') {
        Some(inner) => (inner, "[ ]"),
        None => (inner, ""),
    };
    format!("{mark}{start}{inner}{end}")
}

/// How long the part at the head of `rest` is that is no expression of Python: a code, a name, or stars.
fn length(text: &str, rest: &str) -> Option<usize> {
    if let Some(code) = rest.strip_prefix('%') {
        let flag = if code.starts_with("Ex") { 2 } else { 0 };
        let letter = code[flag..].chars().next().map_or(0, char::len_utf8);
        return Some(1 + flag + letter);
    }
    if let Some(behind) = rest.strip_prefix(STARS) {
        let before = &text[..text.len() - rest.len()];
        let at_start = before.trim_start_matches('(').is_empty();
        let at_end = behind.trim_end_matches(')').is_empty();
        return (at_start || at_end && !before.ends_with('\\')).then_some(STARS.len());
    }
    NAMES.into_iter().find_map(|name| {
        let here = rest.get(..name.len())?;
        here.eq_ignore_ascii_case(name).then_some(name.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_means_is_kept() {
        for (text, translated) in [
            ("{^LN-BEG}", "{^LN-BEG}"),
            ("  {^LN-BEG}Epoch \n\n EPOCH", "{^LN-BEG}Epoch\nEPOCH"),
            ("{NONE}", "{NONE}"),
            ("%%x %Exy{,2}%d?", "%%x %Exy{0,2}%d?"),
            (r"^[^\[]*\[({DATE})", r"^[^\[]*\[(?P<cut>{DATE})"),
            (r"^[(]%H(:)(;)", r"^[(]%H(?P<cut>:);"),
            ("^<W>{DATE}", "^<W>{DATE}"),
            ("^WARNING:()**", "^WARNING:(?P<cut>)**"),
            ("(**%Y**)", "(?P<cut>**%Y**)"),
            (
                r"%Y(?P<_sep>[-/.])%m(?P=_sep)%d",
                r"%Y(?P<_sep>[\-/.])%m\k<_sep>%d",
            ),
            (r"\<%H\>", "<%H>"),
            ("{^LN-BEG}(?: %H )**", "{^LN-BEG}[ ]%H **"),
            ("(?: %H )", "[ ]%H[ ]"),
        ] {
            assert_eq!(patterns(text).expect(text), translated, "{text}");
        }
        assert!(patterns("%Y(").is_err());
    }

    #[test]
    fn people_read_words() {
        for (text, named) in [
            ("^%Y-%m-%d %k:%M:%S%%", "^Year-Month-Day %k:Minute:Second%"),
            ("%ExY%Exm%Exd", "ExYearExMonthExDay"),
            ("(?:%a )?%b %d, %Exy", "(?:DAY )?MON Day, ExYear2"),
        ] {
            let expected = (Some(text.to_owned()), named.to_owned());
            assert_eq!(title(text), expected);
        }
        assert_eq!(title("{^LN-BEG}EPOCH"), (None, "{^LN-BEG}Epoch".to_owned()));
        for text in [
            "",
            "{^LN-BEG}",
            "^x {DATE}",
            "%Y\n%m\n%d",
            "EPOCH\n{^LN-BEG}",
        ] {
            assert_eq!(
                title(text),
                (None, "Default Detectors".to_owned()),
                "{text}"
            );
        }
    }
}
