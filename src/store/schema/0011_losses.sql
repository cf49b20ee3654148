-- When bans in force were lost with a damaged database. As long as a row is here, what is in effect and nobody knows of
-- stays so; `f2bd flush` takes it away, and the rows with it.

CREATE TABLE losses (
    time INTEGER PRIMARY KEY NOT NULL
);
