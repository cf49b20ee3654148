-- What actions may have put into effect, in f2bd's own words: the next start takes away what nobody wants any more.

CREATE TABLE effects (
    action TEXT NOT NULL,
    trace  TEXT NOT NULL                        -- its data file, its parameters and its jails
);
