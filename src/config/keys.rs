//! Which keys are there?
//!
//! The one list of what can be written into f2bd.conf, with what each key wants and what holds without it. The
//! readers, the messages and the manual's test lean on it.

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What to write, for messages: `write {wants}`.
    pub wants: &'static str,
    /// What holds if it is not written, in TOML; empty if nothing does.
    pub default: &'static str,
}

const fn key(name: &'static str, wants: &'static str, default: &'static str) -> Key {
    Key {
        name,
        wants,
        default,
    }
}

/// The sections of f2bd.conf.
pub const SECTIONS: &[&str] = &["daemon", "source", "defaults", "jail", "action"];

/// `[daemon]`
pub const DAEMON: &[Key] = &[
    key(
        "database",
        "a path such as \"/var/lib/f2bd/f2bd.db\"",
        "\"/var/lib/f2bd/f2bd.db\"",
    ),
    key(
        "socket",
        "a path such as \"/run/f2bd/control.sock\"",
        "\"/run/f2bd/control.sock\"",
    ),
    key(
        "country",
        "a path such as \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"",
        "",
    ),
    key(
        "operator",
        "a path such as \"/var/lib/GeoIP/GeoLite2-ASN.mmdb\"",
        "",
    ),
    key(
        "log_level",
        "\"error\", \"warning\", \"info\" or \"debug\"",
        "\"info\"",
    ),
    key("keep_bans", "a time such as \"1y\"", "\"1y\""),
    key("keep_failures", "a time such as \"30d\"", "\"30d\""),
    key("max_failures", "a number from 1000 to 100000000", "1000000"),
    key("guard", "true or false", "true"),
    key(
        "fail2ban_socket",
        "a path such as \"/run/fail2ban/fail2ban.sock\"",
        "",
    ),
    key(
        "fail2ban_log",
        "a path such as \"/var/log/fail2ban.log\", \"SYSLOG\", \"SYSTEMD-JOURNAL\", \"STDOUT\" or \"STDERR\"",
        "",
    ),
    key(
        "fail2ban_log_level",
        "\"ERROR\", \"WARNING\", \"NOTICE\", \"INFO\" or \"DEBUG\"",
        "",
    ),
    key(
        "fail2ban_syslog_socket",
        "\"auto\" or a path such as \"/dev/log\"",
        "\"auto\"",
    ),
    key("pid_file", "a path such as \"/run/f2bd/f2bd.pid\"", ""),
];

/// `[source.NAME]`, of any type.
pub const SOURCE: &[Key] = &[
    key(
        "type",
        "\"journal\", \"file\", \"syslog\" or \"report\"",
        "",
    ),
    key("enabled", "true or false", "true"),
];

/// `[source.NAME]` with `type = "journal"`
pub const JOURNAL_SOURCE: &[Key] = &[
    key("directory", "a path such as \"/var/log/journal\"", ""),
    key("namespace", "the name of a journal namespace", ""),
    key("matches", "a list such as [\"_TRANSPORT=syslog\"]", "[]"),
];

/// `[source.NAME]` with `type = "file"`
pub const FILE_SOURCE: &[Key] = &[
    key(
        "path",
        "a list of paths such as [\"/var/log/nginx/*access.log\"]",
        "",
    ),
    TIMEZONE,
    key(
        "time",
        "a list of formats such as [\"%d/%b/%Y:%H:%M:%S %z\"]",
        "[]",
    ),
    key(
        "encoding",
        "the name of an encoding such as \"latin1\"",
        "\"utf-8\"",
    ),
    key("format", "\"text\", \"json\" or \"cri\"", ""),
    key(
        "fields",
        "names of fields, such as { message = \"msg\", time = [\"ts\", \"t\"] }",
        "",
    ),
];

/// `fields = { … }` of a source of type file.
pub const FIELDS: &[Key] = &[
    key("message", A_FIELD, ""),
    key("time", A_FIELD, ""),
    key("host", A_FIELD, ""),
    key("program", A_FIELD, ""),
    key("pid", A_FIELD, ""),
];

const A_FIELD: &str = "the name of a field such as \"msg\" or \"request.uri\", or a list of such";

