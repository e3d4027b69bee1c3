-- What of a job's source has no home at its target, as far as a finished run has told of it, so that it is told once.
CREATE TABLE told_losses (
    job    TEXT NOT NULL,
    object TEXT NOT NULL,
    field  TEXT NOT NULL,
    reason TEXT NOT NULL,
    count  INTEGER NOT NULL,
    since  TEXT NOT NULL,
    PRIMARY KEY (job, object, field, reason)
) STRICT, WITHOUT ROWID;
