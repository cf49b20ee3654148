//! How is a command run, and what happens if it fails?
//!
//! Whether all that it needs is as it was is asked only then; what is not is repaired, once in an order, and the command has
//! a second chance.

use std::collections::BTreeMap;

use super::ledger::Key;
use super::script::Filled;
use super::spec::{Confidential, Occasion, Side};
use super::ticket::Ticket;
use super::{Shell, ShellError};
use crate::action::exec::{self, Environment, Errand, ExecError};
use crate::action::said::without;

/// The shell.
const SHELL: &str = "/bin/sh";

impl Shell<'_> {
    /// Runs what is said for an occasion.
    pub(super) fn run(
        &self,
        occasion: Occasion,
        side: Side,
        of: Option<&Key>,
    ) -> Result<(), ShellError> {
        match self.filled(occasion, side, of)? {
            Some(filled) => self.run_filled(occasion, &filled, of),
            None => Ok(()),
        }
    }

    fn filled(
        &self,
        occasion: Occasion,
        side: Side,
        of: Option<&Key>,
    ) -> Result<Option<Filled>, ShellError> {
        let Some(script) = self.spec.commands_of(side).on(occasion) else {
            return Ok(None);
        };
        let mut secrets = BTreeMap::new();
        for (name, secret) in self.spec.kept() {
            if script.tags().any(|tag| tag == name) {
                secrets.insert(name, secret.open()?);
            }
        }
        let ticket = Ticket {
            side,
            now: self.now,
            jail: of.map(|(jail, _)| jail),
            subject: of.map(|(_, subject)| subject),
            known: of.and_then(|key| self.ledger.get(key)),
            banned: &self.banned,
            banned_total: &self.banned_total,
            secrets: &secrets,
        };
        Ok(Some(script.fill(&ticket)))
    }

    fn run_filled(
        &self,
        occasion: Occasion,
        filled: &Filled,
        of: Option<&Key>,
    ) -> Result<(), ShellError> {
        if (self.is_called_off)() {
            return Err(ShellError::CalledOff);
        }
        let argv = [SHELL.to_owned(), "-c".to_owned(), filled.text.clone()];
        let ended = exec::run(&Errand {
            argv: &argv,
            input: &[],
            deadline: self.spec.timeout,
            accepts: &[0],
            environment: Environment::Ours(&filled.variables),
        });
        let ended = ended.map(drop).map_err(|error| ShellError::Failed {
            occasion,
            whom: of.map(|(_, subject)| subject.plain()).unwrap_or_default(),
            error: self.discreet(error),
        });
        let failed = ended.as_ref().err().map(ToString::to_string);
        self.failed.replace(failed);
        ended
    }

    /// What was said without what is secret.
    fn discreet(&self, error: ExecError) -> ExecError {
        match error {
            ExecError::Refused {
                program,
                status,
                complaint,
            } => {
                let secrets = self.spec.secrets.values();
                // One that cannot be opened now was not told either.
                let secrets: Vec<_> = secrets
                    .filter_map(|secret| match secret {
                        Confidential::Said(text) => Some(text.clone()),
                        Confidential::Kept(secret) => Some(secret.open().ok()?.reveal().to_owned()),
                    })
                    .collect();
                let secrets = secrets.iter().map(String::as_str);
                ExecError::Refused {
                    program,
                    status,
                    complaint: without(&complaint, secrets),
                }
            }
            other => other,
        }
    }

    /// Runs for each of these sides what is said for an occasion, but never the same twice; answers the first failure.
    pub(super) fn run_once_each(
        &self,
        occasion: Occasion,
        sides: &[Side],
    ) -> Result<(), ShellError> {
        let mut result = Ok(());
        let mut said: Vec<Filled> = Vec::new();
        for side in sides {
            match self.filled(occasion, *side, None) {
                Ok(Some(filled)) if !said.contains(&filled) => {
                    result = result.and(self.run_filled(occasion, &filled, None));
                    said.push(filled);
                }
                Ok(_) => {}
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    pub(super) fn start(&mut self, side: Side) -> Result<(), ShellError> {
        if self.started.contains(&side) {
            return Ok(());
        }
        if let Some(filled) = self.filled(Occasion::Start, side, None)? {
            // What differs in nothing is started already, by another side.
            let mut is_started = false;
            for other in &self.started {
                let other = self.filled(Occasion::Start, *other, None)?;
                is_started |= other.as_ref() == Some(&filled);
            }
            if !is_started {
                self.run_filled(Occasion::Start, &filled, None)?;
            }
        }
        self.started.push(side);
        Ok(())
    }

    /// Runs a command that concerns one ban. If it fails, all that it needs is looked at and perhaps repaired, and it has a
    /// second chance.
    pub(super) fn attempt(
        &mut self,
        occasion: Occasion,
        key: &Key,
        repairs: bool,
    ) -> Result<(), ShellError> {
        let side = self.spec.side_of(&key.1);
        match self.run(occasion, side, Some(key)) {
            Err(ShellError::Failed { .. }) => {}
            other => return other,
        }
        if let Err(error) = self.run(Occasion::Check, side, None) {
            if !repairs || !self.repaired.insert(side) {
                return Err(ShellError::Broken(Box::new(error)));
            }
            log::error!(
                "{}: {error}; not all is as it was, repairing it",
                self.action
            );
            self.repair(side)?;
        }
        self.run(occasion, side, Some(key))
    }

    /// Makes all that bans need anew. The bans are no more, or may not be.
    fn repair(&mut self, side: Side) -> Result<(), ShellError> {
        if self.spec.commands_of(side).on(Occasion::Repair).is_some() {
            self.run(Occasion::Repair, side, None)?;
        } else {
            if let Err(error) = self.run(Occasion::Stop, side, None) {
                // What is broken may not be taken away.
                log::warn!("{}: {error}", self.action);
            }
            self.started.retain(|other| *other != side);
            self.start(side)?;
        }
        self.run(Occasion::Check, side, None)?;
        if !self.started.contains(&side) {
            self.started.push(side);
        }
        let spec = self.spec;
        self.ledger.lose(|key| spec.side_of(&key.1) == side);
        Ok(())
    }
}
