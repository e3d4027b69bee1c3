-- The ways to what would else be looked for in all of a history.
CREATE INDEX journal_open_account ON journal (account) WHERE settled IS NULL;
CREATE INDEX journal_settled ON journal (settled) WHERE settled IS NOT NULL;
CREATE INDEX runs_open ON runs (job) WHERE finished IS NULL;
CREATE INDEX approvals_id ON approvals (id);
