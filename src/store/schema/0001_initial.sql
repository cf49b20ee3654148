-- The first schema. Documented in f2bd-store(5); changed only by a further numbered file.
--
-- Times are microseconds since 1970-01-01T00:00:00Z. A subject is written as people write it: a bare
-- address, or a network in CIDR notation. `first` holds its first address in network byte order, 4 or 16
-- bytes, so that everything inside a network is one range of an index. Only what every sqlite3 shell of
-- the last ten years understands is used.

CREATE TABLE bans (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- numbers are never used twice, even after deletion
    jail     TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    first    BLOB    NOT NULL,
    start    INTEGER NOT NULL,
    until    INTEGER,                           -- NULL: forever
    offence  INTEGER NOT NULL,                  -- how often the jail has banned the subject, this time included
    failures INTEGER NOT NULL,                  -- how many failures made it
    origin   TEXT    NOT NULL,                  -- failures, manual
    ended    INTEGER,                           -- NULL: nobody has ended it; it is over after `until` anyhow
    release  TEXT                               -- expired, manual, ignored, jail-gone, replaced
);
CREATE INDEX bans_of_subject ON bans (subject, jail);
CREATE INDEX bans_by_first   ON bans (first);
CREATE INDEX bans_open       ON bans (until) WHERE ended IS NULL;
CREATE INDEX bans_ended      ON bans (ended) WHERE ended IS NOT NULL;

CREATE TABLE failures (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time    INTEGER NOT NULL,
    jail    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    first   BLOB    NOT NULL,
    address TEXT    NOT NULL,                   -- the very address in the record
    user    TEXT,                               -- text of the attacker's choice
    pattern INTEGER NOT NULL,                   -- the filter's pattern, counted from 1
    session TEXT,                               -- what ties the records of one session together
    counted INTEGER NOT NULL,                   -- 0: the subject was banned already
    pending INTEGER NOT NULL,                   -- 1: may still help to make a ban
    ban     INTEGER,                            -- the ban that it made
    line    TEXT    NOT NULL                    -- text of the attacker's choice
);
CREATE INDEX failures_by_time  ON failures (time, jail);
CREATE INDEX failures_by_first ON failures (first);
CREATE INDEX failures_pending  ON failures (jail, subject) WHERE pending;
CREATE INDEX failures_of_ban   ON failures (ban) WHERE ban IS NOT NULL;

CREATE TABLE notices (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time    INTEGER NOT NULL,
    jail    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,                   -- evicted, ledger-full, future, spared
    subject TEXT    NOT NULL,                   -- empty if it concerns nobody in particular
    detail  TEXT    NOT NULL,
    UNIQUE (time, jail, kind, subject)
);

CREATE TABLE cursors (
    source TEXT    PRIMARY KEY NOT NULL,
    token  TEXT    NOT NULL,
    time   INTEGER NOT NULL                     -- of the last record that was read
);

-- Right at any moment, whether or not the daemon is alive to write the end of a ban.
CREATE VIEW active_bans AS
SELECT jail,
       subject AS ip,
       strftime('%Y-%m-%dT%H:%M:%SZ', start / 1000000, 'unixepoch') AS start,
       coalesce(strftime('%Y-%m-%dT%H:%M:%SZ', until / 1000000, 'unixepoch'), 'forever') AS until,
       failures,
       offence,
       origin,
       id AS ban
FROM bans
WHERE ended IS NULL
  AND (until IS NULL OR until > (julianday('now') - 2440587.5) * 86400000000.0)
ORDER BY id DESC;

CREATE VIEW ban_history AS
SELECT jail,
       subject AS ip,
       strftime('%Y-%m-%dT%H:%M:%SZ', start / 1000000, 'unixepoch') AS start,
       coalesce(strftime('%Y-%m-%dT%H:%M:%SZ', until / 1000000, 'unixepoch'), 'forever') AS until,
       strftime('%Y-%m-%dT%H:%M:%SZ', coalesce(ended,
           CASE WHEN until <= (julianday('now') - 2440587.5) * 86400000000.0 THEN until END)
           / 1000000, 'unixepoch') AS ended,
       coalesce(release,
           CASE WHEN until <= (julianday('now') - 2440587.5) * 86400000000.0 THEN 'expired' END)
           AS release,
       failures,
       offence,
       origin,
       id AS ban
FROM bans
ORDER BY id DESC;

CREATE VIEW top_offenders AS
SELECT subject AS ip,
       count(*) AS bans,
       sum(failures) AS failures,
       group_concat(DISTINCT jail) AS jails,
       strftime('%Y-%m-%dT%H:%M:%SZ', min(start) / 1000000, 'unixepoch') AS first,
       strftime('%Y-%m-%dT%H:%M:%SZ', max(start) / 1000000, 'unixepoch') AS last
FROM bans
GROUP BY subject
ORDER BY count(*) DESC, sum(failures) DESC, subject;

-- The log lines behind each ban.
CREATE VIEW ban_lines AS
SELECT failures.ban,
       failures.jail,
       bans.subject AS ip,
       failures.address,
       strftime('%Y-%m-%dT%H:%M:%SZ', failures.time / 1000000, 'unixepoch') AS time,
       failures.user,
       failures.pattern,
       failures.line
FROM failures JOIN bans ON bans.id = failures.ban
ORDER BY failures.ban DESC, failures.id;

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
       id AS failure
FROM failures
ORDER BY id DESC;

CREATE VIEW notice_history AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', time / 1000000, 'unixepoch') AS time,
       jail,
       kind,
       subject AS ip,
       detail
FROM notices
ORDER BY id DESC;
