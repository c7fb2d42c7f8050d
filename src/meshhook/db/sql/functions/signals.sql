-- What comes to a run from outside while it lives.
--
-- The way of a signal:  signal(), send_event()  ->  signals  ->  poke(): the run is due  ->  claim() or a wake-up of its holder
--                       ->  inbox()  ->  the journal, and took() in the same transaction
--
-- Putting a signal down and poking the run are two transactions. To poke is to wait for the row of a task, which a worker may hold
-- in a transaction that itself tells other runs something; whoever waited there while holding anything else could wait in a circle.
-- What was put down and not poked, because its sender died in between, is found by poke_forgotten().

-- signal: put something down for each run that lives. Returns those runs; they are to be poked after the commit.
CREATE OR REPLACE FUNCTION meshhook.signal(p_shard smallint, p_run_ids uuid[], p_kinds text[], p_bodies text[])
RETURNS TABLE (reached uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
    INSERT INTO meshhook.signals AS s (shard, run_id, kind, body, at)
    SELECT p_shard, u.run_id, u.kind, u.body::json, meshhook.now()
    FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_kinds) AS kind, unnest(p_bodies) AS body) u
    WHERE EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = u.run_id AND r.finished_at IS NULL)
    RETURNING s.run_id;
END $$;

-- poke: the runs have something in their inbox. One that is free is due at once; the holder of another is told.
CREATE OR REPLACE FUNCTION meshhook.poke(p_shard smallint, p_run_ids uuid[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_left  uuid[] := ARRAY(SELECT DISTINCT id FROM unnest(p_run_ids) AS id ORDER BY id);
    v_found uuid[];
    v_row   record;
BEGIN
    -- A task that is being committed at this moment comes back as a new row, which only the next look can see.
    FOR look IN 1..100 LOOP
        v_found := '{}';
        FOR v_row IN
            SELECT t.run_id, t.owner, t.ctid AS place FROM unnest(v_left) AS u (run_id)
            JOIN meshhook.tasks t ON t.shard = p_shard AND t.run_id = u.run_id
            ORDER BY t.run_id FOR UPDATE OF t
        LOOP
            UPDATE meshhook.tasks t
            SET signaled = true,
                queue = CASE WHEN t.queue = 1 THEN 2 ELSE t.queue END,  -- out of the line, to be told: see claim.sql
                due_at = CASE WHEN t.queue = 1 THEN meshhook.now()      -- among the timed now, so not from before: see front.sql
                              WHEN t.owner IS NULL THEN least(t.due_at, meshhook.now())
                              ELSE t.due_at END
            WHERE t.ctid = v_row.place;
            IF v_row.owner IS NULL THEN
                PERFORM pg_notify('meshhook_tasks', p_shard::text);
            ELSE
                PERFORM pg_notify('meshhook_signals', v_row.run_id::text);
            END IF;
            v_found := v_found || v_row.run_id;
        END LOOP;
        v_left := ARRAY(SELECT r.id FROM unnest(v_left) AS u (run_id)
                        JOIN meshhook.runs r ON r.shard = p_shard AND r.id = u.run_id AND r.finished_at IS NULL
                        WHERE r.id <> ALL (v_found) ORDER BY r.id);
        EXIT WHEN v_left = '{}';
    END LOOP;
END $$;

-- inbox: what lies there for these runs, oldest first. Of those that the caller still holds under a lease, told by the epoch, the
-- flag is taken down; their rows stay locked, so that what comes now is seen by the next look. Whoever has been overtaken leaves the
-- flag to those who may write what they read.
DROP FUNCTION IF EXISTS meshhook.inbox(smallint, uuid[]);
CREATE OR REPLACE FUNCTION meshhook.inbox(p_shard smallint, p_run_ids uuid[], p_epochs int[])
RETURNS TABLE (run_id uuid, number bigint, kind text, body json)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM FROM unnest(p_run_ids, p_epochs) AS u (run_id, epoch)
    CROSS JOIN LATERAL (
        SELECT FROM meshhook.tasks t
        WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch
        OFFSET 0 FOR UPDATE OF t) mine;
    UPDATE meshhook.tasks t SET signaled = false
    FROM (SELECT unnest(p_run_ids) AS run_id, unnest(p_epochs) AS epoch) u
    WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.epoch = u.epoch AND t.signaled;
    RETURN QUERY
    SELECT s.run_id, s.number, s.kind, s.body FROM meshhook.signals s
    WHERE s.shard = p_shard AND s.run_id = ANY (p_run_ids)
    ORDER BY s.run_id, s.number;
END $$;

-- took: these signals are in the journal now.
CREATE OR REPLACE FUNCTION meshhook.took(p_shard smallint, p_run_ids uuid[], p_numbers bigint[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    DELETE FROM meshhook.signals s
    USING (SELECT unnest(p_run_ids) AS run_id, unnest(p_numbers) AS number) u
    WHERE s.shard = p_shard AND s.run_id = u.run_id AND s.number = u.number;
END $$;

-- poke_forgotten: poke what was put down some time ago and never poked; forget what came too late. Returns how many were poked.
CREATE OR REPLACE FUNCTION meshhook.poke_forgotten(p_shard smallint, p_older interval) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    v_now  timestamptz := meshhook.now();
    v_left uuid[];
BEGIN
    DELETE FROM meshhook.signals s
    WHERE s.shard = p_shard AND s.at < v_now - p_older
      AND NOT EXISTS (SELECT FROM meshhook.runs r WHERE r.shard = p_shard AND r.id = s.run_id AND r.finished_at IS NULL);
    v_left := ARRAY(
        SELECT DISTINCT s.run_id FROM meshhook.signals s
        JOIN meshhook.tasks t ON t.shard = p_shard AND t.run_id = s.run_id
        WHERE s.shard = p_shard AND s.at < v_now - p_older AND NOT t.signaled
        LIMIT 1000);
    PERFORM meshhook.poke(p_shard, v_left);
    RETURN cardinality(v_left);
END $$;
