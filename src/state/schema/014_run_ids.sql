-- Whom and which group an item of a run was about by their ids at the target: names and addresses change hands, and a run
-- is taken back by who it was about. Items of before have none.
ALTER TABLE run_items ADD COLUMN target_group INTEGER;
ALTER TABLE run_items ADD COLUMN target_member INTEGER;
