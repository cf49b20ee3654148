//! Lines with dates in them, and date patterns with lines for them, in all their variety.

use crate::support::dice::Dice;

/// One of `texts`.
fn one<'t>(dice: &mut Dice, texts: &[&'t str]) -> &'t str {
    texts[dice.below(texts.len() as u64) as usize]
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// What a clock and a calendar may show; not every combination exists.
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    fn any(dice: &mut Dice) -> Self {
        Moment {
            year: 2000 + dice.below(30),
            month: 1 + dice.below(12),
            day: 1 + dice.below(31),
            hour: dice.below(24),
            minute: dice.below(60),
            second: dice.below(60),
        }
    }

    /// What `code` stands for, in one of its ways.
    fn written(&self, code: &str, dice: &mut Dice) -> String {
        let number = |number: u64, dice: &mut Dice| match dice.below(4) {
            0 => format!("{number}"),
            1 => format!("{number:2}"),
            _ => format!("{number:02}"),
        };
        let cased = |name: &str, dice: &mut Dice| match dice.below(6) {
            0 => name.to_lowercase(),
            1 => name.to_uppercase(),
            _ => name.to_owned(),
        };
        let month = MONTHS[self.month as usize - 1];
        let day = DAYS[dice.below(7) as usize];
        match code {
            "%Y" | "%ExY" => self.year.to_string(),
            "%y" | "%Exy" => format!("{:02}", self.year % 100),
            "%m" => number(self.month, dice),
            "%Exm" => format!("{:02}", self.month),
            "%b" => cased(&month[..3], dice),
            "%B" => cased(month, dice),
            "%d" => number(self.day, dice),
            "%Exd" => format!("{:02}", self.day),
            "%j" => (1 + dice.below(366)).to_string(),
            "%H" | "%k" | "%Exk" => number(self.hour, dice),
            "%ExH" => format!("{:02}", self.hour),
            "%I" | "%l" | "%Exl" => number(1 + self.hour % 12, dice),
            "%p" => one(dice, &["AM", "PM", "am", "Pm"]).to_owned(),
            "%M" => number(self.minute, dice),
            "%ExM" => format!("{:02}", self.minute),
            "%S" => number(self.second, dice),
            "%ExS" => format!("{:02}", self.second),
            "%f" => one(dice, &["1", "123", "000", "123456", "123456789"]).to_owned(),
            "%z" => one(
                dice,
                &["Z", "UTC", "GMT", "+0100", "-03:30", "+14", "-1200"],
            )
            .to_owned(),
            "%Z" => one(dice, &["Z", "CET", "CEST", "PDT", "AKST", "UTC"]).to_owned(),
            "%Exz" => one(dice, &["A", "CEST", "CET+0100", "+02:00", "UTC-03", "Z"]).to_owned(),
            "%ExZ" => one(
                dice,
                &["A", "CEST", "Z", "M", "N", "Y", "EDT", "NPT", "IRST"],
            )
            .to_owned(),
            "%a" => cased(&day[..3], dice),
            "%A" => cased(day, dice),
            "%w" => dice.below(7).to_string(),
            "%U" | "%W" => format!("{:02}", 1 + dice.below(51)),
            "%%" => "%".to_owned(),
            _ => panic!("{code} is no code"),
        }
    }

    /// `text` with its codes written out.
    fn fill(&self, text: &str, dice: &mut Dice) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            filled.push_str(&rest[..at]);
            let length = if rest[at + 1..].starts_with("Ex") {
                4
            } else {
                2
            };
            filled.push_str(&self.written(&rest[at..at + length], dice));
            rest = &rest[at + length..];
        }
        filled.push_str(rest);
        filled
    }
}

const USUAL: [&str; 40] = [
    "%Y-%Exm-%ExdT%ExH:%ExM:%ExS.%f%z",
    "%Y-%Exm-%Exd %ExH:%ExM:%ExS,%f",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d  %H:%M:%S %z",
    "%Y-%m/%d %H:%M:%S",
    "%a %b %d %k:%ExM:%ExS.%f %Y",
    "%b %d %ExH:%ExM:%ExS",
    "%b  %d %ExH:%ExM:%ExS",
    "%b %d %ExH:%ExM:%ExS",
    "%a %b %d %Y %H:%ExM:%ExS",
    "%b %d %Y %k:%ExM:%ExS.%f",
    "%d/%m/%Y %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%Exd/%Exm/%y %ExH:%ExM:%ExS",
    "%d-%m-%y %k:%ExM:%ExS",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d-%b-%Y %H:%M:%S.%f",
    "%d/%b/%Y%H:%M:%S",
    "%Exm/%Exd/%Y:%ExH:%ExM:%ExS",
    "%m-%d-%Y %H:%M:%S.%f",
    "%H:%M:%S",
    "%ExH:%ExM:%ExS",
    "<%Exm/%Exd/%y@%ExH:%ExM:%ExS>",
    "%y%Exm%Exd %ExH:%ExM:%ExS",
    "%y%Exm%Exd  %k:%ExM:%ExS",
    "%b %d, %Y %I:%ExM:%ExS %p",
    "%b-%Exd-%y %ExH:%ExM:%ExS",
    "%Y%Exm%ExdT%ExH%ExM%ExS",
    "%Y%Exm%Exd %ExH%ExM%ExS.%f %z",
    "%Y%Exm%Exd%ExH%ExM%ExS",
    "%Z %b %d %H:%ExM:%ExS",
    "%Z %a %b %d %H:%ExM:%ExS %Y",
    "%z %b %d %H:%ExM:%ExS",
    "1106513999",
    "1106513999.123",
    "audit(1124013599.123:4)",
    "1124013599123456",
    "@4000000041f4104f00000000",
    "@4000000043000b1f2faf0800",
    "\"ts\":1124013599",
];

