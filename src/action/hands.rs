//! Who does what a job says?
//!
//! By the means there are: programs, requests, letters, files. Nothing is decided here, and nothing is tried again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::exec::{self, Environment, Errand, ExecError};
use super::found::{FoundError, PLACEHOLDER};
use super::http::{Client, HttpError, Method, Proxy, Request, Settings};
use super::job::{Job, Post, Run, Send};
use super::machine;
use super::mail::{self, Letter, Login, MailError, Part, Security, Server, Transport};
use super::parameter::{ParameterError, Value, Values};
use super::replace::replace;
use super::said::one_line;
use super::said::without;
use super::secret::{Opened, SecretError};

/// How long a question may take whether there is anything to do.
const QUESTION_DEADLINE: Duration = Duration::from_secs(5);

/// The least that is left for a request behind a question: no time at all could be read as no limit.
const SHORTEST: Duration = Duration::from_millis(1);

/// How much of what a program says is told: the first lines name the cause.
const LONGEST_COMPLAINT: usize = 600;

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A program.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A program has said that it was not done, and ended as if it were.
    #[error("{program} said: {complaint}")]
    Said {
        /// What was run.
        program: String,
        /// What it said, on one line.
        complaint: String,
    },
    /// A request.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What a service has answered to a question.
    #[error(transparent)]
    Found(#[from] FoundError),
    /// A letter.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// A secret that it needs.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A mailbox that is none.
    #[error("`{0}` is no mailbox")]
    Mailbox(String),
    /// A list of bans that is longer than what is read of it.
    #[error("the list of what is there is too long to be read")]
    TooLong,
    /// Everything would have to be replaced, and nobody knows what that is.
    #[error("not all bans are known, so what is there stays as it is")]
    NotAllKnown,
    /// The action is to end first.
    #[error("called off")]
    CalledOff,
    /// A parameter of its means.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A file that was there.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// A file.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
}

impl JobError {
    /// How long the other side wants to be left alone, if it has said so.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            JobError::Http(HttpError::Busy { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether trying again is hardly of use.
    pub fn is_lasting(&self) -> bool {
        match self {
            JobError::Http(error) => error.is_lasting(),
            JobError::Mail(error) => error.is_lasting(),
            JobError::Mailbox(_) | JobError::Parameter(_) => true,
            JobError::Exec(_)
            | JobError::Said { .. }
            | JobError::Secret(_)
            | JobError::Found(_)
            | JobError::TooLong
            | JobError::NotAllKnown
            | JobError::CalledOff
            | JobError::Read { .. }
            | JobError::Write { .. } => false,
        }
    }

    /// Whether a program has refused to do it.
    pub fn is_of_program(&self) -> bool {
        matches!(
            self,
            JobError::Exec(ExecError::Refused { .. }) | JobError::Said { .. }
        )
    }

    /// Whether the other side says that it knows nothing of whom it is about.
    pub fn is_of_what_is_gone(&self) -> bool {
        matches!(
            self,
            JobError::Http(HttpError::Refused {
                status: 404 | 410,
                ..
            })
        )
    }

    /// Whether it is this job that was refused, and another one may be done.
    pub fn is_refusal(&self) -> bool {
        match self {
            JobError::Exec(ExecError::Refused { .. })
            | JobError::Said { .. }
            | JobError::Found(_) => true,
            JobError::Http(error @ HttpError::Refused { .. }) => !error.is_of_who_asks(),
            _ => false,
        }
    }
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What the program or the other side has said.
    pub said: Vec<u8>,
    /// Whether it has said more.
    pub cut: bool,
    /// Whether anything was there to do.
    pub changed: bool,
}

/// Opens all secrets.
///
/// # Errors
/// One cannot be had.
pub fn open_secrets(values: &Values) -> Result<BTreeMap<String, Opened>, SecretError> {
    let secrets = values.iter().filter_map(|(name, value)| match value {
        Value::Secret(secret) => Some(secret.open().map(|opened| (name.to_owned(), opened))),
        Value::Text(_) | Value::List(_) => None,
    });
    secrets.collect()
}

/// Whether a program has refused, though it ended well.
fn refuses(run: &Run, said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    run.refusals.iter().any(|words| said.contains(words))
}

/// What a program complains of, without what it was told in confidence: its complaint is for everybody to read.
fn discreet(error: JobError, secrets: &BTreeMap<String, Opened>) -> JobError {
    let quiet = |text: String| without(&text, secrets.values().map(Opened::reveal));
    match error {
        JobError::Exec(ExecError::Refused {
            program,
            status,
            complaint,
        }) => JobError::Exec(ExecError::Refused {
            program,
            status,
            complaint: quiet(complaint),
        }),
        JobError::Said { program, complaint } => JobError::Said {
            program,
            complaint: quiet(complaint),
        },
        other => other,
    }
}

/// The means that the parameters of an action give it.
pub struct Hands<'v> {
    values: &'v Values,
    deadline: Duration,
    /// Made when the first request is sent, and kept for its connections.
    client: Option<Client>,
}

