-- Whom the administrator has forgiven is a newcomer again.

ALTER TABLE bans ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0; -- 1: no earlier offence any more
