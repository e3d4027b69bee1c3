-- What of somebody's record could not be read, with the words that say why: "profile", "value: …" or "standing: …"; nothing where it was read.
ALTER TABLE remembered_members ADD COLUMN unreadable TEXT;
