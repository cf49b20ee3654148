//! Debian's package fail2ban, unpacked: its configuration, and its programs, which are asked what they make of one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::skipped;

/// Debian's own, for which the package is made.
const PYTHON: &str = "/usr/bin/python3";

/// Where the package is.
pub struct Package {
    root: PathBuf,
    /// Where Python keeps what it has compiled, as it is started hundreds of times. Nothing is written into what was
    /// unpacked.
    compiled: PathBuf,
}

impl Package {
    /// The package, if it is there and can be run.
    pub fn find() -> Option<Package> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
        let mut places = [target.join("samples"), PathBuf::from("/")].into_iter();
        let root = places.find(|root| root.join("etc/fail2ban/jail.conf").is_file());
        let Some(root) = root else {
            return skipped("Debian's package fail2ban is missing; contrib/test.sh fetches it");
        };
        let compiled = target.join("python");
        let package = Package { root, compiled };
        match package.python("import fail2ban").output() {
            Ok(output) if output.status.success() => Some(package),
            _ => skipped("python3 is missing, which runs Debian's package fail2ban"),
        }
    }

    /// Python with the package, on its way to run `script`.
    pub fn python(&self, script: &str) -> Command {
        let mut python = self.interpreter();
        python.args(["-c", script]);
        python
    }

    /// One of its programs, such as `usr/bin/fail2ban-client`.
    pub fn program(&self, program: &str) -> Command {
        let mut python = self.interpreter();
        python.arg(self.root.join(program));
        python
    }

    fn interpreter(&self) -> Command {
        let mut python = Command::new(PYTHON);
        let packages = self.root.join("usr/lib/python3/dist-packages");
        // What its logs are written in is what the locale says.
        python.env("PYTHONPATH", packages).env("LC_ALL", "C.UTF-8");
        python.env_remove("PYTHONDONTWRITEBYTECODE");
        python.env("PYTHONPYCACHEPREFIX", &self.compiled);
        python
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Its version.
    pub fn version(&self) -> String {
        let script = "from fail2ban.version import version; print(version, end='')";
        let output = self.python(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Copies its configuration to `folder`, with logs that are there below `root`.
    pub fn copy_to(&self, folder: &Path, root: &Path) {
        copy(&self.root.join("etc/fail2ban"), folder, root);
    }

    /// What `fail2ban-client -d` prints of a directory, and what it complains of.
    pub fn dump(&self, folder: &Path) -> (Vec<String>, String) {
        let script = "import sys; from fail2ban.client.fail2banclient import exec_command_line; exec_command_line(sys.argv)";
        let mut client = self.python(script);
        let output = client.args(["-d", "-c"]).arg(folder).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let complaints = String::from_utf8(output.stderr).unwrap();
        (text.lines().map(str::to_owned).collect(), complaints)
    }
}

impl Package {
    /// What `fail2ban-client -d` says of a directory, as JSON.
    pub fn commands(&self, folder: &Path) -> Vec<serde_json::Value> {
        let (lines, complaints) = self.dump(folder);
        let script = "import ast, json, sys\nfor line in sys.stdin: print(json.dumps(ast.literal_eval(line)))";
        let mut python = self.python(script);
        let mut child = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = lines.join("\n");
        let asking = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().unwrap();
        asking.join().unwrap().unwrap();
        assert!(output.status.success(), "{complaints}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Copies a directory, with logs that are there below `root`.
pub fn copy(from: &Path, to: &Path, root: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let beside = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &beside, root);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let logs = format!("{}/var/log", root.display());
            fs::write(beside, text.replace("/var/log", &logs)).unwrap();
        }
    }
}