/// `[source.NAME]` with `type = "syslog"`
pub const SYSLOG_SOURCE: &[Key] = &[
    key(
        "listen",
        "a list such as [\"udp://127.0.0.1:5514\", \"unix:///run/f2bd/syslog.sock\"]",
        "",
    ),
    key(
        "allow",
        "a list of addresses and networks such as [\"10.0.0.0/8\"]",
        "[\"127.0.0.0/8\", \"::1\"]",
    ),
    key("certificate", "the path of a PEM file", ""),
    key("key", "the path of a PEM file", ""),
    key("client_ca", "the path of a PEM file", ""),
    TIMEZONE,
];

/// `[source.NAME]` with `type = "report"`
pub const REPORT_SOURCE: &[Key] = &[
    key(
        "socket",
        "a path such as \"/run/f2bd/report.sock\"",
        "\"/run/f2bd/report.sock\"",
    ),
    key(
        "allow",
        "{ uid = [33], service = [\"shop\"] }, or a list of such",
        "[]",
    ),
];

/// `allow = { … }` of a source of type report.
pub const REPORTER: &[Key] = &[
    key("uid", "a list of numbers of users such as [33]", ""),
    key("service", "a list of services such as [\"shop\"]", ""),
];

const TIMEZONE: Key = key(
    "timezone",
    "a time zone such as \"Europe/Berlin\" or \"+02:00\"",
    "",
);

/// `[defaults]`, and `[jail.NAME]` as well.
pub const JAIL: &[Key] = &[
    key("maxretry", "a number from 1 to 1000", "5"),
    key(
        "class",
        "a table such as { country = [\"DE\"], asn = [64500], maxretry = 1 }, or a list of such",
        "",
    ),
    key("findtime", "a time such as \"10m\"", "\"10m\""),
    key(
        "bantime",
        "\"forever\", or a time such as \"1h\"",
        "\"10m\"",
    ),
    key(
        "escalation",
        "a table such as { factor = 2, max = \"5w\", jitter = \"10%\", memory = \"30d\" }",
        "",
    ),
    key(
        "network",
        "a table such as { ipv4 = 24, ipv6 = 48, hosts = 4, maxretry = 20 }, or a list of such",
        "",
    ),
    key("distinct", "\"user\"", ""),
    key(
        "distributed",
        "a table such as { by = \"user\", hosts = 8, findtime = \"1h\" }",
        "",
    ),
    key(
        "siege",
        "a table such as { rate = \"50/s\", maxretry = 1 }",
        "",
    ),
    key("usedns", "\"no\", \"warn\" or \"yes\"", "\"no\""),
    key(
        "ignoreip",
        "a list of addresses, networks, ranges, host names and files, such as [\"10.0.0.0/8\", \"192.0.2.1-192.0.2.9\", \"home.example.org\", \"/etc/f2bd/office.txt\"]",
        "[]",
    ),
    key("ignoreself", "true or false", "true"),
    key(
        "trusted",
        "a list of proxies, as for `ignoreip`, such as [\"127.0.0.1\", \"10.0.0.0/24\"]",
        "[]",
    ),
    key(
        "ignorecommand",
        "a program with its arguments, such as [\"/usr/local/bin/is-customer\", \"--strict\"]",
        "",
    ),
    key(
        "prefix",
        "{ ipv4 = 32, ipv6 = 64 }, with numbers from 1 to 32 and from 1 to 128",
        "{ ipv4 = 32, ipv6 = 64 }",
    ),
    key("sources", "a list of sources such as [\"journal\"]", ""),
    key("protocol", "a list of \"tcp\", \"udp\" and \"sctp\"", ""),
    key(
        "actions",
        "a list of actions such as [\"nftables\"]",
        "[\"nftables\"]",
    ),
    key(
        "response",
        "tables such as { from = 3, actions = [\"nftables-all\"] }, or sections [[jail.NAME.response]]",
        "",
    ),
    key(
        "unhindered",
        "a table such as { actions = [\"nftables-all\"], grace = \"60s\" }",
        "",
    ),
];

/// `[jail.NAME]` alone.
pub const JAIL_ONLY: &[Key] = &[
    key("enabled", "true or false", "true"),
    key(
        "filter",
        "a filter's name, or { use = \"sshd\", mode = \"aggressive\" }",
        "",
    ),
    key(
        "port",
        "numbers, ranges and services such as [\"ssh\", 8080, \"9000:9100\"], or [\"all\"]",
        "",
    ),
    key(
        "logpath",
        "a list of paths such as [\"/var/log/nginx/*access.log\"]",
        "",
    ),
    key(
        "journalmatch",
        "a list such as [\"_SYSTEMD_UNIT=ssh.service\"]",
        "",
    ),
    key(
        "subject",
        "\"ip\", \"user\", \"target\" or \"session\"",
        "\"ip\"",
    ),
];

