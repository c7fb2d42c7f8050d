-- Gatherings: deliveries to an endpoint that become one run, by a key (debounce, batch). The whole flow: functions/gather.sql.
--
-- Lock order: gatherings before dedupe, tasks, runs and journal. A gathering is locked by who adds to it alone; tasks are only
-- ever locked there by skipping what others hold.

-- The run a key gathers for, or did until due_at. A row whose time is over says nothing any more; forget() removes it.
CREATE TABLE meshhook.gatherings (
    shard       smallint NOT NULL,
    endpoint_id int NOT NULL,
    key         text NOT NULL,                 -- JSON text, or the hash of it where that is long
    run_id      uuid,
    kind        text,                          -- 'debounce' | 'batch'
    version_id  int,
    first_at    timestamptz,
    due_at      timestamptz NOT NULL,          -- when the run starts
    count       int NOT NULL DEFAULT 0,        -- deliveries: events in the journal of the run so far
    bytes       bigint NOT NULL DEFAULT 0,     -- of their triggers
    PRIMARY KEY (shard, endpoint_id, key)
) WITH (fillfactor = 70);
CREATE INDEX gatherings_due ON meshhook.gatherings (due_at);
