-- A source may be many files, and each of them is resumed by itself.

ALTER TABLE cursors RENAME TO cursors_of_sources;
CREATE TABLE cursors (
    source TEXT    NOT NULL,
    stream TEXT    NOT NULL,                    -- the path of a file; empty if the source is one stream
    token  TEXT    NOT NULL,
    time   INTEGER NOT NULL,                    -- of the last record that was read
    PRIMARY KEY (source, stream)
);
INSERT INTO cursors SELECT source, '', token, time FROM cursors_of_sources;
DROP TABLE cursors_of_sources;
