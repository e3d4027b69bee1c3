-- One ledger of consent: who refused, whom rosterd itself took out, who asked to be forgotten. A fact ends only by a later one.
-- Accounts are known by the hash of what they are. Older files know them by names of the config, which stand here as `name:` and
-- the name until a run says which account that is.
CREATE TABLE accounts (
    provider TEXT NOT NULL PRIMARY KEY,
    account  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A name that stood for one account and stands for another now: whether it is the same under new credentials nobody can tell.
CREATE TABLE account_moves (
    former  TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (former, account)
) STRICT, WITHOUT ROWID;

-- `held_at` is the group's id where the target was seen to obey a refusal, '' for the whole account; `shown` the time of the
-- refusal by which a removal of rosterd's own shows, in seconds. `since` and `ended` are the starts of the runs that saw it.
-- Identifiers are never used twice: a plan may name a fact that is gone by the time it is applied.
CREATE TABLE consent_facts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    what    TEXT NOT NULL CHECK (what IN ('refused', 'removed', 'forgotten')),
    origin  TEXT NOT NULL,
    since   TEXT NOT NULL,
    held_at TEXT,
    shown   INTEGER,
    ended   TEXT
) STRICT;

CREATE INDEX consent_facts_open ON consent_facts (account, what) WHERE ended IS NULL;
CREATE INDEX consent_facts_ended ON consent_facts (ended) WHERE ended IS NOT NULL;

-- Contacts are those of the fact's account; the owner of a record is the account that has it. Of whoever was forgotten only
-- hashes stand here: of addresses without an owner, of ids with their account.
CREATE TABLE consent_people (
    fact  INTEGER NOT NULL REFERENCES consent_facts (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('address', 'contact', 'record', 'hash')),
    owner TEXT NOT NULL,
    key   TEXT NOT NULL,
    PRIMARY KEY (kind, owner, key, fact)
) STRICT, WITHOUT ROWID;

CREATE INDEX consent_people_fact ON consent_people (fact);

CREATE TABLE consent_audiences (
    fact  INTEGER NOT NULL REFERENCES consent_facts (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('account', 'group', 'source_group', 'name')),
    owner TEXT NOT NULL,
    key   TEXT NOT NULL,
    PRIMARY KEY (kind, owner, key, fact)
) STRICT, WITHOUT ROWID;

CREATE INDEX consent_audiences_fact ON consent_audiences (fact);

-- The pairs of people that were linked once, and the addresses under which they were.
CREATE TABLE former_links (
    job     TEXT NOT NULL,
    source  TEXT NOT NULL,
    target  TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (job, source, target, address)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_time ON runs (started);

-- What an early refusal was of was packed into the place of the group: source provider, source group, job and name, each after
-- a separator.
CREATE TABLE moved_bars AS
    WITH cut1 AS (SELECT *, CASE WHEN substr(group_id, 1, 1) = char(31) THEN substr(group_id, 2) END AS rest1 FROM bars),
         cut2 AS (SELECT *, substr(rest1, 1, instr(rest1, char(31)) - 1) AS early_provider,
                      substr(rest1, instr(rest1, char(31)) + 1) AS rest2 FROM cut1),
         cut3 AS (SELECT *, substr(rest2, 1, instr(rest2, char(31)) - 1) AS early_source,
                      substr(rest2, instr(rest2, char(31)) + 1) AS rest3 FROM cut2)
    SELECT row_number() OVER (ORDER BY provider, group_id, address) AS id, provider, group_id, address, origin, held,
           rest1 IS NOT NULL AS early, early_provider, early_source,
           substr(rest3, 1, instr(rest3, char(31)) - 1) AS early_job, substr(rest3, instr(rest3, char(31)) + 1) AS early_name
    FROM cut3;

UPDATE moved_bars SET early_provider = coalesce((SELECT source_provider FROM jobs WHERE name = early_job), '')
WHERE early AND early_provider = '';

INSERT INTO consent_facts (id, account, what, origin, since, held_at)
    SELECT id, 'name:' || provider, 'refused', origin, '', CASE WHEN held AND NOT early THEN group_id END FROM moved_bars;
INSERT INTO consent_people (fact, kind, owner, key) SELECT id, 'address', '', address FROM moved_bars;
INSERT OR IGNORE INTO consent_people (fact, kind, owner, key)
    SELECT bar.id, 'contact', '', link.target
    FROM moved_bars AS bar JOIN member_links AS link ON link.address = bar.address
        JOIN jobs ON jobs.name = link.job AND jobs.target_provider = bar.provider;
INSERT OR IGNORE INTO consent_people (fact, kind, owner, key)
    SELECT bar.id, 'record', 'name:' || jobs.source_provider, link.source
    FROM moved_bars AS bar JOIN member_links AS link ON link.address = bar.address
        JOIN jobs ON jobs.name = link.job AND jobs.target_provider = bar.provider AND jobs.source_provider <> '';
INSERT INTO consent_audiences (fact, kind, owner, key)
    SELECT id, CASE group_id WHEN '' THEN 'account' ELSE 'group' END, '', group_id FROM moved_bars WHERE NOT early;
INSERT INTO consent_audiences (fact, kind, owner, key)
    SELECT id, 'source_group', CASE early_provider WHEN '' THEN '' ELSE 'name:' || early_provider END, early_source
    FROM moved_bars WHERE early;
INSERT INTO consent_audiences (fact, kind, owner, key) SELECT id, 'name', '', early_name FROM moved_bars WHERE early;
DROP TABLE moved_bars;
DROP TABLE bars;

CREATE TABLE moved_removals AS
    SELECT row_number() OVER (ORDER BY provider, group_id, member) + (SELECT coalesce(max(id), 0) FROM consent_facts) AS id, *
    FROM own_removals;
INSERT INTO consent_facts (id, account, what, origin, since, shown)
    SELECT id, 'name:' || provider, 'removed', 'removed by rosterd', since, shown FROM moved_removals;
INSERT INTO consent_people (fact, kind, owner, key) SELECT id, 'contact', '', member FROM moved_removals;
INSERT INTO consent_people (fact, kind, owner, key) SELECT id, 'address', '', address FROM moved_removals WHERE address <> '';
INSERT INTO consent_audiences (fact, kind, owner, key) SELECT id, 'group', '', group_id FROM moved_removals;
DROP TABLE moved_removals;
DROP TABLE own_removals;

CREATE TABLE moved_forgotten AS
    SELECT row_number() OVER (ORDER BY hash) + (SELECT coalesce(max(id), 0) FROM consent_facts) AS id, hash, since FROM forgotten;
INSERT INTO consent_facts (id, account, what, origin, since)
    SELECT id, '', 'forgotten', 'asked to be forgotten', since FROM moved_forgotten;
INSERT INTO consent_people (fact, kind, owner, key) SELECT id, 'hash', '', hash FROM moved_forgotten;
DROP TABLE moved_forgotten;
DROP TABLE forgotten;

ALTER TABLE jobs RENAME COLUMN source_provider TO source_account;
ALTER TABLE jobs RENAME COLUMN target_provider TO target_account;
ALTER TABLE carried RENAME COLUMN provider TO account;
ALTER TABLE total_meanings RENAME COLUMN provider TO account;
UPDATE jobs SET source_account = 'name:' || source_account WHERE source_account <> '';
UPDATE jobs SET target_account = 'name:' || target_account WHERE target_account <> '';
UPDATE carried SET account = 'name:' || account;
UPDATE total_meanings SET account = 'name:' || account;
UPDATE journal SET account = 'name:' || account;
