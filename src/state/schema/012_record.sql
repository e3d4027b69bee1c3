-- Whether a run of the job has ever worked through its plan: until then, what is remembered is what a first
-- run left behind that was interrupted. Jobs of before are judged as they were.
ALTER TABLE jobs ADD COLUMN completed INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET completed = 1;

-- A first run has a line for everybody, so that its words stand there as numbers: those of `texts`, below zero, or what
-- is written as a number itself.
CREATE TABLE numbered (
    text   TEXT NOT NULL PRIMARY KEY,
    number INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO numbered (text)
SELECT run FROM run_items UNION SELECT op FROM run_items UNION SELECT outcome FROM run_items
UNION SELECT group_id FROM run_items WHERE group_id IS NOT NULL
UNION SELECT member FROM run_items WHERE member IS NOT NULL
UNION SELECT reason FROM run_items WHERE reason IS NOT NULL;
UPDATE numbered SET number = CAST(text AS INTEGER)
WHERE length(text) <= 18 AND text NOT GLOB '*[^0-9]*' AND (text = '0' OR text GLOB '[1-9]*');
INSERT OR IGNORE INTO texts (text) SELECT text FROM numbered WHERE number IS NULL;
UPDATE numbered SET number = -(SELECT id FROM texts WHERE texts.text = numbered.text) WHERE number IS NULL;

DROP INDEX run_items_run;
DROP INDEX run_items_member;
DROP INDEX run_items_group;
ALTER TABLE run_items RENAME TO worded_items;

CREATE TABLE run_items (
    id       INTEGER NOT NULL PRIMARY KEY,
    run      INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    op       INTEGER NOT NULL,
    group_id INTEGER,
    member   INTEGER,
    outcome  INTEGER NOT NULL,
    reason   INTEGER,
    message  TEXT
) STRICT;
INSERT INTO run_items
SELECT id, (SELECT number FROM numbered WHERE text = run), seq, (SELECT number FROM numbered WHERE text = op),
       (SELECT number FROM numbered WHERE text = group_id), (SELECT number FROM numbered WHERE text = member),
       (SELECT number FROM numbered WHERE text = outcome), (SELECT number FROM numbered WHERE text = reason), message
FROM worded_items;
DROP TABLE worded_items;
DROP TABLE numbered;

CREATE INDEX run_items_run ON run_items (run, seq);
CREATE INDEX run_items_member ON run_items (member);
CREATE INDEX run_items_group ON run_items (group_id);

-- What an item of a run changed: the fields of a person or a group, before and after, in few bytes.
CREATE TABLE run_values (
    item   INTEGER NOT NULL PRIMARY KEY REFERENCES run_items (id) ON DELETE CASCADE,
    fields BLOB NOT NULL
) STRICT;
