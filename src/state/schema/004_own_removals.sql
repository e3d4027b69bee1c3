-- Memberships that show as refused because rosterd itself took the person out; no refusal of the person's own. The address is
-- there for whoever asks to be forgotten, and `shown` is the time of the refusal as the provider shows it, in seconds.
CREATE TABLE own_removals (
    provider TEXT NOT NULL,
    group_id TEXT NOT NULL,
    member   TEXT NOT NULL,
    address  TEXT NOT NULL,
    shown    INTEGER,
    since    TEXT NOT NULL,
    PRIMARY KEY (provider, group_id, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX own_removals_address ON own_removals (address);
