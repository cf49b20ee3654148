//! Logs as machines write them that are attacked: each line in the order of its time, the same in every run but for
//! the day.
//!
//! In an attacked log a share of the lines are failures, as the filter of the service counts them. The lines that
//! surround failures, and those of everybody else, are the rest.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Zoned};

use super::dice::Dice;

/// A log on disk.
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// How many lines it has.
    pub lines: u64,
    /// How many of them are failures.
    pub failures: u64,
}

/// How long it took to write a log of any length.
const SPAN_SECONDS: u64 = 24 * 3600;

/// Attackers that are at work at the same time.
const AT_ONCE: usize = 50;

/// How often an attacker tries before he gives up.
const TRIES: u32 = 40;

/// How often he tries in one connection.
const TRIES_OF_CONNECTION: u32 = 3;

/// Every so many-th attacker comes by IPv6.
const BY_IPV6: u32 = 16;

/// Account names that attackers try.
const ACCOUNTS: [&str; 12] = [
    "admin",
    "test",
    "oracle",
    "ubuntu",
    "postgres",
    "git",
    "user1",
    "ftpuser",
    "pi",
    "deploy",
    "minecraft",
    "hadoop",
];

/// What is asked for that is not there.
const PROBES: [&str; 24] = [
    "/wp-login.php",
    "/wordpress/wp-login.php",
    "/blog/wp-admin/setup-config.php?step=1",
    "/xmlrpc.php",
    "/wp-admin/",
    "/phpmyadmin/index.php?lang=en",
    "//phpMyAdmin-2.8.2.3/scripts/setup.php",
    "/pma/index.php",
    "/mysqladmin/scripts/setup.php",
    "/admin/pma/",
    "/.env",
    "/backend/.env",
    "/.git/config",
    "/.aws/credentials",
    "/cgi-bin/luci/;stok=/locale?form=country",
    "/cgi-bin/php4",
    "/roundcube/index.php",
    "/webmail/",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/boaform/admin/formLogin?username=admin&psd=admin",
    "/manager/html",
    "/HNAP1/",
    "/solr/admin/info/system?wt=json",
    "/_ignition/execute-solution",
];

/// What visitors ask for, and how much they get.
const PAGES: [(&str, u32); 12] = [
    ("/", 14_812),
    ("/assets/app-5f2c9a1e.css", 48_120),
    ("/assets/app-91be04d7.js", 182_733),
    ("/images/logo.svg", 4_411),
    ("/blog/2026/11/a-quiet-month", 23_004),
    ("/api/v1/items?page=2&sort=name", 9_120),
    ("/search?q=winter+boots&brand=any", 17_450),
    ("/account/orders", 6_210),
    ("/fonts/inter-latin.woff2", 37_220),
    ("/products/4711/details", 12_908),
    ("/feed.xml", 31_002),
    ("/healthz", 2),
];

/// Browsers of visitors.
const BROWSERS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
];

/// Writes what sshd and everybody else logs, `lines` of them, of which `percent` in a hundred are failures.
pub fn auth(path: &Path, lines: u64, percent: u64) -> Log {
    write(path, lines, percent, "%b %e %H:%M:%S", &mut Machine::new())
}

/// Writes the access log of a web server in its usual format.
pub fn access(path: &Path, lines: u64, percent: u64) -> Log {
    write(
        path,
        lines,
        percent,
        "%d/%b/%Y:%H:%M:%S %z",
        &mut Site::new(),
    )
}

/// The first lines of a log, for those who take too long over all of it.
pub fn head(log: &Log, lines: u64, path: &Path) -> Log {
    let mut whole = BufReader::new(File::open(&log.path).unwrap());
    let mut part = BufWriter::new(File::create(path).unwrap());
    let mut line = Vec::new();
    for _ in 0..lines {
        line.clear();
        whole.read_until(b'\n', &mut line).unwrap();
        part.write_all(&line).unwrap();
    }
    part.flush().unwrap();
    Log {
        path: path.to_owned(),
        lines,
        failures: log.failures * lines / log.lines,
    }
}

/// Who writes into a log.
pub trait Writer {
    /// What an attacker's next try makes it write; one of these lines is a failure.
    fn attacked(&mut self, time: &str, out: &mut String);
    /// A line of everyday life.
    fn calm(&mut self, time: &str, out: &mut String);
}

