//! What does `fail2ban-client stats` print?
//!
//! In: for each jail its backend and two pairs of numbers. Out: a table with lines, drawn as the terminal can.

use crate::control::fail2ban::value::Value;

/// What lines are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// ASCII.
    Plain,
    /// Box characters.
    Boxes,
}

impl Letters {
    /// What the locale can show. A locale without a name is taken for UTF-8, as Python takes it.
    pub fn of_locale() -> Self {
        let variables = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
        let mut set = variables.filter_map(|name| std::env::var(name).ok());
        let locale = set.find(|value| !value.is_empty()).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        match locale.as_str() {
            "" | "c" | "posix" => Letters::Boxes,
            named if named.contains("utf-8") || named.contains("utf8") => Letters::Boxes,
            _ => Letters::Plain,
        }
    }

    fn drawn(self) -> Drawn {
        match self {
            Letters::Plain => Drawn {
                column: "|",
                double: "-",
                start: "|",
                over: "x",
                cross: "x",
                foot: "-",
                pair: "|",
                single: "-",
            },
            Letters::Boxes => Drawn {
                column: "║",
                double: "═",
                start: "╟",
                over: "╫",
                cross: "╬",
                foot: "╩",
                pair: "│",
                single: "─",
            },
        }
    }
}

struct Drawn {
    column: &'static str,
    double: &'static str,
    start: &'static str,
    over: &'static str,
    cross: &'static str,
    foot: &'static str,
    pair: &'static str,
    single: &'static str,
}

/// Jail, backend, and current and total of failures and bans.
type Row = [String; 6];

/// The least widths of these.
const WIDTHS: [usize; 6] = [8, 8, 3, 3, 3, 3];

/// The table of all jails.
pub fn text(value: &Value, letters: Letters) -> String {
    let Value::Map(entries) = value else {
        return value.plain();
    };
    let rows: Vec<_> = entries
        .iter()
        .filter_map(|(jail, value)| row(jail, value))
        .collect();
    if rows.is_empty() {
        return "No jails found.".to_owned();
    }
    let mut widths = WIDTHS;
    for (at, width) in widths.iter_mut().enumerate() {
        let wanted = rows.iter().map(|row| row[at].chars().count());
        *width = wanted.fold(*width, usize::max);
    }
    let drawn = letters.drawn();
    let [jail, backend, one, two, three, four] = widths;
    let wide = [jail, backend, one + two + 3, three + four + 3];
    let between = format!(" {} ", drawn.column);
    let heads = ["", "", "Filter", "Actions"];
    let heads = heads
        .iter()
        .zip(wide)
        .map(|(head, width)| format!("{head:<width$}"));
    let heads: Vec<_> = heads.collect();
    let thin = |width| drawn.single.repeat(width);
    let lines = |joint: &str| {
        let joint = format!("{0}{joint}{0}", drawn.double);
        let parts = wide.map(|width| drawn.double.repeat(width));
        format!("{0}{1}{0}", drawn.double, parts.join(&joint))
    };
    let numbers = |row: &Row| {
        format!(
            " {0:<jail$}{between}{1:<backend$}{between}{2:>one$} {6} {3:>two$}{between}{4:>three$} {6} {5:>four$}",
            row[0], row[1], row[2], row[3], row[4], row[5], drawn.pair
        )
    };
    let titles = ["", "", "cur", "tot", "cur", "tot"].map(str::to_owned);
    let mut all = vec![
        format!(" {}", heads.join(&between)),
        format!(
            " {:<jail$}{between}{:<backend$} {}{single}{}{single}{}{single}{}{single}",
            "Jail",
            "Backend",
            drawn.start,
            thin(wide[2]),
            drawn.over,
            thin(wide[3]),
            single = drawn.single,
        ),
        numbers(&titles),
        lines(drawn.cross),
    ];
    all.extend(rows.iter().map(numbers));
    all.push(lines(drawn.foot));
    all.join("\n")
}

fn row(jail: &str, value: &Value) -> Option<Row> {
    let Value::List(parts) = value else {
        return None;
    };
    let [backend, Value::Tuple(failures), Value::Tuple(bans)] = parts.as_slice() else {
        return None;
    };
    let ([one, two], [three, four]) = (failures.as_slice(), bans.as_slice()) else {
        return None;
    };
    Some([
        jail.to_owned(),
        backend.plain(),
        one.plain(),
        two.plain(),
        three.plain(),
        four.plain(),
    ])
}