/// A line with a date or two, or with something that looks like one.
pub fn line(dice: &mut Dice) -> String {
    let mut line = String::new();
    for _ in 0..1 + dice.below(2) {
        line.push_str(one(
            dice,
            &[
                "",
                "",
                "",
                " ",
                "[",
                "<",
                "([",
                "(([",
                "host ",
                "10.0.0.1 - - [",
                "x",
                "7",
                "_",
                "<W>",
                "<34>1 ",
                "#1 ",
                "a-",
                "1:",
                "PDT ",
                "Mon ",
                "=\"",
            ],
        ));
        let text = one(dice, &USUAL);
        line.push_str(&Moment::any(dice).fill(text, dice));
        line.push_str(one(
            dice,
            &[
                "",
                "",
                " ",
                " host sshd[1]: a",
                "] \"GET / HTTP/1.1\"",
                ".5",
                ".123456789",
                "Z",
                ":",
                "x",
                "7",
                "_",
                " 2005",
                " +0100",
                " 10",
                ",1",
                " PM",
                "/",
                " ",
            ],
        ));
    }
    changed(line, dice)
}

/// The text, and now and then with one character lost or doubled.
fn changed(mut line: String, dice: &mut Dice) -> String {
    if dice.below(5) == 0 && !line.is_empty() {
        let at = dice.below(line.len() as u64) as usize;
        let lost = line.remove(at);
        if dice.below(2) == 0 {
            line.insert(at, lost);
            line.insert(at, lost);
        }
    }
    line
}

/// A date pattern, and the text that it was made of.
pub struct Written {
    pub pattern: String,
    text: String,
}

impl Written {
    pub fn any(dice: &mut Dice) -> Self {
        let date = one(
            dice,
            &[
                "%Y-%m-%d",
                "%ExY-%Exm-%Exd",
                "%y%Exm%Exd",
                "%d/%b/%Y",
                "%B %d, %ExY",
                "%A %d %B",
                "%a %b %d",
                "%Y %j",
                "%Y:%U:%a",
                "%Y:%W:%w",
                "%d.%m.",
                "%m/%d/%Exy",
                "",
            ],
        );
        let clock = one(
            dice,
            &[
                "%H:%M:%S",
                "%ExH:%ExM:%ExS",
                "%k:%M:%S",
                "%I:%M:%S %p",
                "%l:%M %p",
                "%Exk.%ExM.%ExS",
                "%Exl:%M:%S%p",
                "%H%%%M",
                "%H:%M:%S.%f",
                "",
                "%H-%M",
            ],
        );
        let zone = one(dice, &["", "", " %z", " %Z", "%Exz", " %ExZ", "%z"]);
        let join = one(dice, &[" ", "T", "", "  ", " - "]);
        if date.is_empty() && clock.is_empty() {
            return Written::any(dice);
        }
        let text = format!("{date}{join}{clock}{zone}");
        let mut pattern = text.replace('.', r"\.");
        if dice.below(4) == 0 {
            pattern = pattern.replacen(' ', r"\s+", 1);
        }
        if dice.below(6) == 0 && !zone.is_empty() {
            pattern = pattern.replace(zone, &format!("(?:{zone})?"));
        }
        pattern = match dice.below(8) {
            0 => format!(r"\[({pattern})\]"),
            1 => format!("({pattern})"),
            2 => format!("(?:{pattern})"),
            _ => pattern,
        };
        let start = one(
            dice,
            &[
                "",
                "",
                "",
                "^",
                "{^LN-BEG}",
                "{UNB}",
                "**",
                "(?:^|,)",
                r"^\S+ ",
            ],
        );
        let end = one(dice, &["", "", "", "", "$", "**", r"\b", r"\s", r"\]"]);
        let pattern = format!("{start}{pattern}{end}");
        let others = match dice.below(6) {
            0 => Written::any(dice).pattern,
            1 => "{^LN-BEG}".to_owned(),
            _ => return Written { pattern, text },
        };
        let pattern = match dice.below(2) {
            0 => format!("{pattern}\n{others}"),
            _ => format!("{others}\n{pattern}"),
        };
        Written { pattern, text }
    }

    /// A line for it.
    pub fn line(&self, dice: &mut Dice) -> String {
        let before = one(
            dice,
            &[
                "", "", "", "[", " ", "([", "host ", "host [", "a,", "x", "7", "é ",
            ],
        );
        let date = Moment::any(dice).fill(&self.text, dice);
        let behind = one(dice, &["", "", " ", "]", "] a", " b", "x", "7", ".", " é"]);
        let line = format!("{before}{date}{behind}");
        match line.is_ascii() {
            true => changed(line, dice),
            false => line,
        }
    }
}
