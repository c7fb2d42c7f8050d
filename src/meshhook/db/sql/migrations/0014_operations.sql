-- What is done to many runs at once, worked off by any worker in batches. Each batch is one transaction together with the cursor
-- (shard, after) and the counts here: so it is done once to each run, whoever dies when. See meshhook/operations.py.
CREATE TABLE meshhook.operations (
    id          uuid PRIMARY KEY,
    project_id  int NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('replay', 'cancel', 'discard')),
    filter      json NOT NULL,
    version     text NOT NULL,                 -- of replays: 'published' or 'same'
    reason      text,                          -- of cancellations
    actor       text NOT NULL,
    state       text NOT NULL DEFAULT 'working' CHECK (state IN ('working', 'done', 'stopped')),
    expected    int NOT NULL,                  -- how many there seemed to be when it began
    matched     int NOT NULL DEFAULT 0,
    done        int NOT NULL DEFAULT 0,
    refused     int NOT NULL DEFAULT 0,
    refusals    json NOT NULL DEFAULT '{}',    -- problem type -> {count, detail, runs: some of them}
    shard       smallint NOT NULL DEFAULT 0,   -- the cursor: every shard below is done, and of this one
    after       uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',  -- every run up to this
    next_at     timestamptz NOT NULL,          -- no batch sooner: new work has the first claim on the workers
    began_at    timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((state = 'working') = (finished_at IS NULL)),
    CHECK (matched = done + refused)
);
CREATE INDEX operations_working ON meshhook.operations (next_at) WHERE state = 'working';
CREATE INDEX operations_by_project ON meshhook.operations (project_id, id);
