-- Whether the target was seen to obey the refusal; nobody knows of those that were remembered before.
ALTER TABLE bars ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
