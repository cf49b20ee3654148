//! What do logs consist of, whoever attacks?
//!
//! Lines as the usual programs of a server write them all day long. What stands in them tells little: patterns are looked
//! for by something else where they can be. No line is judged here.

/// How a request stands in the log of a web server: the largest logs are made of these.
pub(super) const REQUESTS: [&str; 4] = [
    r#"] "GET / HTTP/1.1" 200 "#,
    r#"] "GET / HTTP/1.1" 304 "#,
    r#"] "GET / HTTP/2.0" 200 "#,
    r#"] "POST / HTTP/1.1" 200 "#,
];

/// Lines of a web server and of a system log. Failures of sshd are among them: a log may be full of these.
pub(super) const LINES: [&str; 21] = [
    r#"192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /index.html HTTP/1.1" 200 10 "https://www.example.org/" "#,
    r#" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0""#,
    r#" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36""#,
    r#" "Mozilla/5.0 (compatible; bot/2.1; +http://www.example.org/bot.html)""#,
    "sshd[1]: Received disconnect from 192.0.2.1 port 40000:11: disconnected by user",
    "sshd[1]: Disconnected from user jo 192.0.2.1 port 40000",
    "sshd[1]: Connection closed by authenticating user jo 192.0.2.1 port 40000 [preauth]",
    "sshd[1]: Failed password for invalid user jo from 192.0.2.1 port 40000 ssh2",
    "sshd[1]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=jo",
    "CRON[1]: pam_unix(cron:session): session opened for user root(uid=0) by root(uid=0)",
    "CRON[1]: pam_unix(cron:session): session closed for user root",
    "CRON[1]: (root) CMD (command -v true > /dev/null && true)",
    "systemd-logind[1]: New session 1 of user jo.",
    "systemd-logind[1]: Session 1 logged out. Waiting for processes to exit.",
    "systemd[1]: Started session-1.scope - Session 1 of User jo.",
    "sudo:       jo : TTY=pts/0 ; PWD=/home/jo ; USER=root ; COMMAND=/usr/bin/true",
    "kernel: [1.0] [UFW BLOCK] IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=1 WINDOW=1 RES=0x00 SYN URGP=0",
    "postfix/smtpd[1]: connect from mail.example.org[192.0.2.1]",
    "postfix/smtpd[1]: disconnect from mail.example.org[192.0.2.1] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
    "postfix/smtp[1]: ABC: to=<jo@example.org>, relay=mail.example.org[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as ABC)",
    "dovecot: imap-login: Login: user=<jo>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, mpid=1, TLS, session=<",
];
