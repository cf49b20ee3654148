//! How do `fail2ban-client start`, `restart` and `fail2ban-server` begin and end a daemon?
//!
//! Where systemd runs and has a unit for f2bd, it owns the daemon and is asked to start it; else a process is started that
//! goes on when this one has ended. A command line that names a configuration, a socket or a pid file means a daemon of its own.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::args::Logging;
use super::{NotDone, Session, Tool, complain, print};
use crate::config::fail2ban::logging::{LogTarget, Said, SyslogSocket};
use crate::config::fail2ban::time;
use crate::config::files::main_file;
use crate::control::client::Client;
use crate::control::fail2ban::threshold::NoLevel;
use crate::control::protocol::Request;
use crate::daemon::{self, RunOptions};

/// How long a server may take to start or to end, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// The unit of systemd.
const UNIT: &str = "f2bd.service";

/// It is there where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

impl Session {
    /// Starts a daemon.
    pub(super) fn start(&self) -> Result<(), NotDone> {
        let logging = self.logging()?;
        if self.is_answered()? {
            complain("Server already running");
            return Err(NotDone);
        }
        if self.options.foreground {
            return self.stay(logging);
        }
        let Some(settings) = self.load().settings else {
            return Err(NotDone);
        };
        let socket = self.options.socket.as_ref();
        let socket = socket.or(settings.daemon.fail2ban_socket.as_ref());
        if let Some(socket) = socket.filter(|socket| UnixStream::connect(socket).is_ok()) {
            complain(&format!(
                "Server already running: another program, perhaps Fail2ban itself, answers at {}; end it first, for instance by `systemctl stop fail2ban`",
                socket.display()
            ));
            return Err(NotDone);
        }
        let mut child = match self.is_own() && has_unit() {
            true => {
                if self.options.logging != Logging::default() {
                    complain(&format!(
                        "{UNIT} does not hear of --logtarget, --loglevel and --syslogsocket: write them into the configuration, or use `set` once it runs"
                    ));
                }
                self.ask_systemd()?
            }
            false => Some(self.spawn()?),
        };
        self.wait_for(true, child.as_mut())?;
        print("Server ready")
    }

    /// Ends the daemon, if there is one, and starts another one.
    pub(super) fn restart(&self) -> Result<(), NotDone> {
        let config = self.config();
        // Who was not there need not end; that has been told.
        if self.ask(&["stop".to_owned()]).is_ok() {
            self.wait_for(false, None)?;
        }
        let file = |config: Option<PathBuf>| main_file(config.as_deref());
        if file(config.clone()) == file(self.usual_config()) {
            return self.start();
        }
        let mut session = Session::new(self.tool, self.options.clone());
        session.options.conf = config;
        session.start()
    }

    /// Ends the daemon, and waits until another one can begin: scripts start it in the next line.
    pub(super) fn stop(&self) -> Result<(), NotDone> {
        self.ask(&["stop".to_owned()])?;
        self.wait_for(false, None)
    }

    /// Is the daemon.
    fn stay(&self, logging: Said) -> Result<(), NotDone> {
        let name = Tool::Server.name();
        // Who looks for the server looks for this name; that of the program is another one.
        if let Err(error) = std::fs::write("/proc/self/comm", name) {
            log::warn!("process lists do not call this {name}: {error}");
        }
        let options = RunOptions {
            config: self.config(),
            socket: None,
            fail2ban_socket: self.options.socket.clone(),
            pid_file: self.options.pid_file.clone(),
            logging,
            dry_run: false,
        };
        daemon::run(&options).map_err(|error| {
            log::error!("{error}");
            NotDone
        })
    }

    /// What the command line says of Fail2ban's log.
    pub(super) fn logging(&self) -> Result<Said, NotDone> {
        let Logging {
            target,
            socket,
            level,
        } = &self.options.logging;
        let wrong = |option: &str, error: &dyn std::fmt::Display| {
            complain(&format!("{option}: {error}"));
            NotDone
        };
        let target = target.as_deref().map(LogTarget::parse).transpose();
        let level = level.as_deref().map(str::parse).transpose();
        let target = target.map_err(|error| wrong("--logtarget", &error))?;
        for unmet in target.iter().flat_map(|target| &target.unmet) {
            complain(&format!("--logtarget: {unmet}"));
        }
        Ok(Said {
            target,
            socket: socket.as_deref().map(SyslogSocket::named),
            threshold: level.map_err(|error: NoLevel| wrong("--loglevel", &error))?,
        })
    }

    /// Whether it is about the daemon of this machine.
    fn is_own(&self) -> bool {
        let options = &self.options;
        options.conf.is_none() && options.socket.is_none() && options.pid_file.is_none()
    }

    fn ask_systemd(&self) -> Result<Option<Child>, NotDone> {
        let status = Command::new("systemctl").args(["start", UNIT]).status();
        match status {
            Ok(status) if status.success() => Ok(None),
            Ok(_) => Err(NotDone),
            Err(error) => {
                complain(&format!("cannot run systemctl: {error}"));
                Err(NotDone)
            }
        }
    }

    fn spawn(&self) -> Result<Child, NotDone> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(Tool::Server.name()).arg("-f");
        for (option, value) in [
            ("-c", &self.options.conf),
            ("-s", &self.options.socket),
            ("-p", &self.options.pid_file),
        ] {
            if let Some(value) = value {
                command.arg(option).arg(value);
            }
        }
        for (key, value) in self.options.logging.said() {
            command.arg(format!("--{key}")).arg(value);
        }
        command.arg("start");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // The terminal's signals are not for it.
        command.process_group(0);
        command.spawn().map_err(|error| {
            complain(&format!("cannot start the server: {error}"));
            NotDone
        })
    }

    fn is_answered(&self) -> Result<bool, NotDone> {
        let socket = self.socket()?;
        Ok(Client::ask(&socket, Request::Status { jail: None }).is_ok())
    }

    /// Waits until a daemon is there, or none is.
    fn wait_for(&self, wanted: bool, mut child: Option<&mut Child>) -> Result<(), NotDone> {
        let told = self.options.timeout.as_deref();
        let told = told.and_then(|text| time::seconds(text).ok()?.duration());
        let patience = told.unwrap_or(PATIENCE);
        let began = Instant::now();
        while began.elapsed() < patience {
            if self.is_answered()? == wanted {
                return Ok(());
            }
            let ended = child.as_mut().map(|child| child.try_wait());
            if let Some(Ok(Some(status))) = ended {
                complain(&format!(
                    "Could not start server ({status}); `fail2ban-server -f` tells why"
                ));
                return Err(NotDone);
            }
            std::thread::sleep(PAUSE);
        }
        complain(match wanted {
            true => "Could not find server, waiting failed",
            false => "Could not stop server",
        });
        Err(NotDone)
    }
}

/// Whether systemd runs here and knows f2bd.
fn has_unit() -> bool {
    let asked = || {
        let mut command = Command::new("systemctl");
        command.args(["cat", UNIT]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status()
    };
    Path::new(SYSTEMD).is_dir() && asked().is_ok_and(|status| status.success())
}
