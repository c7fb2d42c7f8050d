-- Schedules: what they were told (config, see meshhook/timetable.py), and where they stand.
CREATE TABLE meshhook.schedules (
    id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id   int NOT NULL REFERENCES meshhook.projects,
    name         text NOT NULL,
    workflow_id  int NOT NULL REFERENCES meshhook.workflows,
    config       json NOT NULL,
    tick_at      timestamptz,          -- the next tick; null: there is none any more
    due_at       timestamptz,          -- when a worker must look at it: the tick and its jitter, or sooner while one is held
    held_at      timestamptz,          -- a tick that waits for the run before it to end
    last_tick_at timestamptz,
    last_run_id  uuid,
    last_error   text,                 -- why the last tick started no run
    fired        bigint NOT NULL DEFAULT 0,
    skipped      bigint NOT NULL DEFAULT 0,  -- ticks left out because a run was live
    missed       bigint NOT NULL DEFAULT 0,  -- ticks left out because they were too late
    paused_at    timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (project_id, name)
);
CREATE INDEX schedules_due ON meshhook.schedules (due_at) WHERE paused_at IS NULL;
