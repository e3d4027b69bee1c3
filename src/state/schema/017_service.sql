-- The service that uses this database, as it told of itself.
CREATE TABLE service (
    only    INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    pid     INTEGER NOT NULL,
    started TEXT NOT NULL,
    heard   TEXT NOT NULL,
    stopped TEXT
) STRICT;
