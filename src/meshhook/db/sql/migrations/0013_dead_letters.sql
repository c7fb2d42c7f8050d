-- Failed runs that nobody has dealt with yet: neither replayed, nor resumed, nor discarded. An index on the status of runs would say
-- the same, and cost every run its HOT update.
CREATE TABLE meshhook.dead_letters (
    shard       smallint NOT NULL,
    run_id      uuid NOT NULL,
    project_id  int NOT NULL,
    workflow_id int NOT NULL,
    failed_at   timestamptz NOT NULL,
    node        text,                          -- the step that failed; null: the run as a whole
    error_type  text NOT NULL,
    reason      text NOT NULL,                 -- its beginning; all of it is in the journal
    PRIMARY KEY (shard, run_id)
);
CREATE INDEX dead_letters_by_project ON meshhook.dead_letters (shard, project_id, run_id);
