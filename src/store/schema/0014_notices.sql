-- Several notices of one kind may concern the same subject at the same moment; the same words are one all the same. Which
-- ban a notice is about is told by its number: the subject alone does not say whether it is a name, or which of its bans.

DROP VIEW notice_history;
ALTER TABLE notices RENAME TO earlier_notices;
CREATE TABLE notices (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time    INTEGER NOT NULL,
    jail    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,                   -- empty if it concerns nobody in particular
    detail  TEXT    NOT NULL,
    ban     INTEGER,                            -- of kind unhindered: the ban that does not work
    UNIQUE (time, jail, kind, subject, detail)
);
INSERT INTO notices (id, time, jail, kind, subject, detail, ban)
SELECT id, time, jail, kind, subject, detail,
       CASE WHEN kind = 'unhindered' THEN
           (SELECT max(all_bans.id) FROM all_bans
            WHERE all_bans.subject = earlier_notices.subject AND all_bans.jail = earlier_notices.jail
              AND all_bans.start <= earlier_notices.time)
       END
FROM earlier_notices
ORDER BY id;
-- Numbers are never used twice.
DELETE FROM sqlite_sequence WHERE name = 'notices';
INSERT INTO sqlite_sequence (name, seq) SELECT 'notices', seq FROM sqlite_sequence WHERE name = 'earlier_notices';
DROP TABLE earlier_notices;

CREATE VIEW notice_history AS
SELECT strftime('%Y-%m-%dT%H:%M:%SZ', time / 1000000, 'unixepoch') AS time,
       jail,
       kind,
       subject AS ip,
       detail
FROM notices
ORDER BY id DESC;

-- With `first`, by which a name is told from the address that it looks like, the last ban of each is found in it alone.
DROP INDEX bans_of_subject;
CREATE INDEX bans_of_subject ON all_bans (subject, jail, first);

DROP VIEW bips;
CREATE VIEW bips AS
SELECT ip, jail, timeofban, bantime, bancount, data
FROM bans
WHERE id IN (SELECT max(id) FROM all_bans WHERE NOT forgiven GROUP BY subject, jail, first);
