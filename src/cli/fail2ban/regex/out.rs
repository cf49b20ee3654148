//! What does `fail2ban-regex -o` print of a failure?
//!
//! In: who has failed. Out: lines for programs, byte for byte as Fail2ban prints them.

use super::hit::{Hit, Moment};
use crate::control::fail2ban::value::Value;
use crate::engine::prefix::{self, Prefix};

/// What is printed of each failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Who is banned.
    Id,
    /// His address.
    Ip,
    /// The lines that tell of it.
    Lines,
    /// Who, when, and all that is known, as a list of Python.
    Row,
    /// What is known by this name.
    Word(String),
    /// A text with tags.
    Text(String),
}

impl Form {
    /// What somebody asks for.
    pub fn of(token: &str) -> Self {
        match token {
            "id" | "fid" => Form::Id,
            "ip" => Form::Ip,
            "msg" => Form::Lines,
            "row" => Form::Row,
            text if text.contains('<') => Form::Text(text.to_owned()),
            word => Form::Word(word.to_owned()),
        }
    }

    /// The lines to be printed.
    pub fn print(&self, hit: &Hit<'_>) -> Vec<String> {
        match self {
            Form::Id => vec![hit.id.clone()],
            Form::Ip => hit.get("ip").into_iter().collect(),
            Form::Lines => hit.said.texts.iter().map(ToString::to_string).collect(),
            Form::Row => {
                let id = Value::from(&*hit.id);
                vec![format!("[{id},\t{},\t{}],", time(hit), hit.table())]
            }
            Form::Word(word) => vec![hit.get(word).unwrap_or_else(|| Value::Nothing.to_string())],
            Form::Text(text) => {
                let lines = &hit.said.texts;
                let is_wrapped = lines.len() > 1 && text.contains("<msg>");
                match is_wrapped {
                    true => lines.iter().map(|line| filled(text, hit, line)).collect(),
                    false => vec![filled(text, hit, &lines.join("\n"))],
                }
            }
        }
    }
}

fn time(hit: &Hit<'_>) -> Value {
    hit.time.map_or(Value::Nothing, |time| time.value())
}

/// A text with what its tags stand for. Nothing is put into what came from a log.
fn filled(text: &str, hit: &Hit<'_>, message: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        filled.push_str(before);
        let tag = behind.split_once('>').map(|(tag, _)| tag);
        let tag = tag.filter(|tag| !tag.is_empty() && !tag.contains([' ', '<']));
        let value = tag.and_then(|tag| value(tag, hit, message));
        match (tag, value) {
            (Some(tag), Some(value)) => {
                filled.push_str(&value);
                rest = &behind[tag.len() + 1..];
            }
            _ => {
                filled.push('<');
                rest = behind;
            }
        }
    }
    filled + rest
}

/// What a tag stands for; `None` if it is none.
fn value(tag: &str, hit: &Hit<'_>, message: &str) -> Option<String> {
    if let Some(group) = tag.strip_prefix("F-") {
        let is_plain =
            |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if !group.chars().all(is_plain) {
            return None;
        }
        let name = match group {
            "ID" => "fid".to_owned(),
            other => other.to_lowercase().replace('-', "_"),
        };
        return Some(hit.get(&name).unwrap_or_default());
    }
    let ip = || hit.get("ip").unwrap_or_default();
    Some(match tag {
        "ip" => ip(),
        "fid" => hit.id.clone(),
        // What tells no time is told as if it were written now.
        "time" => hit.time.unwrap_or_else(Moment::now).value().to_string(),
        "msg" => message.to_owned(),
        "matches" => hit.said.texts.join("\n"),
        "family" => match ip().parse::<Prefix>() {
            Ok(ip) if ip.address().is_ipv6() => "inet6".to_owned(),
            Ok(_) => "inet4".to_owned(),
            Err(_) => Value::Nothing.to_string(),
        },
        "ip-rev" => ip()
            .parse()
            .map_or_else(|_| String::new(), prefix::reversed),
        // Nobody has been banned, and nobody counts.
        "failures" | "bancount" | "restored" => "0".to_owned(),
        "br" => "\n".to_owned(),
        "sp" => " ".to_owned(),
        _ => return None,
    })
}