/// `[action.NAME]`, beside the parameters of the action itself.
pub const ACTION: &[Key] = &[key("use", "the name of an action file", "")];

/// Keys of [`JAIL`] whose values `f2bd replay --set` may change: those that the engine decides by, and nothing else.
pub const WHAT_IF: &[&str] = &[
    "maxretry",
    "findtime",
    "bantime",
    "class",
    "escalation",
    "network",
    "distinct",
    "distributed",
    "siege",
    "ignoreip",
    "trusted",
];

/// The most failures that [`JAIL`]'s `maxretry` may ask for: each watched subject remembers that many.
pub const MOST_RETRIES: u32 = 1_000;

/// A filter file.
pub const FILTER: &[Key] = &[
    key("title", "a line for people", "\"\""),
    key(
        "versions",
        "a line about the versions and settings it was written for, such as \"OpenSSH 7.0 to 10\"",
        "\"\"",
    ),
    key(
        "needs",
        "a line about what has to be switched on in the service",
        "\"\"",
    ),
    key(
        "port",
        "numbers, ranges and services such as [\"ssh\", 8080, \"9000:9100\"], or [\"all\"]",
        "[\"all\"]",
    ),
    key(
        "protocol",
        "a list of \"tcp\", \"udp\" and \"sctp\"",
        "[\"tcp\"]",
    ),
    key(
        "quoting",
        "\"none\", \"word\", \"name\", \"basic\", \"quotes\", \"hex\", \"percent\" or \"json\"",
        "\"none\"",
    ),
    key("records", "a section [records]", ""),
    key("session", "\"pid\"", ""),
    key("lines", "a section [lines]", ""),
    key("failure", "sections [[failure]]", ""),
    key("success", "sections [[success]]", ""),
    key("ignore", "sections [[ignore]]", ""),
    key("sample", "sections [[sample]]", ""),
];

/// `[records]` of a filter file.
pub const RECORDS: &[Key] = &[
    key("program", "a list of programs such as [\"sshd\"]", "[]"),
    key(
        "journal",
        "a list such as [\"_SYSTEMD_UNIT=ssh.service\"]",
        "",
    ),
    key("file", "a list of paths", "[]"),
    key("report", "true or false", "false"),
    key("bans", "true or false", "false"),
];

/// `[lines]` of a filter file.
pub const LINES: &[Key] = &[
    key(
        "prefix",
        "a regular expression that every line must match first",
        "",
    ),
    key(
        "date",
        "what dates look like, such as \"%Y-%m-%d %H:%M:%S\"",
        "",
    ),
    key(
        "timezone",
        "a time zone such as \"Europe/Berlin\" or \"+02:00\"",
        "",
    ),
    key("together", "how many lines are looked at together", "1"),
];

/// `[[failure]]` of a filter file.
pub const FAILURE: &[Key] = &[
    key("pattern", "a regular expression with <ip> or <host>", ""),
    key(
        "fields",
        "patterns over fields, such as { \"request.remote_ip\" = '^<ip>$', status = '^401$' }",
        "",
    ),
    key("mode", "a list of modes such as [\"aggressive\"]", ""),
    key("unless_counted", "true or false", "false"),
];

/// `[[success]]` of a filter file.
pub const SUCCESS: &[Key] = &[
    key("pattern", "a regular expression with <ip> or <host>", ""),
    key(
        "fields",
        "patterns over fields, such as { \"request.remote_ip\" = '^<ip>$', status = '^200$' }",
        "",
    ),
    key("mode", "a list of modes such as [\"aggressive\"]", ""),
];

/// `[[ignore]]` of a filter file.
pub const IGNORE: &[Key] = &[
    key("pattern", "a regular expression", ""),
    key(
        "fields",
        "patterns over fields, such as { \"request.remote_ip\" = '^<ip>$', status = '^401$' }",
        "",
    ),
    key("mode", "a list of modes such as [\"aggressive\"]", ""),
];

