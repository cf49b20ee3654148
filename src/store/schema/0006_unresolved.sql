-- Failures and logins of hosts that are known by name alone, until the names have been looked up.

CREATE TABLE unresolved (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    time      INTEGER NOT NULL,
    jail      TEXT    NOT NULL,
    source    TEXT,                               -- which source has told
    host      TEXT    NOT NULL,                   -- in lower case, without a dot at its end
    login     INTEGER NOT NULL,                   -- 1: it was let in
    user      TEXT,                               -- text of the attacker's choice
    target    TEXT,                               -- text of the attacker's choice
    forwarded TEXT,                               -- for whom the host says that it speaks
    pattern   INTEGER NOT NULL,                   -- the filter's pattern, counted from 1
    session   TEXT,                               -- what ties the records of one session together
    line      TEXT    NOT NULL                    -- text of the attacker's choice
);
