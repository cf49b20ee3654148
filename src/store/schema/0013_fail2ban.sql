-- Scripts that know Fail2ban's database ask for `bans` and `bips`. Our own table leaves the first of these names to a view,
-- which has Fail2ban's columns in its order and units, and ours behind them, so that whoever asked the table goes on.

ALTER TABLE bans RENAME TO all_bans;

CREATE VIEW bans AS
SELECT jail,
       subject AS ip,
       start / 1000000 AS timeofban,
       CASE WHEN until IS NULL THEN -1 ELSE (until - start) / 1000000 END AS bantime,
       offence AS bancount,
       json_object(
           'matches', (SELECT json_group_array(line) FROM
               (SELECT line FROM failures WHERE failures.ban = all_bans.id ORDER BY failures.id)),
           'failures', failures) AS data,
       id, subject, first, start, until, offence, failures, origin, ended, release, forgiven, reason, release_reason
FROM all_bans;

-- The last ban of each subject by each jail, unless it is forgotten: who would be banned for longer now.
CREATE VIEW bips AS
SELECT ip, jail, timeofban, bantime, bancount, data
FROM bans
WHERE id IN (SELECT max(id) FROM all_bans WHERE NOT forgiven GROUP BY jail, subject);
