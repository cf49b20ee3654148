-- Whom a jail bans may be a user, a mailbox or a session. `subject` is his name then, as it was logged first, and `first`
-- is empty, so that no name is ever taken for the address that it may look like. The case of its letters is not looked at.

CREATE INDEX bans_of_names     ON bans     (subject COLLATE NOCASE) WHERE first = X'';
CREATE INDEX failures_of_names ON failures (subject COLLATE NOCASE) WHERE first = X'';

DROP VIEW top_offenders;
CREATE VIEW top_offenders AS
SELECT subject AS ip,
       count(*) AS bans,
       sum(failures) AS failures,
       group_concat(DISTINCT jail) AS jails,
       strftime('%Y-%m-%dT%H:%M:%SZ', min(start) / 1000000, 'unixepoch') AS first,
       strftime('%Y-%m-%dT%H:%M:%SZ', max(start) / 1000000, 'unixepoch') AS last
FROM bans
GROUP BY subject COLLATE NOCASE, length(bans.first) = 0
ORDER BY count(*) DESC, sum(failures) DESC, subject;
