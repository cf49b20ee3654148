-- What was attacked: a URL, a mailbox, a share.

ALTER TABLE failures ADD COLUMN target TEXT; -- text of the attacker's choice

DROP VIEW ban_lines;
CREATE VIEW ban_lines AS
SELECT failures.ban,
       failures.jail,
       bans.subject AS ip,
       failures.address,
       strftime('%Y-%m-%dT%H:%M:%SZ', failures.time / 1000000, 'unixepoch') AS time,
       failures.user,
       failures.pattern,
       failures.line,
       failures.target
FROM failures JOIN bans ON bans.id = failures.ban
ORDER BY failures.ban DESC, failures.id;

DROP VIEW failure_history;
CREATE VIEW failure_history AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', time / 1000000, 'unixepoch') AS time,
       jail,
       subject AS ip,
       address,
       user,
       pattern,
       counted,
       ban,
       line,
       id AS failure,
       target
FROM failures
ORDER BY id DESC;
