//! Who speaks on Fail2ban's socket, and how is he answered?
//!
//! In: commands, each a pickle with a mark behind it, as many of them as a client likes. Out: an answer to each, in the same
//! form. Who may only ask is refused what acts, as on our own socket.

use std::io;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::answer::{Answers, Failed};
use super::command;
use super::fault::Fault;
use super::pickle;
use super::value::Value;
use crate::control::Question;
use crate::control::protocol::{Reply, Request};
use crate::control::server::not_permitted;

/// What stands behind a command, and behind an answer.
const END: &[u8] = b"<F2B_END_COMMAND>";

/// What a client says who has nothing more to say.
const CLOSE: &[u8] = b"<F2B_CLOSE_COMMAND>";

/// The longest command: Fail2ban's own client sends all of its configuration with a reload, which is not looked at.
const LONGEST_COMMAND: usize = 1024 * 1024;

/// How long a client may take for its next command, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The driver is gone.
struct Gone;

/// Answers a client until it has enough.
///
/// # Errors
/// It goes away in the middle, or takes too long.
pub async fn converse(
    mut reader: impl AsyncBufRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    may_act: bool,
    questions: mpsc::Sender<Question>,
) -> io::Result<()> {
    let mut heard = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, next(&mut reader, &mut heard)).await;
        let Some(command) = next.map_err(io::Error::from)?? else {
            return Ok(());
        };
        if command == CLOSE {
            return Ok(());
        }
        let questions = questions.clone();
        // It asks the driver once or more, and waits for each answer.
        let answered = tokio::task::spawn_blocking(move || answered(&command, may_act, &questions));
        let Ok(Ok(mut bytes)) = answered.await else {
            return Ok(());
        };
        bytes.extend(END);
        let written = tokio::time::timeout(PATIENCE, writer.write_all(&bytes)).await;
        written.map_err(io::Error::from)??;
    }
}

/// The bytes of the next command; nothing at the end. What comes behind it stays in `heard`.
async fn next(
    reader: &mut (impl AsyncBufRead + Unpin),
    heard: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    // Bytes before that have been looked at.
    let mut from = 0;
    loop {
        let found = memchr::memmem::find(&heard[from..], END);
        if let Some(at) = found.map(|at| from + at) {
            let rest = heard.split_off(at + END.len());
            heard.truncate(at);
            return Ok(Some(std::mem::replace(heard, rest)));
        }
        if heard.len() > LONGEST_COMMAND {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        from = heard.len().saturating_sub(END.len());
        let more = reader.fill_buf().await?;
        let length = more.len();
        if length == 0 {
            return Ok(None);
        }
        heard.extend_from_slice(more);
        reader.consume(length);
    }
}

/// The answer to a command.
fn answered(
    command: &[u8],
    may_act: bool,
    questions: &mpsc::Sender<Question>,
) -> Result<Vec<u8>, Gone> {
    let value = match pickle::read(command) {
        Ok(value) => value,
        Err(error) => return Ok(pickle::alone(&format!("ERROR: {error}").into())),
    };
    let zone = TimeZone::system();
    let understood = words(value).and_then(command::understand);
    let answered = understood.map_err(Failed::Fault).and_then(|command| {
        Answers {
            ask: &mut |request| ask(request, may_act, questions),
            zone: &zone,
            from: None,
            complain: &mut |text| log::warn!("{text}"),
        }
        .answer(command)
    });
    match answered {
        Ok(value) => Ok(pickle::answer(&value)),
        Err(Failed::Fault(fault)) => Ok(pickle::fault(&fault)),
        Err(Failed::Daemon(gone)) => Err(gone),
    }
}

fn ask(request: Request, may_act: bool, questions: &mpsc::Sender<Question>) -> Result<Reply, Gone> {
    if request.acts() && !may_act {
        return Ok(Reply::Refused(not_permitted()));
    }
    let (reply, answer) = oneshot::channel();
    let sent = questions.blocking_send(Question { request, reply });
    sent.map_err(|_| Gone)?;
    answer.blocking_recv().map_err(|_| Gone)
}

/// The words of a command. With a reload come lists: of options, and of settings, which are read from the configuration
/// instead.
fn words(value: Value) -> Result<Vec<String>, Fault> {
    let (Value::List(values) | Value::Tuple(values)) = value else {
        return Err(Fault::Refused("Invalid command".to_owned()));
    };
    let is_reload = values.first() == Some(&Value::from("reload"));
    let (mut words, mut options) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            Value::List(inner) | Value::Tuple(inner) if is_reload => {
                let texts = inner.iter().filter(|value| matches!(value, Value::Text(_)));
                options.extend(texts.map(Value::plain));
            }
            Value::List(_) | Value::Tuple(_) | Value::Map(_) => {
                return Err(Fault::Refused(
                    "f2bd reads its configuration itself, and takes none from here".to_owned(),
                ));
            }
            word => words.push(word.plain()),
        }
    }
    let after_name = words.len().min(1);
    words.splice(after_name..after_name, options);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn commands(bytes: &[u8]) -> Vec<Vec<u8>> {
        // So that marks are cut in two.
        let mut reader = tokio::io::BufReader::with_capacity(7, bytes);
        let (mut heard, mut all) = (Vec::new(), Vec::new());
        while let Ok(Some(command)) = next(&mut reader, &mut heard).await {
            all.push(command);
        }
        all
    }

    #[tokio::test]
    async fn commands_end_at_their_marks() {
        let bytes = b"one<F2B_END_COMMAND><F2B_END_COMMANDtwo<F2B_END_COMMAND><F2B_CLOSE_COMMAND><F2B_END_COMMAND>half";
        let expected = [&b"one"[..], b"<F2B_END_COMMANDtwo", CLOSE];
        assert_eq!(commands(bytes).await, expected);
        let endless = vec![b'x'; LONGEST_COMMAND + 100];
        assert!(commands(&endless).await.is_empty());
    }

    #[test]
    fn a_reload_is_understood_without_its_settings() {
        let setting = Value::texts(["set", "sshd", "maxretry", "3"]);
        let command = Value::List(vec![
            "reload".into(),
            "--all".into(),
            Value::texts(["--unban"]),
            Value::List(vec![setting.clone()]),
        ]);
        assert_eq!(
            words(command),
            Ok(["reload", "--unban", "--all"].map(str::to_owned).to_vec())
        );
        let stream = Value::List(vec!["server-stream".into(), Value::List(vec![setting])]);
        assert!(words(stream).is_err());
    }
}
