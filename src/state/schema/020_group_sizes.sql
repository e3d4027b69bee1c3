-- How many members a linked group had at the end of a run, taken down whenever it is another number than before, in microseconds
-- since 1970. The group is the target's id.
CREATE TABLE group_sizes (
    job      INTEGER NOT NULL,
    group_id TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    members  INTEGER NOT NULL,
    PRIMARY KEY (job, group_id, at)
) STRICT, WITHOUT ROWID;
