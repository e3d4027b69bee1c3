-- Blocked and refused items that a person has seen and accepted: they stay listed and need nobody. An item that changes has
-- another identifier.
ALTER TABLE failures ADD COLUMN item TEXT NOT NULL DEFAULT '';

CREATE TABLE accepted (
    job      TEXT NOT NULL,
    item     TEXT NOT NULL,
    what     TEXT NOT NULL,
    group_id TEXT,
    member   TEXT,
    reason   TEXT NOT NULL,
    message  TEXT NOT NULL,
    words    TEXT,
    since    TEXT NOT NULL,
    PRIMARY KEY (job, item)
) STRICT, WITHOUT ROWID;
