-- One row per job. Everything a run needs from the runs before it stands here and not in `runs`, which retention empties.
CREATE TABLE jobs (
    name             TEXT NOT NULL PRIMARY KEY,
    source_provider  TEXT NOT NULL DEFAULT '',
    target_provider  TEXT NOT NULL DEFAULT '',
    paused_reason    TEXT,
    paused_since     TEXT,
    last_fire        TEXT,
    last_writing_run TEXT,
    measure_groups      INTEGER,
    measure_memberships INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE group_links (
    job         TEXT NOT NULL,
    source      TEXT NOT NULL,
    target      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    protect_set INTEGER NOT NULL,
    name        TEXT NOT NULL,
    fields      TEXT NOT NULL,
    PRIMARY KEY (job, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE member_links (
    job           TEXT NOT NULL,
    source        TEXT NOT NULL,
    target        TEXT NOT NULL,
    address       TEXT NOT NULL,
    origin        TEXT NOT NULL,
    source_hash   INTEGER NOT NULL DEFAULT 0,
    target_hash   INTEGER NOT NULL DEFAULT 0,
    removed_by_us INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_links_target ON member_links (job, target);

-- Apart from the links, so that loading a million links does not read a million profiles.
CREATE TABLE member_fields (
    job    TEXT NOT NULL,
    source TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (job, source),
    FOREIGN KEY (job, source) REFERENCES member_links (job, source) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    job      TEXT NOT NULL,
    group_id TEXT NOT NULL,
    member   TEXT NOT NULL,
    brought  INTEGER NOT NULL,
    PRIMARY KEY (job, group_id, member)
) STRICT, WITHOUT ROWID;

-- An empty group_id bars the address from the whole account.
CREATE TABLE bars (
    provider TEXT NOT NULL,
    group_id TEXT NOT NULL,
    address  TEXT NOT NULL,
    origin   TEXT NOT NULL,
    PRIMARY KEY (provider, group_id, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE carried (
    provider TEXT NOT NULL,
    object   TEXT NOT NULL,
    id       TEXT NOT NULL,
    field    TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (provider, object, id, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE total_meanings (
    provider TEXT NOT NULL,
    meaning  TEXT NOT NULL,
    PRIMARY KEY (provider, meaning)
) STRICT, WITHOUT ROWID;

-- Identifiers are never used twice: an entry that was pruned must not be settled under another's number.
CREATE TABLE journal (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    run       TEXT NOT NULL,
    job       TEXT NOT NULL,
    account   TEXT NOT NULL,
    operation TEXT NOT NULL,
    intended  TEXT NOT NULL,
    settled   TEXT
) STRICT;

CREATE INDEX journal_open ON journal (job) WHERE settled IS NULL;

CREATE TABLE journal_items (
    entry         INTEGER NOT NULL REFERENCES journal (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    item_key      TEXT NOT NULL,
    group_id      TEXT,
    group_source  TEXT,
    member        TEXT,
    member_source TEXT,
    member_id     TEXT,
    detail        TEXT,
    outcome       TEXT,
    outcome_id    TEXT,
    code          TEXT,
    message       TEXT,
    PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id        TEXT NOT NULL PRIMARY KEY,
    job       TEXT NOT NULL,
    cause     TEXT NOT NULL,
    started   TEXT NOT NULL,
    finished  TEXT,
    outcome   TEXT,
    exit_code INTEGER,
    wrote     INTEGER NOT NULL DEFAULT 0,
    summary   TEXT,
    error     TEXT,
    measure_groups      INTEGER,
    measure_memberships INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_started ON runs (job, started);

CREATE TABLE run_items (
    id       INTEGER PRIMARY KEY,
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL,
    op       TEXT NOT NULL,
    group_id TEXT,
    member   TEXT,
    outcome  TEXT NOT NULL,
    reason   TEXT,
    message  TEXT,
    fields   TEXT
) STRICT;

CREATE INDEX run_items_run ON run_items (run, seq);
CREATE INDEX run_items_member ON run_items (member);
CREATE INDEX run_items_group ON run_items (group_id);

-- A refused item has a next try; a blocked one waits for a person.
CREATE TABLE failures (
    job        TEXT NOT NULL,
    blocked    INTEGER NOT NULL,
    item_key   TEXT NOT NULL,
    what       TEXT NOT NULL,
    group_id   TEXT,
    member     TEXT,
    reason     TEXT NOT NULL,
    code       TEXT,
    message    TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    first_seen TEXT NOT NULL,
    next_try   TEXT,
    PRIMARY KEY (job, blocked, item_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    job     TEXT NOT NULL,
    id      TEXT NOT NULL,
    offered TEXT NOT NULL,
    used    TEXT,
    PRIMARY KEY (job, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE approval_items (
    job      TEXT NOT NULL,
    approval TEXT NOT NULL,
    item_key TEXT NOT NULL,
    PRIMARY KEY (job, approval, item_key),
    FOREIGN KEY (job, approval) REFERENCES approvals (job, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE used_plans (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    job         TEXT NOT NULL,
    used        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- All that is known of people who asked to be forgotten.
CREATE TABLE forgotten (
    hash  TEXT NOT NULL PRIMARY KEY,
    since TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    applied TEXT NOT NULL
) STRICT;
