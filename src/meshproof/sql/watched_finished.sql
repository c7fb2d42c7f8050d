-- How many runs have ended.
SELECT count(*) FROM meshhook.runs WHERE finished_at IS NOT NULL
