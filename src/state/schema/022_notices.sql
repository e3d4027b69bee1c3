-- How each job stands as it was told last.
CREATE TABLE standings (
    job      TEXT NOT NULL PRIMARY KEY,
    state    TEXT NOT NULL,
    approval TEXT,
    since    TEXT NOT NULL,
    told     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The ways by which people are told, and how each fares.
CREATE TABLE channels (
    name          TEXT NOT NULL PRIMARY KEY,
    failing_since TEXT,
    given_up      INTEGER NOT NULL DEFAULT 0,
    why           TEXT
) STRICT, WITHOUT ROWID;

-- What there was to tell: figures, and nobody's name.
CREATE TABLE notices (
    id       INTEGER NOT NULL PRIMARY KEY,
    uid      TEXT NOT NULL UNIQUE,
    job      TEXT NOT NULL,
    state    TEXT NOT NULL,
    approval TEXT,
    was      TEXT NOT NULL,
    since    TEXT NOT NULL,
    run      TEXT,
    at       TEXT NOT NULL,
    figures  TEXT NOT NULL
) STRICT;
CREATE INDEX notices_at ON notices (at);

-- To whom it has still to be told, or how that ended.
CREATE TABLE deliveries (
    notice      INTEGER NOT NULL REFERENCES notices (id) ON DELETE CASCADE,
    channel     TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_try    TEXT NOT NULL,
    claimed     TEXT,
    missed      INTEGER NOT NULL DEFAULT 0,
    missed_from TEXT,
    PRIMARY KEY (notice, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_waiting ON deliveries (channel, notice) WHERE state = 'waiting';

-- What each way was told last of each job.
CREATE TABLE told (
    channel  TEXT NOT NULL,
    job      TEXT NOT NULL,
    state    TEXT NOT NULL,
    approval TEXT,
    PRIMARY KEY (channel, job)
) STRICT, WITHOUT ROWID;
