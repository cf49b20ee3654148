//! What exactly is to be done?
//!
//! Pure data: a program with its arguments and what it reads, a request, a file, a letter. Shown, a job is what the samples
//! of data files expect, line by line.

use std::fmt;

use super::found::Finding;
use super::http::Method;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Run a program.
    Run(Run),
    /// Send a request.
    Send(Send),
    /// Write a file, if it is not that already.
    Write(Write),
    /// Post a letter.
    Post(Post),
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The program that succeeds where there is nothing left to do; nobody is asked if it is empty.
    pub unless: Vec<String>,
    /// What it reads.
    pub input: String,
    /// Exit codes that are success.
    pub accepts: Vec<i32>,
    /// Words of its output by which it tells that it has not done it.
    pub refusals: Vec<String>,
}

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// What is asked before, with the same headers; nothing is sent if the answer names nothing.
    pub lookup: Option<Lookup>,
    /// Its method.
    pub method: Method,
    /// Its address.
    pub url: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// Answers that are success, beside all from 200 to 299.
    pub accepts: Vec<u16>,
}

/// A question whose answer completes the address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The address that is asked.
    pub url: String,
    /// What is looked for in the answer.
    pub finding: Finding,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its path.
    pub path: String,
    /// What it is to hold.
    pub content: String,
}

/// A letter to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// To whom.
    pub to: Vec<String>,
    /// From whom.
    pub from: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: String,
    /// What is attached.
    pub parts: Vec<Part>,
}

/// An attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its type.
    pub content_type: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Run(run) => {
                if !run.unless.is_empty() {
                    writeln!(f, "? {}", quoted(&run.unless))?;
                }
                writeln!(f, "$ {}", quoted(&run.argv))?;
                lines(f, &run.input)
            }
            Job::Send(send) => {
                if let Some(lookup) = &send.lookup {
                    writeln!(f, "? GET {}", lookup.url)?;
                    for (place, text) in &lookup.finding.matching {
                        writeln!(f, "? {place} = {text}")?;
                    }
                    writeln!(f, "? {} = <found>", lookup.finding.find)?;
                }
                writeln!(f, "{} {}", send.method, send.url)?;
                for (name, value) in &send.headers {
                    writeln!(f, "{name}: {value}")?;
                }
                lines(f, &send.body)
            }
            Job::Write(write) => {
                writeln!(f, "= {}", write.path)?;
                lines(f, &write.content)
            }
            Job::Post(post) => {
                writeln!(f, "@ {} from {}", post.to.join(" "), post.from)?;
                writeln!(f, "Subject: {}", post.subject)?;
                lines(f, &post.body)?;
                for part in &post.parts {
                    writeln!(f, "+ {} {}", part.content_type, part.name)?;
                    lines(f, &part.text)?;
                }
                Ok(())
            }
        }
    }
}

fn lines(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for line in text.lines() {
        writeln!(f, "{}", format!("> {line}").trim_end())?;
    }
    Ok(())
}

/// Arguments as one would type them into a shell.
fn quoted(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    let words = argv.iter().map(|word| match word {
        word if !word.is_empty() && word.chars().all(plain) => word.clone(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}
