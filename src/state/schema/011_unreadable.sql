-- What of somebody's record could not be read: nothing where it was read, empty for the profile, words for how they stand in groups.
ALTER TABLE remembered_members ADD COLUMN unreadable TEXT;
