-- The approval by which a run went on that guards had refused, and whether the measure of a job was taken by a mirror.
ALTER TABLE runs ADD COLUMN approved TEXT;
ALTER TABLE jobs ADD COLUMN mirrored INTEGER NOT NULL DEFAULT 0;
