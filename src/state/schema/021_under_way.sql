-- How far runs have come that are under way, as the processes that make them tell now and then.
CREATE TABLE under_way (
    job         TEXT NOT NULL PRIMARY KEY,
    run         TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    phase       TEXT NOT NULL,
    phase_began TEXT NOT NULL,
    done        INTEGER NOT NULL,
    expected    INTEGER NOT NULL,
    left_for    INTEGER,
    rests_for   INTEGER NOT NULL,
    heard       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is wrong with the config that the service was asked to read again, while it keeps the old one.
ALTER TABLE service ADD COLUMN wrong_config TEXT;
