//! Python, which is asked by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::skipped;

const PROGRAM: &str = include_str!("../expressions.py");

/// Where the package of Fail2ban is unpacked or installed.
pub fn package() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let mut places = [target.join("samples"), PathBuf::from("/")].into_iter();
    let found = places.find(|root| root.join("etc/fail2ban/filter.d").is_dir());
    found.or_else(|| skipped("there is no package of Fail2ban; contrib/test.sh fetches it"))
}

pub struct Python {
    program: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Started, with the modules of the package below `root`, if any.
    pub fn start(root: Option<&Path>) -> Option<Self> {
        let modules = root.map(|root| root.join("usr/lib/python3/dist-packages"));
        let mut command = Command::new("python3");
        command
            .args(["-c", PROGRAM])
            .envs(modules.map(|path| ("PYTHONPATH", path)));
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut program) = started else {
            return skipped("there is no python3");
        };
        Some(Python {
            questions: program.stdin.take()?,
            answers: BufReader::new(program.stdout.take()?),
            program,
        })
    }

    pub fn ask<T: DeserializeOwned>(&mut self, question: &Value) -> T {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| {
            let answer: String = answer.chars().take(300).collect();
            panic!("{error}: {answer}\nfor {question}")
        })
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
