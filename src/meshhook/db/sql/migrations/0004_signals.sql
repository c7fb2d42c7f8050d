-- What comes to a run while it lives, and what it waits for.

-- Whatever stands from 'completed' on is terminal: the check on runs is told so once and for all.
ALTER TYPE meshhook.run_status ADD VALUE IF NOT EXISTS 'paused' AFTER 'waiting';
ALTER TYPE meshhook.run_status ADD VALUE IF NOT EXISTS 'cancelled' AFTER 'failed';
ALTER TABLE meshhook.runs DROP CONSTRAINT runs_check;
ALTER TABLE meshhook.runs ADD CONSTRAINT runs_finished CHECK ((status >= 'completed') = (finished_at IS NOT NULL));

-- Something lies in the inbox of the run.
ALTER TABLE meshhook.tasks ADD COLUMN signaled boolean NOT NULL DEFAULT false;

-- The inbox of a run: events it waited for, ends of its children, cancel, pause, resume. Gone once it is in the journal.
CREATE TABLE meshhook.signals (
    shard  smallint NOT NULL,
    run_id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    kind   text NOT NULL,
    body   json NOT NULL,
    at     timestamptz NOT NULL,
    PRIMARY KEY (shard, run_id, number)
);

-- Which step of which run waits for which event.
CREATE TABLE meshhook.waits (
    shard      smallint NOT NULL,
    run_id     uuid NOT NULL,
    node       text NOT NULL,
    project_id int NOT NULL,
    name       text NOT NULL,
    key        text NOT NULL,
    PRIMARY KEY (shard, run_id, node)
);
CREATE INDEX waits_by_event ON meshhook.waits (shard, project_id, name, key);

-- Events as they came, kept for runs that will ask for them. With a run id: for this run alone, whatever key it waits with.
CREATE TABLE meshhook.events (
    shard      smallint NOT NULL,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    project_id int NOT NULL,
    id         text NOT NULL,
    run_id     uuid,
    name       text NOT NULL,
    key        text NOT NULL,
    payload    json NOT NULL,
    at         timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (shard, number)
);
CREATE UNIQUE INDEX events_once ON meshhook.events (shard, project_id, id);
CREATE INDEX events_by_key ON meshhook.events (shard, project_id, name, key, number);
CREATE INDEX events_by_run ON meshhook.events (shard, run_id, name, number) WHERE run_id IS NOT NULL;
CREATE INDEX events_expiry ON meshhook.events USING brin (expires_at);

-- These return more than before.
DROP FUNCTION IF EXISTS meshhook.claim(smallint, int);
DROP FUNCTION IF EXISTS meshhook.commit(smallint, timestamptz[], boolean, uuid[], int[], int[], text[], text[], timestamptz[], text[]);
DROP FUNCTION IF EXISTS meshhook.put_back(smallint, uuid[], int[], text[], timestamptz[]);
DROP FUNCTION IF EXISTS meshhook.renew(smallint, text, uuid[], int[], interval);
