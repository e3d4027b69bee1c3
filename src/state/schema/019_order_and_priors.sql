-- The order in which runs began, which no clock decides. Of those of before, the clock's order is the best that is known.
ALTER TABLE runs ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET number = ordered.number
FROM (SELECT id, row_number() OVER (ORDER BY started, id) AS number FROM runs) AS ordered
WHERE ordered.id = runs.id;
CREATE INDEX runs_number ON runs (number);

-- What the fields of a write held before it, so that whoever finds it done later can tell: a value, an empty text where there was
-- none, and null where that is not known.
ALTER TABLE journal_values ADD COLUMN before TEXT;
