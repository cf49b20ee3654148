-- Why the administrator has banned somebody, or let him go.

ALTER TABLE bans ADD COLUMN reason         TEXT; -- why it was made by hand
ALTER TABLE bans ADD COLUMN release_reason TEXT; -- why it was lifted by hand

DROP VIEW active_bans;
CREATE VIEW active_bans AS
SELECT jail,
       subject AS ip,
       strftime('%Y-%m-%dT%H:%M:%SZ', start / 1000000, 'unixepoch') AS start,
       coalesce(strftime('%Y-%m-%dT%H:%M:%SZ', until / 1000000, 'unixepoch'), 'forever') AS until,
       failures,
       offence,
       origin,
       id AS ban,
       reason
FROM bans
WHERE ended IS NULL
  AND (until IS NULL OR until > (julianday('now') - 2440587.5) * 86400000000.0)
ORDER BY id DESC;

DROP VIEW ban_history;
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
       id AS ban,
       reason,
       release_reason
FROM bans
ORDER BY id DESC;
