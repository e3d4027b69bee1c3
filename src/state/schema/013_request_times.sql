-- How long an account took to answer so far, so that what a run takes can be told before it.
CREATE TABLE request_times (
    account  TEXT NOT NULL,
    effect   TEXT NOT NULL CHECK (effect IN ('read', 'write')),
    requests INTEGER NOT NULL,
    millis   INTEGER NOT NULL,
    PRIMARY KEY (account, effect)
) STRICT, WITHOUT ROWID;
