-- How well filters hear: how many records each pattern has taken on each day, and lines of a filter's own that no pattern
-- knows though they look like failures.

CREATE TABLE taken (
    filter  TEXT    NOT NULL,
    pattern TEXT    NOT NULL,                   -- as it is written: numbers are others when the file was edited
    number  INTEGER NOT NULL,                   -- in the file, when it was used last
    day     INTEGER NOT NULL,                   -- when it began, in UTC
    records INTEGER NOT NULL,                   -- 0 on the first day of a pattern that took nothing on that
    last    INTEGER,                            -- the time of the newest of these records
    PRIMARY KEY (filter, pattern, day)
) WITHOUT ROWID;
CREATE INDEX taken_by_day ON taken (day);

CREATE TABLE unknown (
    filter TEXT    NOT NULL,
    place  INTEGER NOT NULL,                    -- each filter has some places, for one wording each
    text   TEXT    NOT NULL,                    -- the first line of that wording: text of the attacker's choice
    count  INTEGER NOT NULL,
    since  INTEGER NOT NULL,                    -- when the first one was logged
    last   INTEGER NOT NULL,                    -- and the last one
    PRIMARY KEY (filter, place)
) WITHOUT ROWID;

CREATE VIEW pattern_counts AS
SELECT filter,
       number,
       strftime('%Y-%m-%d', day / 1000000, 'unixepoch') AS day,
       records,
       strftime('%Y-%m-%dT%H:%M:%SZ', last / 1000000, 'unixepoch') AS last,
       pattern
FROM taken
ORDER BY taken.day DESC, filter, number;

CREATE VIEW unknown_lines AS
SELECT filter,
       count,
       strftime('%Y-%m-%dT%H:%M:%SZ', since / 1000000, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%SZ', last / 1000000, 'unixepoch') AS last,
       text AS line
FROM unknown
ORDER BY unknown.last DESC, filter, place;