/// `[[sample]]` of a filter file.
pub const SAMPLE: &[Key] = &[
    key("line", "a line of a log", ""),
    key("lines", "a list of lines of a log", ""),
    key("mode", "the name of a mode", "\"normal\""),
    key(
        "ip",
        "an address, or false if the sample must stay silent",
        "",
    ),
    key("host", "the text that <host> must capture", ""),
    key("user", "the text that <user> must capture", ""),
    key("target", "the text that <target> must capture", ""),
    key("forwarded", "the text that <forwarded> must capture", ""),
    key("session", "the text that <session> must capture", ""),
    key(
        "time",
        "the moment of the last line, such as \"2026-02-12T14:10:21Z\"",
        "",
    ),
    key("failures", "a number from 1 to 1000", "1"),
    key("success", "true or false", "false"),
    key(
        "chosen",
        "a list of the texts in it that a client chose, such as [\"root\"]",
        "[]",
    ),
    key(
        "own",
        "a list of the texts in it that no client has a say in, such as [\"main\"]",
        "[]",
    ),
    key("quoting", "one of the words of `quoting` of the filter", ""),
];

/// `filter = { … }`
pub const FILTER_CHOICE: &[Key] = &[
    key("use", "a filter's name", ""),
    key("mode", "the name of a mode", "\"normal\""),
    key(
        "service",
        "a list of services that report by themselves, such as [\"shop\"]",
        "",
    ),
];

/// `escalation = { … }`
pub const ESCALATION: &[Key] = &[
    key("factor", "a number from 1 to 1000 such as 2 or 1.5", "2"),
    key(
        "multipliers",
        "a list of numbers from 0.001 to 1000000, none smaller than the one before it, such as [1, 5, 30]",
        "",
    ),
    key("max", "a time such as \"5w\"", ""),
    key(
        "jitter",
        "a share such as \"10%\", or a time such as \"10m\"",
        "\"0%\"",
    ),
    key("later_jitter", "a time such as \"10m\"", ""),
    key("memory", "a time such as \"30d\"", ""),
    key("scope", "\"jail\" or \"all\"", "\"jail\""),
];

/// `network = { … }`
pub const NETWORK: &[Key] = &[
    key("ipv4", "a number from 8 to 31", "24"),
    key("ipv6", "a number from 16 to 127", "48"),
    key("hosts", "a number from 2 to 1000", "4"),
    key("maxretry", "a number from 2 to 1000", "20"),
    key("findtime", "a time such as \"10m\"", ""),
];

/// `[[jail.NAME.response]]`
pub const RESPONSE: &[Key] = &[
    key("from", "a number from 1 to 1000", ""),
    key("actions", "a list of actions such as [\"nftables\"]", ""),
    key("network", "{ ipv4 = 24, ipv6 = 48 }", ""),
];

/// An action of `actions` that is a table.
pub const ACTION_USE: &[Key] = &[
    key("action", "the name of an action", ""),
    key("label", "a name such as \"SSH\"", ""),
    key(
        "port",
        "numbers, ranges and services such as [\"ssh\", 8080, \"9000:9100\"], or [\"all\"]",
        "",
    ),
    key(
        "protocol",
        "\"tcp\", \"udp\" or \"sctp\", or a list of them",
        "",
    ),
];

/// `unhindered = { … }`
pub const UNHINDERED: &[Key] = &[
    key(
        "actions",
        "a list of actions such as [\"nftables-all\"]",
        "[]",
    ),
    key("grace", "a time such as \"60s\"", "\"60s\""),
];

/// `network = { … }` of a response.
pub const RESPONSE_NETWORK: &[Key] = &[
    key("ipv4", "a number from 8 to that of `prefix`", "24"),
    key("ipv6", "a number from 16 to that of `prefix`", "48"),
];

/// `distributed = { … }`
pub const DISTRIBUTED: &[Key] = &[
    key("by", "\"user\", \"target\" or \"session\"", "\"user\""),
    key("hosts", "a number from 2 to 1000", "8"),
    key("findtime", "a time such as \"1h\"", ""),
    key("grace", "a time such as \"2m\", or \"0s\"", "\"30s\""),
];

/// `class = { … }`
pub const CLASS: &[Key] = &[
    key("country", "a list of countries such as [\"DE\"]", ""),
    key("asn", "a list of numbers of networks such as [64500]", ""),
    key("maxretry", "a number from 1 to 1000", ""),
];

/// `siege = { … }`
pub const SIEGE: &[Key] = &[
    key("rate", "a rate such as \"50/s\", or \"never\"", "\"50/s\""),
    key("maxretry", "a number from 1 to 1000", "1"),
    key("calm", "a time such as \"1m\"", "\"1m\""),
];

/// `prefix = { … }`
pub const PREFIX: &[Key] = &[
    key("ipv4", "a number from 1 to 32", "32"),
    key("ipv6", "a number from 1 to 128", "64"),
];
