//! Facts about the old names that begin and end a daemon: what was started goes on by itself, is asked, read anew, begun
//! again and ended, for a configuration of f2bd's and for a directory of Fail2ban's.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use super::package::Package;
use crate::support::netns::Netns;
use crate::support::world::F2BD;

/// Whoever runs this is the first process of its own: when it ends, so do all daemons that were started. The system's places
/// are others there. What is waited for is looked at now and again, and not for ever.
const SURROUNDINGS: &str = "set -u
mount -t tmpfs none /run
mkdir -p /var/lib/f2bd && mount -t tmpfs none /var/lib/f2bd
cd HOME
client() { HOME/fail2ban-client -c CONFIG \"$@\" 2>>HOME/complaints; echo \"= $?\"; }
until_so() { local end=$((SECONDS + 30)); until \"$@\" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo \"in vain: $*\"; return 1; }; sleep 0.02; done; }
";

/// What is done, and what is printed; a line that begins with a blank is printed.
const STEPS: &str = "client ping
 = 255
client start
 Server ready
 = 0
client ping
 Server replied: pong
 = 0
grep -lx fail2ban-server /proc/[0-9]*/comm | wc -l
 1
client start
 = 255
HOME/fail2ban-server -c CONFIG 2>>HOME/complaints; echo \"= $?\"
 = 255
client status
 Status
 |- Number of jail:\t1
 `- Jail list:\tone
 = 0
client set loglevel DEBUG
 Current logging level is 'DEBUG'
 = 0
client get loglevel
 Current logging level is 'DEBUG'
 = 0
client restart
 Shutdown successful
 Server ready
 = 0
client get loglevel
 Current logging level is 'INFO'
 = 0
cp MORE INTO
client reload
 OK
 = 0
client status
 Status
 |- Number of jail:\t2
 `- Jail list:\tone, two
 = 0
echo nonsense >>INTO
client reload >/dev/null; client -t; client status
 = 255
 Status
 |- Number of jail:\t2
 `- Jail list:\tone, two
 = 0
client stop
 Shutdown successful
 = 0
client start
 = 255
rm INTO; HOME/fail2ban-server -c CONFIG 2>>HOME/complaints; echo \"= $?\"
 Server ready
 = 0
client stop
 Shutdown successful
 = 0
HOME/fail2ban-server -c CONFIG -f start >>HOME/server.log 2>&1 & until_so HOME/fail2ban-client -c CONFIG ping; client stop; wait $!; echo \"= $?\"
 Shutdown successful
 = 0
 = 0
";

/// What comes behind that: where a log is missing, nothing is read anew.
const LACKING: &str = "client start
 Server ready
 = 0
mv HOME/auth.log HOME/gone; client reload
 = 255
client reload one
 = 255
mv HOME/gone HOME/auth.log; client reload
 OK
 = 0
echo 'bantime = soon' >>HOME/fail2ban/jail.local; client reload; grep -q 'jail.local.*soon' HOME/complaints && echo told
 OK
 = 0
 told
n=$(grep -c soon HOME/complaints); sed -i '$ d' HOME/fail2ban/jail.local; client reload; [ $n = $(grep -c soon HOME/complaints) ] && echo silent
 OK
 = 0
 silent
client stop
 Shutdown successful
 = 0
";

/// What comes behind that: who looks for the process finds it, after one that was killed as well, and nothing once it has ended.
const FOUND: &str = "pid=/run/fail2ban/fail2ban.pid; there() { grep -lx fail2ban-server /proc/$(cat $pid)/comm | wc -l; }; client start
 Server ready
 = 0
there; wc -l <$pid
 1
 1
over() { [ \"$(there)\" != 1 ]; }; kill -9 $(cat $pid); until_so over; [ -e $pid ] && echo stale
 stale
client start
 Server ready
 = 0
there; client stop; [ -e $pid ] || echo gone
 1
 Shutdown successful
 = 0
 gone
printf '[typo]\\nenabled = true\\nfilter = sshd\\nbackend = auto\\nlogpath = HOME/nowhere.log\\n' >HOME/fail2ban/jail.d/typo.conf; client -t; grep -q 'jail.d/typo.conf:5:.*nowhere.log' HOME/complaints && echo told; rm HOME/fail2ban/jail.d/typo.conf
 = 255
 told
python3 -c \"import os,signal,socket; s=socket.socket(socket.AF_UNIX); s.bind('/run/unheard.sock'); s.listen(9); os.rename('/run/unheard.sock', '/run/fail2ban.sock'); signal.pause()\" & other=$!; until_so [ -S /run/fail2ban.sock ]; client start; kill $other; wait $other 2>/dev/null; rm /run/fail2ban.sock; grep -q 'perhaps Fail2ban itself, answers at /run/fail2ban.sock' HOME/complaints && echo told
 = 255
 told
client -p HOME/own/pid start; pid=HOME/own/pid; there; client stop; [ -e $pid ] || echo gone
 Server ready
 = 0
 1
 Shutdown successful
 = 0
 gone
";

/// What comes behind, where the daemon is asked at the usual socket: without a name, its own configuration is meant.
const UNNAMED: &str = "client start
 Server ready
 = 0
unnamed() { HOME/fail2ban-client \"$@\" 2>>HOME/complaints; echo \"= $?\"; }; unnamed restart
 Shutdown successful
 Server ready
 = 0
unnamed status
 Status
 |- Number of jail:\t1
 `- Jail list:\tone
 = 0
unnamed -t
 OK: configuration test is successful
 = 0
unnamed stop
 Shutdown successful
 = 0
";

/// Where there is Fail2ban's configuration and none of f2bd's, f2bd under its own name tells how to take that.
const BARE: &str = "mount -t tmpfs none /etc; mkdir /etc/fail2ban; echo >/etc/fail2ban/jail.conf; for what in check run; do (exec -a f2bd HOME/fail2ban-client $what 2>&1) | grep -c -e '--config /etc/fail2ban'; done
 1
 1
rm /etc/fail2ban/jail.conf; (exec -a f2bd HOME/fail2ban-client check 2>&1) | grep -c -e '--config /etc/fail2ban'
 0
waits() { (exec -a f2bd HOME/fail2ban-client check --config HOME/fail2ban 2>&1) | grep -c 'f2bd import --state'; }; rm -f /var/lib/f2bd/f2bd.db; mount -t tmpfs none /var/lib/fail2ban 2>/dev/null || { mount -t tmpfs none /var/lib; mkdir /var/lib/fail2ban; }; waits; touch /var/lib/fail2ban/fail2ban.sqlite3; waits; grep -c 'f2bd import --state' HOME/server.log
 0
 1
 0
HOME/fail2ban-server -c HOME/fail2ban -f start >>HOME/server.log 2>&1 & until_so HOME/fail2ban-client -c HOME/fail2ban ping; client stop; wait $!; grep -c 'f2bd import --state' HOME/server.log; waits
 Shutdown successful
 = 0
 1
 0
";

/// Runs all steps with a configuration, to which a file is added on the way, and holds against each other what they print
/// and should print.
fn walk(netns: &Netns, home: &tempfile::TempDir, config: &str, into: &str, steps: &str) {
    for name in ["fail2ban-client", "fail2ban-server"] {
        symlink(F2BD, home.path().join(name)).unwrap();
    }
    let here = |text: &str| {
        let named = text.replace("CONFIG", config).replace("MORE", "HOME/more");
        let named = named.replace("INTO", into);
        named.replace("HOME", &home.path().display().to_string())
    };
    let (printed, done): (Vec<_>, Vec<_>) = steps.lines().partition(|line| line.starts_with(' '));
    let expected: String = printed
        .iter()
        .map(|line| format!("{}\n", &line[1..]))
        .collect();
    let script = here(&format!("{SURROUNDINGS}{}\n", done.join("\n")));
    let mut unshare = netns.command("timeout");
    let output = unshare
        .args([
            "120",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["bash", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = |name: &str| fs::read_to_string(home.path().join(name)).unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        text,
        expected,
        "{errors}\n{}\n{}",
        told("complaints"),
        told("server.log")
    );
    let complaints = told("complaints");
    for complaint in ["Server already running", "Is fail2ban running?"] {
        assert!(complaints.contains(complaint), "{complaints}");
    }
}

#[test]
fn a_daemon_is_begun_and_ended_by_the_old_names() {
    let Some(netns) = Netns::new() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let jail = |name: &str| format!("[jail.{name}]\nfilter = \"sshd\"\nsources = [\"auth\"]\n");
    let conf = "[daemon]\ndatabase = \"HOME/f2bd.db\"\nsocket = \"HOME/control.sock\"\n[source.journal]\nenabled = false\n[source.auth]\ntype = \"file\"\npath = [\"HOME/auth.log\"]\n";
    let conf = conf.replace("HOME", &home.path().display().to_string());
    for (name, text) in [
        ("f2bd.conf", conf + &jail("one")),
        ("more", jail("two")),
        ("auth.log", String::new()),
    ] {
        fs::write(home.path().join(name), text).unwrap();
    }
    fs::create_dir(home.path().join("f2bd.conf.d")).unwrap();
    let into = "HOME/f2bd.conf.d/two.conf";
    walk(&netns, &home, "HOME/f2bd.conf", into, STEPS);
}

#[test]
fn so_is_one_with_a_directory_of_fail2ban() {
    let (Some(package), Some(netns)) = (Package::find(), Netns::new()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("fail2ban");
    package.copy_to(&tree, home.path());
    fs::remove_file(tree.join("jail.d/defaults-debian.conf")).unwrap();
    let at = |text: &str| text.replace("HOME", &home.path().display().to_string());
    let jail = |name: &str| {
        at(&format!(
            "[{name}]\nenabled = true\nfilter = sshd\nbackend = polling\nlogpath = HOME/auth.log\nbanaction = nftables-multiport\n"
        ))
    };
    for (name, text) in [
        ("fail2ban/jail.local", jail("one")),
        ("more", jail("two")),
        ("auth.log", String::new()),
        (
            "fail2ban/fail2ban.local",
            at("[Definition]\nlogtarget = HOME/fail2ban.log\nsocket = /run/fail2ban.sock\n"),
        ),
    ] {
        fs::write(home.path().join(name), text).unwrap();
    }
    walk(
        &netns,
        &home,
        "HOME/fail2ban",
        "HOME/fail2ban/jail.d/two.conf",
        &[STEPS, LACKING, FOUND, UNNAMED, BARE].concat(),
    );
}
