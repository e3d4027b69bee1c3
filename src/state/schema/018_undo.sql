-- Memberships that came about by taking a run back: they are nobody's to end but whoever takes that back again.
ALTER TABLE memberships ADD COLUMN put_back INTEGER NOT NULL DEFAULT 0;
CREATE INDEX memberships_put_back ON memberships (job, group_id, member) WHERE put_back = 1;
-- The run that is being taken back, from the first write of that until it has come to its end.
ALTER TABLE jobs ADD COLUMN undo_open TEXT;
-- Groups at an account that were archived by taking a run back, until a job links them again.
CREATE TABLE put_away (
    account  TEXT NOT NULL,
    group_id TEXT NOT NULL,
    PRIMARY KEY (account, group_id)
) STRICT, WITHOUT ROWID;
-- Which run a run took back.
ALTER TABLE runs ADD COLUMN undoes TEXT;
