//! Where is a secret kept, and what is it?
//!
//! A configuration that everybody may read says only where: in a file, or among the credentials that the service
//! manager hands over. What is there is read when it is used, and shown to nobody; nothing here knows what for.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How long a secret may be, in bytes: longer than any token, and than keys with their certificates.
const LONGEST: u64 = 64 * 1024;

/// Where the service manager says that a service's credentials are.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The right of everybody to read.
const OTHERS_READ: u32 = 0o004;

/// Where a secret is kept: `file:/path` or `credential:NAME`, or in a configuration that has no such words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Secret {
    /// In a file of its own.
    File(PathBuf),
    /// Among the credentials of the service, by its name there.
    Credential(String),
    /// A configuration of another program says it itself.
    Said(Opened),
}

/// A text that does not say where a secret is kept. It is not repeated: it may be the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretSyntax {
    /// It is neither of the two.
    #[error(
        "a secret is not written here, but where it is kept: write it to a file that only root may read and say \
         `file:/path`, or say `credential:NAME` if systemd loads it"
    )]
    NoPlace,
    /// A file whose place depends on where the daemon was started.
    #[error("`file:` needs a whole path, as in `file:/etc/f2bd/token`")]
    RelativePath,
    /// No name that a credential can have.
    #[error(
        "`credential:` needs the name of a credential as in systemd's LoadCredential=: letters, digits, `-`, `_` \
         and `.`"
    )]
    Name,
}

impl FromStr for Secret {
    type Err = SecretSyntax;

    fn from_str(text: &str) -> Result<Secret, SecretSyntax> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = Path::new(path);
            let is_whole = path.is_absolute() && !text.contains('\0');
            return if is_whole {
                Ok(Secret::File(path.to_owned()))
            } else {
                Err(SecretSyntax::RelativePath)
            };
        }
        let name = text
            .strip_prefix("credential:")
            .ok_or(SecretSyntax::NoPlace)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // What begins with a dot may be a place above.
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
            return Err(SecretSyntax::Name);
        }
        Ok(Secret::Credential(name.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::File(path) => write!(f, "file:{}", path.display()),
            Secret::Credential(name) => write!(f, "credential:{name}"),
            Secret::Said(_) => f.write_str("the secret that the configuration says"),
        }
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The service manager has handed over nothing.
    #[error(
        "there is no {secret}: the service has no credentials; add LoadCredential= to its unit, or use `file:/path`"
    )]
    NoCredentials {
        /// What was asked for.
        secret: Secret,
    },
    /// It cannot be read.
    #[error("cannot read {secret}: {error}")]
    Read {
        /// What was asked for.
        secret: Secret,
        /// Why not.
        error: io::Error,
    },
    /// It is no secret.
    #[error(
        "everybody may read {path}: run `chmod o-r {path}`, and change the secret if the machine has other users"
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// It is not a line of text.
    #[error("{secret} holds no secret: {why}")]
    NoSecret {
        /// What was asked for.
        secret: Secret,
        /// What is wrong with it.
        why: NoSecret,
    },
}

/// What is wrong with what a secret's place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// More is there than any secret has.
    #[error("it is longer than {} KiB", LONGEST / 1024)]
    Long,
    /// It could end what it is put into, and begin something else.
    #[error("it has more than one line, or NUL in it")]
    Lines,
    /// It could not be put into a text.
    #[error("it is not UTF-8")]
    Encoding,
}

/// A secret itself: one line of text. It is shown by what asks for it by name, and by nothing else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Opened(String);

impl Opened {
    /// A secret that somebody has written.
    ///
    /// # Errors
    /// It can be none.
    pub fn of(text: &str) -> Result<Opened, NoSecret> {
        parse(text.as_bytes().to_vec())
    }

    /// What nobody else may see.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(…)")
    }
}

impl Secret {
    /// Reads it. One line end at its end is no part of it.
    ///
    /// # Errors
    /// It is not there, or may not be read, or everybody may read it, or it is not one line of text.
    pub fn open(&self) -> Result<Opened, SecretError> {
        let directory = env::var_os(CREDENTIALS).map(PathBuf::from);
        self.open_in(directory.as_deref())
    }

    /// Reads it, with credentials from this directory.
    fn open_in(&self, credentials: Option<&Path>) -> Result<Opened, SecretError> {
        let path = match self {
            Secret::Said(opened) => return Ok(opened.clone()),
            Secret::File(path) => path.clone(),
            Secret::Credential(name) => credentials
                .map(|directory| directory.join(name))
                .ok_or_else(|| SecretError::NoCredentials {
                    secret: self.clone(),
                })?,
        };
        let read = |error| SecretError::Read {
            secret: self.clone(),
            error,
        };
        // A pipe would keep us waiting for whoever writes to it.
        if !path.metadata().map_err(read)?.is_file() {
            return Err(read(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            )));
        }
        let file = File::open(&path).map_err(read)?;
        if file.metadata().map_err(read)?.mode() & OTHERS_READ != 0 {
            return Err(SecretError::ReadableByOthers { path });
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        parse(bytes).map_err(|why| SecretError::NoSecret {
            secret: self.clone(),
            why,
        })
    }
}

