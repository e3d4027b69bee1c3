-- Ids and addresses stand as numbers in what grows with an account. An id that is written as a number, without leading zeros and
-- in 18 digits at most, is that number; any other text has a row here and stands as the number of its row, below zero.
CREATE TABLE texts (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE numbered_jobs (
    id               INTEGER PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    source_account   TEXT NOT NULL DEFAULT '',
    target_account   TEXT NOT NULL DEFAULT '',
    paused_reason    TEXT,
    paused_since     TEXT,
    last_fire        TEXT,
    last_writing_run TEXT,
    measure_groups      INTEGER,
    measure_memberships INTEGER,
    mirrored            INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO numbered_jobs (name, source_account, target_account, paused_reason, paused_since, last_fire, last_writing_run,
        measure_groups, measure_memberships, mirrored)
    SELECT name, source_account, target_account, paused_reason, paused_since, last_fire, last_writing_run,
        measure_groups, measure_memberships, mirrored FROM jobs ORDER BY name;
-- What was remembered of a job without a row of its own is not lost for that.
INSERT OR IGNORE INTO numbered_jobs (name)
    SELECT job FROM member_links UNION SELECT job FROM memberships UNION SELECT job FROM former_links;
DROP TABLE jobs;
ALTER TABLE numbered_jobs RENAME TO jobs;

DROP INDEX member_links_target;
ALTER TABLE member_fields RENAME TO old_member_fields;
ALTER TABLE member_links RENAME TO old_member_links;
ALTER TABLE memberships RENAME TO old_memberships;
ALTER TABLE former_links RENAME TO old_former_links;

-- The origin is 0 for a contact that rosterd created, 1 for one that it found, 2 for one that a person named.
CREATE TABLE member_links (
    job           INTEGER NOT NULL,
    source        INTEGER NOT NULL,
    target        INTEGER NOT NULL,
    address       INTEGER NOT NULL,
    origin        INTEGER NOT NULL,
    removed_by_us INTEGER NOT NULL DEFAULT 0,
    source_hash   INTEGER NOT NULL DEFAULT 0,
    target_hash   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_links_target ON member_links (job, target);

-- Apart from the links, so that loading a million links does not read a million profiles. The values are packed, field by field.
CREATE TABLE member_fields (
    job    INTEGER NOT NULL,
    source INTEGER NOT NULL,
    fields BLOB NOT NULL,
    PRIMARY KEY (job, source),
    FOREIGN KEY (job, source) REFERENCES member_links (job, source) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    job      INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    member   INTEGER NOT NULL,
    brought  INTEGER NOT NULL,
    PRIMARY KEY (job, group_id, member)
) STRICT, WITHOUT ROWID;

CREATE TABLE former_links (
    job     INTEGER NOT NULL,
    source  INTEGER NOT NULL,
    target  INTEGER NOT NULL,
    address INTEGER NOT NULL,
    PRIMARY KEY (job, source, target, address)
) STRICT, WITHOUT ROWID;

-- What is remembered of targets only saves a reading.
DELETE FROM remembered_targets;
DROP TABLE remembered_members;
DROP TABLE remembered_absent;

CREATE TABLE remembered_members (
    target   INTEGER NOT NULL REFERENCES remembered_targets (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    address  INTEGER,
    status   INTEGER NOT NULL,
    hash     INTEGER,
    PRIMARY KEY (target, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE remembered_absent (
    target  INTEGER NOT NULL REFERENCES remembered_targets (id) ON DELETE CASCADE,
    address INTEGER NOT NULL,
    PRIMARY KEY (target, address)
) STRICT, WITHOUT ROWID;

-- The names of the fields in packed values.
CREATE TABLE field_names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- What a write was about to store stands apart and goes once it is known what became of the write: its room is used again.
CREATE TABLE journal_values (
    entry       INTEGER NOT NULL REFERENCES journal (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    fields      TEXT,
    absent_from TEXT,
    PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

INSERT INTO journal_values (entry, position, fields, absent_from)
    SELECT entry, position, fields, absent_from FROM journal_items JOIN journal ON journal.id = journal_items.entry
    WHERE (outcome IS NULL OR outcome NOT IN ('confirmed', 'failed')) AND (fields IS NOT NULL OR absent_from IS NOT NULL);
ALTER TABLE journal_items DROP COLUMN fields;
ALTER TABLE journal_items DROP COLUMN absent_from;