fn write(path: &Path, lines: u64, percent: u64, form: &str, writer: &mut impl Writer) -> Log {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let begin = Zoned::now() - SignedDuration::from_secs(SPAN_SECONDS as i64);
    let (mut second, mut time) = (u64::MAX, String::new());
    let (mut written, mut failures) = (0, 0);
    let mut text = String::new();
    while written < lines {
        let now = written * SPAN_SECONDS / lines;
        if now != second {
            second = now;
            let moment = &begin + SignedDuration::from_secs(now as i64);
            time = moment.strftime(form).to_string();
        }
        text.clear();
        match failures * 100 < written * percent {
            true => {
                failures += 1;
                writer.attacked(&time, &mut text);
            }
            false => writer.calm(&time, &mut text),
        }
        written += text.matches('\n').count() as u64;
        file.write_all(text.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    Log {
        path: path.to_owned(),
        lines: written,
        failures,
    }
}

/// Those who attack, some of them at once.
struct Attackers {
    active: Vec<Attacker>,
    so_far: u32,
}

#[derive(Clone, Default)]
struct Attacker {
    address: String,
    tries: u32,
    /// The process that serves his connection.
    pid: u64,
    port: u64,
    /// The account that he tries, unless it is root.
    account: Option<&'static str>,
}

impl Attackers {
    fn new() -> Self {
        Attackers {
            active: vec![Attacker::default(); AT_ONCE],
            so_far: 0,
        }
    }

    /// One of them, who tries once more; somebody new if he has given up.
    fn next(&mut self, dice: &mut Dice) -> &mut Attacker {
        let attacker = &mut self.active[dice.below(AT_ONCE as u64) as usize];
        if attacker.tries.is_multiple_of(TRIES) {
            *attacker = Attacker {
                address: address(self.so_far),
                ..Attacker::default()
            };
            self.so_far += 1;
        }
        attacker.tries += 1;
        attacker
    }
}

/// Of the networks for benchmarks and for documentation.
fn address(number: u32) -> String {
    if number % BY_IPV6 == BY_IPV6 - 1 {
        return format!(
            "2001:db8:{:x}:{:x}::{:x}",
            number >> 8,
            number & 0xff,
            number % 7 + 1
        );
    }
    std::net::Ipv4Addr::from(0xC612_0000 + number % 0x2_0000).to_string()
}

/// A machine with an sshd.
pub struct Machine {
    dice: Dice,
    attackers: Attackers,
    pid: u64,
}

impl Machine {
    /// One that nobody has attacked yet.
    pub fn new() -> Self {
        Machine {
            dice: Dice::new(4),
            attackers: Attackers::new(),
            pid: 1_000,
        }
    }
}

impl Writer for Machine {
    fn attacked(&mut self, time: &str, out: &mut String) {
        let attacker = self.attackers.next(&mut self.dice);
        let turn = (attacker.tries - 1) % TRIES_OF_CONNECTION;
        if turn == 0 {
            self.pid = 1_000 + (self.pid + 1) % 4_000_000;
            attacker.pid = self.pid;
            attacker.port = 32_768 + self.dice.below(28_000);
            let account = self.dice.below(2 * ACCOUNTS.len() as u64) as usize;
            attacker.account = ACCOUNTS.get(account).copied();
        }
        let Attacker {
            address,
            pid,
            port,
            account,
            ..
        } = attacker;
        match (turn, *account) {
            (0, Some(account)) => {
                let _ = writeln!(
                    out,
                    "{time} host sshd[{pid}]: Invalid user {account} from {address} port {port}"
                );
            }
            (0, None) => {
                let _ = writeln!(
                    out,
                    "{time} host sshd[{pid}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"
                );
            }
            _ => {}
        }
        let (unknown, name) = match *account {
            Some(account) => ("invalid user ", account),
            None => ("", "root"),
        };
        let _ = writeln!(
            out,
            "{time} host sshd[{pid}]: Failed password for {unknown}{name} from {address} port {port} ssh2"
        );
        if turn + 1 == TRIES_OF_CONNECTION {
            let kind = if account.is_some() {
                "invalid"
            } else {
                "authenticating"
            };
            let _ = writeln!(
                out,
                "{time} host sshd[{pid}]: Connection closed by {kind} user {name} {address} port {port} [preauth]"
            );
        }
    }

    fn calm(&mut self, time: &str, out: &mut String) {
        self.pid = 1_000 + (self.pid + 1) % 4_000_000;
        let (pid, number) = (self.pid, self.dice.below(60_000));
        let _ = match self.dice.below(16) {
            0 => writeln!(
                out,
                "{time} host CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
            ),
            1 => writeln!(
                out,
                "{time} host CRON[{pid}]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"
            ),
            2 => writeln!(
                out,
                "{time} host CRON[{pid}]: pam_unix(cron:session): session closed for user root"
            ),
            3 => writeln!(
                out,
                "{time} host sshd[{pid}]: Accepted publickey for deploy from 192.0.2.{} port {number} ssh2: ED25519 SHA256:Zk3vVxO1yqZc0nX0fW4wWb2t6pQe8LrJ9mTgHs5uKdE",
                number % 250 + 1
            ),
            4 => writeln!(
                out,
                "{time} host sshd[{pid}]: pam_unix(sshd:session): session opened for user deploy(uid=1001) by (uid=0)"
            ),
            5 => writeln!(
                out,
                "{time} host sshd[{pid}]: Received disconnect from 192.0.2.{} port {number}:11: disconnected by user",
                number % 250 + 1
            ),
            6 => writeln!(
                out,
                "{time} host sshd[{pid}]: Disconnected from user deploy 192.0.2.{} port {number}",
                number % 250 + 1
            ),
            7 => writeln!(
                out,
                "{time} host systemd-logind[612]: New session {number} of user deploy."
            ),
            8 => writeln!(
                out,
                "{time} host systemd-logind[612]: Session {number} logged out. Waiting for processes to exit."
            ),
            9 => writeln!(
                out,
                "{time} host systemd[1]: Started session-{number}.scope - Session {number} of User deploy."
            ),
            10 => writeln!(
                out,
                "{time} host sudo:   deploy : PWD=/srv/app ; USER=root ; COMMAND=/usr/bin/systemctl restart app-{number}.service"
            ),
            11 => writeln!(
                out,
                "{time} host postfix/smtpd[{pid}]: connect from mail-{number}.example.org[203.0.113.{}]",
                number % 250 + 1
            ),
            12 => writeln!(
                out,
                "{time} host postfix/smtpd[{pid}]: disconnect from mail-{number}.example.org[203.0.113.{}] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
                number % 250 + 1
            ),
            13 => writeln!(
                out,
                "{time} host dovecot: imap-login: Login: user=<jo{number}>, method=PLAIN, rip=192.0.2.{}, lip=198.51.100.1, mpid={pid}, TLS, session=<q2Xz{number}8AAAAAAAAAAAAAAAAAAAAAAB>",
                number % 250 + 1
            ),
            14 => writeln!(
                out,
                "{time} host kernel: [{number}.{pid}] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=203.0.113.{} DST=198.51.100.1 LEN=40 TOS=0x00 PREC=0x00 TTL=242 ID={number} PROTO=TCP SPT={number} DPT=8443 WINDOW=1024 RES=0x00 SYN URGP=0",
                number % 250 + 1
            ),
            _ => writeln!(
                out,
                "{time} host dhclient[801]: DHCPREQUEST for 198.51.100.1 on eth0 to 198.51.100.254 port 67 (xid=0x{number:x}{pid:x})"
            ),
        };
    }
}

/// A web site.
struct Site {
    dice: Dice,
    attackers: Attackers,
}

impl Site {
    fn new() -> Self {
        Site {
            dice: Dice::new(5),
            attackers: Attackers::new(),
        }
    }
}

impl Writer for Site {
    fn attacked(&mut self, time: &str, out: &mut String) {
        let attacker = self.attackers.next(&mut self.dice);
        let probe = PROBES[self.dice.below(PROBES.len() as u64) as usize];
        let method = if self.dice.below(8) == 0 {
            "POST"
        } else {
            "GET"
        };
        let browser = BROWSERS[self.dice.below(BROWSERS.len() as u64) as usize];
        let _ = writeln!(
            out,
            "{} - - [{time}] \"{method} {probe} HTTP/1.1\" 404 146 \"-\" \"{browser}\"",
            attacker.address
        );
    }

    fn calm(&mut self, time: &str, out: &mut String) {
        let number = self.dice.below(60_000);
        let (page, size) = PAGES[self.dice.below(PAGES.len() as u64) as usize];
        let browser = BROWSERS[self.dice.below(BROWSERS.len() as u64) as usize];
        let client = match self.dice.below(4) {
            0 => format!("2001:db8:ffff:{:x}::{:x}", number % 512, number % 9 + 1),
            _ => format!("203.0.113.{}", number % 250 + 1),
        };
        let _ = match self.dice.below(50) {
            0 => writeln!(
                out,
                "{client} - - [{time}] \"GET /images/{number}.webp HTTP/2.0\" 404 146 \"https://www.example.org/blog/2026/11/a-quiet-month\" \"{browser}\""
            ),
            1..=9 => writeln!(
                out,
                "{client} - - [{time}] \"GET {page} HTTP/2.0\" 304 0 \"https://www.example.org/\" \"{browser}\""
            ),
            10 | 11 => writeln!(
                out,
                "{client} - - [{time}] \"GET {page} HTTP/1.1\" 301 162 \"-\" \"{browser}\""
            ),
            12..=15 => writeln!(
                out,
                "{client} - jo [{time}] \"POST /api/v1/items/{number} HTTP/2.0\" 201 87 \"https://www.example.org/account/orders\" \"{browser}\""
            ),
            _ => writeln!(
                out,
                "{client} - - [{time}] \"GET {page} HTTP/2.0\" 200 {size} \"https://www.example.org/\" \"{browser}\""
            ),
        };
    }
}