impl<'v> Hands<'v> {
    /// Means by these values; `deadline` is for each job.
    pub fn new(values: &'v Values, deadline: Duration) -> Hands<'v> {
        Hands {
            values,
            deadline,
            client: None,
        }
    }

    /// Does a job.
    ///
    /// # Errors
    /// It is not done, or not known to be.
    pub fn apply(
        &mut self,
        job: &Job,
        secrets: &BTreeMap<String, Opened>,
    ) -> Result<Done, JobError> {
        match job {
            Job::Run(run) => self.run(run).map_err(|error| discreet(error, secrets)),
            Job::Send(send) => self.send(send),
            Job::Write(write) => {
                let replaced = replace(Path::new(&write.path), write.content.as_bytes());
                let changed = replaced.map_err(|error| JobError::Write {
                    path: write.path.clone(),
                    error,
                })?;
                Ok(Done {
                    changed,
                    ..Done::default()
                })
            }
            Job::Post(post) => self.post(post, secrets),
        }
    }

    /// Whether what a program is to do is done already.
    ///
    /// # Errors
    /// Nobody can say.
    pub fn is_done(&self, run: &Run) -> Result<bool, JobError> {
        let errand = Errand {
            argv: &run.unless,
            input: &[],
            deadline: self.deadline.min(QUESTION_DEADLINE),
            accepts: &[0],
            environment: Environment::Bare,
        };
        match exec::run(&errand) {
            Ok(ended) => Ok(!refuses(run, &ended.output)),
            Err(ExecError::Refused { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn run(&self, run: &Run) -> Result<Done, JobError> {
        if !run.unless.is_empty() && self.is_done(run)? {
            return Ok(Done::default());
        }
        let ended = exec::run(&Errand {
            argv: &run.argv,
            input: run.input.as_bytes(),
            deadline: self.deadline,
            accepts: &run.accepts,
            environment: Environment::Bare,
        })?;
        if refuses(run, &ended.output) {
            return Err(JobError::Said {
                program: run.argv.first().cloned().unwrap_or_default(),
                complaint: one_line(&ended.output, LONGEST_COMPLAINT),
            });
        }
        Ok(Done {
            said: ended.output,
            cut: ended.cut,
            changed: true,
        })
    }

    fn send(&mut self, send: &Send) -> Result<Done, JobError> {
        let mut url = send.url.clone();
        let (begun, deadline) = (Instant::now(), self.deadline);
        if let Some(lookup) = &send.lookup {
            let answer = self.client()?.send(
                &Request {
                    method: Method::Get,
                    url: lookup.url.clone(),
                    headers: send.headers.clone(),
                    body: Vec::new(),
                },
                &[],
            )?;
            let Some(found) = lookup.finding.of(&answer.body)? else {
                return Ok(Done::default());
            };
            url = url.replace(PLACEHOLDER, &found.to_string());
        }
        let request = Request {
            method: send.method,
            url,
            headers: send.headers.clone(),
            body: send.body.clone().into_bytes(),
        };
        // The question and what follows have one time together.
        let left = deadline.saturating_sub(begun.elapsed()).max(SHORTEST);
        let answer = self.client()?.send_within(&request, &send.accepts, left)?;
        Ok(Done {
            said: answer.body,
            cut: answer.cut,
            changed: true,
        })
    }

    /// The client, made when it is used for the first time.
    fn client(&mut self) -> Result<&Client, JobError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let proxy = self.text("proxy");
                let proxy = proxy.map(|text| text.parse::<Proxy>());
                let refused = |_| ParameterError::Value {
                    name: "proxy".to_owned(),
                    value: self.text("proxy").unwrap_or_default().to_owned(),
                    wanted: "http://HOST:PORT".to_owned(),
                };
                Client::new(&Settings {
                    deadline: self.deadline,
                    proxy: proxy.transpose().map_err(refused)?,
                    authority: self.text("authority").map(PathBuf::from),
                })?
            }
        };
        Ok(self.client.insert(client))
    }

    fn post(&self, post: &Post, secrets: &BTreeMap<String, Opened>) -> Result<Done, JobError> {
        let mailbox = |text: &String| {
            let own = text.strip_suffix("<host>");
            let own = own.map(|name| format!("{name}{}", machine::full_name()));
            let whole = own.as_ref().unwrap_or(text);
            whole.parse().map_err(|_| JobError::Mailbox(whole.clone()))
        };
        let letter = Letter {
            from: mailbox(&post.from)?,
            to: post.to.iter().map(mailbox).collect::<Result<_, _>>()?,
            subject: post.subject.clone(),
            body: post.body.clone(),
            headers: Vec::new(),
            parts: post
                .parts
                .iter()
                .map(|part| Part {
                    content_type: part.content_type.clone(),
                    name: part.name.clone(),
                    text: part.text.clone(),
                })
                .collect(),
        };
        mail::post(&self.transport(secrets)?, &letter, self.deadline)?;
        Ok(Done {
            changed: true,
            ..Done::default()
        })
    }

    fn transport(&self, secrets: &BTreeMap<String, Opened>) -> Result<Transport, JobError> {
        let Some(host) = self.text("server") else {
            let program = self.values.text("mail", "sendmail")?;
            return Ok(Transport::Sendmail {
                program: PathBuf::from(program),
            });
        };
        let security = match self.values.text("mail", "security")? {
            "tls" => Security::Tls,
            "starttls" => Security::StartTls,
            _ => Security::None,
        };
        let missing = ParameterError::Missing {
            kind: "mail",
            name: "port",
        };
        let port = self.values.text("mail", "port")?;
        let login = self.text("user").zip(secrets.get("password"));
        Ok(Transport::Smtp(Server {
            host: host.to_owned(),
            port: port.parse().map_err(|_| missing)?,
            security,
            login: login.map(|(user, password)| Login {
                user: user.to_owned(),
                password: password.clone(),
            }),
            authority: self.text("authority").map(PathBuf::from),
        }))
    }

    /// A text that is set, and not to nothing.
    fn text(&self, name: &str) -> Option<&'v str> {
        match self.values.get(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}
