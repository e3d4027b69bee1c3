-- The target of a job as it was last read in full. Everything hangs on the first table and goes with its row.
CREATE TABLE remembered_targets (
    id           INTEGER PRIMARY KEY,
    job          TEXT NOT NULL UNIQUE,
    account      TEXT NOT NULL,
    read_at      TEXT NOT NULL,
    config_hash  TEXT NOT NULL,
    salt         TEXT NOT NULL,
    custom       TEXT NOT NULL,
    group_rows   TEXT NOT NULL,
    certificate  TEXT NOT NULL,
    existence    TEXT NOT NULL
) STRICT;

CREATE INDEX remembered_targets_account ON remembered_targets (account);

CREATE TABLE remembered_members (
    target   INTEGER NOT NULL REFERENCES remembered_targets (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id       TEXT NOT NULL,
    address  TEXT,
    status   INTEGER NOT NULL,
    hash     INTEGER,
    PRIMARY KEY (target, position)
) STRICT, WITHOUT ROWID;

-- The rows of a listing are packed into five bytes each: the member's position, little end first, and the state.
CREATE TABLE remembered_listings (
    target      INTEGER NOT NULL REFERENCES remembered_targets (id) ON DELETE CASCADE,
    group_id    TEXT NOT NULL,
    certificate TEXT NOT NULL,
    listed      BLOB NOT NULL,
    PRIMARY KEY (target, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE remembered_absent (
    target  INTEGER NOT NULL REFERENCES remembered_targets (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    PRIMARY KEY (target, address)
) STRICT, WITHOUT ROWID;

-- How many requests an account got in each hour of UTC, for the cap on a day.
CREATE TABLE request_counts (
    account TEXT NOT NULL,
    hour    TEXT NOT NULL,
    sent    INTEGER NOT NULL,
    PRIMARY KEY (account, hour)
) STRICT, WITHOUT ROWID;

-- The last day on which each daily chore was done.
CREATE TABLE chores (
    name TEXT NOT NULL PRIMARY KEY,
    day  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
