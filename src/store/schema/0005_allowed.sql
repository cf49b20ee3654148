-- Whom the administrator has allowed for a time, whatever they do.

CREATE TABLE allowances (
    subject TEXT    PRIMARY KEY NOT NULL,
    since   INTEGER NOT NULL,
    until   INTEGER NOT NULL
);

CREATE VIEW active_allowances AS
SELECT subject AS ip,
       strftime('%Y-%m-%dT%H:%M:%SZ', since / 1000000, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%SZ', until / 1000000, 'unixepoch') AS until
FROM allowances
WHERE until > (julianday('now') - 2440587.5) * 86400000000.0
ORDER BY allowances.until, subject;