/// What a file with these bytes holds.
fn parse(mut bytes: Vec<u8>) -> Result<Opened, NoSecret> {
    if bytes.len() as u64 > LONGEST {
        return Err(NoSecret::Long);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(NoSecret::Empty);
    }
    if bytes.iter().any(|byte| b"\0\r\n".contains(byte)) {
        return Err(NoSecret::Lines);
    }
    String::from_utf8(bytes)
        .map(Opened)
        .map_err(|_| NoSecret::Encoding)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use proptest::prelude::*;
    use tempfile::TempDir;

    fn kept(directory: &TempDir, bytes: &[u8], mode: u32) -> PathBuf {
        let path = directory.path().join("token");
        fs::write(&path, bytes).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        path
    }

    #[test]
    fn a_file_or_a_credential_is_opened() {
        let directory = TempDir::new().expect("a directory");
        let path = kept(&directory, b"tok en\r\n", 0o640);
        let file: Secret = format!("file:{}", path.display()).parse().expect("a place");
        assert_eq!(file.open().expect("it is there").reveal(), "tok en");
        let credential: Secret = "credential:token".parse().expect("a place");
        let opened = credential
            .open_in(Some(directory.path()))
            .expect("it is there");
        assert_eq!(opened.reveal(), "tok en");
        assert!(!format!("{opened:?}").contains("tok"));
        let error = credential.open_in(None).expect_err("there is nothing");
        assert!(error.to_string().contains("LoadCredential="), "{error}");
    }

    #[test]
    fn where_it_is_kept_is_shown() {
        for text in ["file:/etc/f2bd/token", "credential:f2bd.token-1_a"] {
            let secret: Secret = text.parse().expect("a place");
            assert_eq!(secret.to_string(), text);
        }
    }

    #[test]
    fn a_literal_secret_is_refused_and_not_repeated() {
        let texts = [
            "hunter2",
            "file:hunter2",
            "file:",
            "credential:../hunter2",
            "credential:hunter2/x",
            "credential:",
            "env:hunter2",
            "",
        ];
        for text in texts {
            let error = text.parse::<Secret>().expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_everybody_may_read_is_no_secret() {
        let directory = TempDir::new().expect("a directory");
        let path = kept(&directory, b"token", 0o644);
        let error = Secret::File(path)
            .open()
            .expect_err("everybody may read it");
        assert!(error.to_string().contains("chmod o-r /"), "{error}");
    }

    #[test]
    fn what_another_configuration_says_is_not_shown() {
        let said = Secret::Said(Opened::of("tok en").expect("a secret"));
        assert_eq!(said.open().expect("it is said").reveal(), "tok en");
        assert!(!format!("{said} {said:?}").contains("tok"), "{said:?}");
        assert_eq!(Opened::of("a\nb"), Err(NoSecret::Lines));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let error = Secret::File("/dev/zero".into())
            .open()
            .expect_err("no file");
        assert_eq!(
            error.to_string(),
            "cannot read file:/dev/zero: it is no regular file"
        );
        let error = Secret::File("/no/such/file".into())
            .open()
            .expect_err("no file");
        assert!(matches!(error, SecretError::Read { .. }), "{error}");
    }

    #[test]
    fn a_secret_is_one_line() {
        let why = |bytes: &[u8]| parse(bytes.to_vec()).map(|_| ()).expect_err("no secret");
        assert_eq!(why(b""), NoSecret::Empty);
        assert_eq!(why(b"\n"), NoSecret::Empty);
        assert_eq!(why(b"a\n\n"), NoSecret::Lines);
        assert_eq!(why(b"a\r\nX: y"), NoSecret::Lines);
        assert_eq!(why(b"a\0"), NoSecret::Lines);
        assert_eq!(why(b"\xff"), NoSecret::Encoding);
        let limit = usize::try_from(LONGEST).expect("it fits");
        assert_eq!(why(&vec![b'a'; limit + 1]), NoSecret::Long);
        assert!(parse(vec![b'a'; limit]).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_opened_is_one_line_of_what_was_there(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(opened) = parse(bytes.clone()) {
                prop_assert!(!opened.reveal().contains(['\0', '\r', '\n']));
                prop_assert!(bytes.starts_with(opened.reveal().as_bytes()));
                prop_assert!(bytes.len() - opened.reveal().len() <= 2);
            }
        }

        #[test]
        fn a_place_is_shown_as_it_was_said(text in "(file:|credential:)?[ -~]{0,20}") {
            if let Ok(secret) = text.parse::<Secret>() {
                prop_assert_eq!(secret.to_string(), text);
            }
        }
    }
}
