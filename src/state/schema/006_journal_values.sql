-- What a write was about to store, so that whoever finds it later knows what was asked for; and the
-- groups that had been listed without the person before, with commas.
ALTER TABLE journal_items ADD COLUMN fields TEXT;
ALTER TABLE journal_items ADD COLUMN absent_from TEXT;
