-- From when on a membership is known: the start of the run that saw or brought it, in microseconds since 1970. Nothing of those
-- that were known before this was kept.
ALTER TABLE memberships ADD COLUMN since INTEGER;
-- From when on a run did not find one at the target that is remembered all the same: somebody else ended it.
ALTER TABLE memberships ADD COLUMN missing INTEGER;
CREATE INDEX memberships_missing ON memberships (job) WHERE missing IS NOT NULL;

-- Memberships that have ended, until the start of the run that ended them or saw that they had.
CREATE TABLE past_memberships (
    job      INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    member   INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    since    INTEGER,
    brought  INTEGER NOT NULL,
    address  INTEGER,
    PRIMARY KEY (job, group_id, member, until)
) STRICT, WITHOUT ROWID;

-- The start of the first run of a job that kept this.
ALTER TABLE jobs ADD COLUMN members_from TEXT;
