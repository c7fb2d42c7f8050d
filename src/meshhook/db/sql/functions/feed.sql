-- The feed: journal rows in an order in which they can be read without a gap or a repetition (see migration 0005).
--
-- A *position* is (place, ordinal, event): everything up to event number `event` (from 1) of journal row `ordinal` (from 1) of that
-- place has been told; event 0 is before its first event.

-- feed_end: up to which place everything is committed, or never will be. In this order: what the sequence stands at, then the
-- locks. A place above the first and without a lock among the second does not exist yet, and will be higher still.
CREATE OR REPLACE FUNCTION meshhook.feed_end() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_last bigint := pg_sequence_last_value('meshhook.feed_place');
    v_held bigint;
BEGIN
    SELECT min(((l.classid::bigint & 255) << 32) | l.objid::bigint) INTO v_held
    FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint >> 8 = x'6D6866'::bigint AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    RETURN least(v_last, v_held);
END $$;

-- note_in_feed: what the trigger on the journal does (migration 0005). A transaction takes the lock once: its first is the lowest,
-- and one that appends ten thousand times must not fill the lock table. The setting ends with the transaction, as the lock does.
CREATE OR REPLACE FUNCTION meshhook.note_in_feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM added) THEN
        RETURN NULL;
    END IF;
    IF current_setting('meshhook.in_feed', true) IS DISTINCT FROM 'yes' THEN
        PERFORM pg_advisory_xact_lock_shared(meshhook.feed_lock(pg_sequence_last_value('meshhook.feed_place')));
        PERFORM set_config('meshhook.in_feed', 'yes', true);
    END IF;
    INSERT INTO meshhook.feed (shard, place, at, run_ids, seqs)
    SELECT a.shard, nextval('meshhook.feed_place'), max(a.at), array_agg(a.run_id), array_agg(a.seq)
    FROM (SELECT n.shard, n.run_id, n.seq, n.at FROM added n ORDER BY n.seq) a
    GROUP BY a.shard;
    RETURN NULL;
END $$;

-- told: the events of a journal row for whoever watches. One longer than 64 KiB is told of by its type and its size alone:
-- whoever needs it reads it from the run.
CREATE OR REPLACE FUNCTION meshhook.told(p_events json) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF octet_length(p_events::text) <= 65536 THEN
        RETURN p_events::text;
    END IF;
    RETURN (SELECT '[' || string_agg(
                CASE WHEN octet_length(e.event::text) <= 65536 THEN e.event::text
                     ELSE json_build_object('type', substring(e.event::text FROM '^\{"type" ?: ?"([a-z._]+)"'),
                                            'truncated', octet_length(e.event::text))::text END,
                ',' ORDER BY e.ordinality) || ']'
            FROM json_array_elements(p_events) WITH ORDINALITY AS e (event, ordinality));
END $$;

-- feed_page: journal rows from a position on, in the order of the feed. It looks at p_rows of them at most, and ends with the one
-- that makes p_bytes of events. Only those of a project, or of some of its workflows, are read and returned when these are given.
-- `finished`: the run has ended meanwhile. Rows that retention dropped are left out.
-- The last row has no run. Its place and ordinal are where to go on, its `finished` says that there is no more right now; a
-- null place says that some of what was asked for is forgotten, and the rows before it are not all there were.
-- Not STABLE: the rows must be read in a snapshot that is taken after feed_end() has looked.
CREATE OR REPLACE FUNCTION meshhook.feed_page(
    p_shards     int,
    p_place      bigint,
    p_ordinal    int,
    p_project_id int,        -- null: of all projects
    p_workflows  text[],     -- names; null: any
    p_rows       int,
    p_bytes      bigint
) RETURNS TABLE (
    place bigint, ordinal int, run_id uuid, project_id int, workflow text, seq int, epoch int, at timestamptz,
    status meshhook.run_status, finished boolean, events text
)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_end     bigint := meshhook.feed_end();
    v_rows    int := 0;
    v_bytes   bigint := 0;
    v_place   bigint;
    v_ordinal int;
    v_batch   record;
    v_batches int := 0;
BEGIN
    <<reading>>
    FOR v_batch IN
        SELECT of_shard.*
        FROM generate_series(0, p_shards - 1) AS s (shard),
             LATERAL (SELECT f.shard, f.place, f.run_ids, f.seqs FROM meshhook.feed f
                      WHERE f.shard = s.shard::smallint AND f.place >= p_place AND f.place <= v_end
                      ORDER BY f.place LIMIT 500) of_shard
        ORDER BY of_shard.place
        LIMIT 500
    LOOP
        v_batches := v_batches + 1;
        FOR ordinal, run_id, project_id, workflow, seq, epoch, at, status, finished, events IN
            SELECT n.ordinal, n.run_id, r.project_id, w.name, n.seq, j.epoch, j.at, j.status, r.finished_at IS NOT NULL,
                   meshhook.told(j.events)
            FROM unnest(v_batch.run_ids, v_batch.seqs) WITH ORDINALITY AS n (run_id, seq, ordinal)
            LEFT JOIN LATERAL (SELECT r.project_id, r.workflow_id, r.finished_at FROM meshhook.runs r
                               WHERE r.shard = v_batch.shard AND r.id = n.run_id OFFSET 0) r ON true
            LEFT JOIN LATERAL (SELECT w.name FROM meshhook.workflows w WHERE w.id = r.workflow_id OFFSET 0) w ON true
            LEFT JOIN LATERAL (SELECT * FROM meshhook.journal j
                               WHERE (p_project_id IS NULL OR r.project_id = p_project_id)
                                 AND (p_workflows IS NULL OR w.name = ANY (p_workflows))
                                 AND j.shard = v_batch.shard AND j.run_id = n.run_id AND j.seq = n.seq OFFSET 0) j ON true
            WHERE v_batch.place > p_place OR n.ordinal >= p_ordinal
        LOOP
            place := v_batch.place;
            v_place := place;
            v_ordinal := ordinal;
            v_rows := v_rows + 1;
            IF events IS NOT NULL THEN
                v_bytes := v_bytes + octet_length(events);
                RETURN NEXT;
            END IF;
            EXIT reading WHEN v_rows >= p_rows OR v_bytes >= p_bytes;
        END LOOP;
    END LOOP;

    finished := v_rows < p_rows AND v_bytes < p_bytes AND v_batches < 500;
    -- Asked last, for what is forgotten may have been forgotten while we read.
    IF p_place <= (SELECT s.value::bigint FROM meshhook.settings s WHERE s.name = 'feed_floor') THEN
        place := NULL;
        ordinal := NULL;
    ELSIF finished THEN
        place := greatest(v_end + 1, p_place);
        ordinal := 1;
    ELSE
        place := v_place;
        ordinal := v_ordinal + 1;
    END IF;
    run_id := NULL;
    RETURN NEXT;
END $$;

-- run_page: journal rows of one run of a project from the one on that holds the event behind p_after; p_rows and about
-- p_bytes at most, but always one. The last row has no seq: its `finished` says that the run has ended, and that this was all of it.
-- No row at all: the project has no such run.
CREATE OR REPLACE FUNCTION meshhook.run_page(
    p_shard smallint, p_run_id uuid, p_project_id int, p_after int, p_rows int, p_bytes bigint
)
RETURNS TABLE (
    place bigint, ordinal int, run_id uuid, project_id int, workflow text, seq int, epoch int, at timestamptz,
    status meshhook.run_status, finished boolean, events text
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_status meshhook.run_status;
    v_ended  boolean;
    v_rows   int := 0;
    v_bytes  bigint := 0;
BEGIN
    SELECT r.id, r.project_id, w.name, r.status, r.finished_at IS NOT NULL
    INTO run_id, project_id, workflow, v_status, v_ended
    FROM meshhook.runs r JOIN meshhook.workflows w ON w.id = r.workflow_id
    WHERE r.shard = p_shard AND r.id = p_run_id AND r.project_id = p_project_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    finished := false;
    FOR seq, epoch, at, status, events IN
        SELECT j.seq, j.epoch, j.at, j.status, meshhook.told(j.events)
        FROM meshhook.journal j
        WHERE j.shard = p_shard AND j.run_id = p_run_id
          AND j.seq >= coalesce((SELECT before.seq FROM meshhook.journal before
                                 WHERE before.shard = p_shard AND before.run_id = p_run_id AND before.seq <= p_after + 1
                                 ORDER BY before.seq DESC LIMIT 1), 1)
        ORDER BY j.seq LIMIT p_rows
    LOOP
        v_rows := v_rows + 1;
        v_bytes := v_bytes + octet_length(events);
        RETURN NEXT;
        EXIT WHEN v_bytes >= p_bytes;
    END LOOP;
    finished := v_ended AND v_rows < p_rows AND v_bytes < p_bytes;
    -- Where there is more, ordinal is 1: ask again behind the last event.
    ordinal := CASE WHEN v_rows < p_rows AND v_bytes < p_bytes THEN 0 ELSE 1 END;
    seq := NULL;
    status := v_status;
    RETURN NEXT;
END $$;

-- forget_feed: forget what is older than p_keep, p_limit places of a shard at most. Returns how many. What is forgotten first
-- raises the floor, so that a reader who misses it is told so.
CREATE OR REPLACE FUNCTION meshhook.forget_feed(p_shard smallint, p_keep interval, p_limit int) RETURNS int
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_until timestamptz := meshhook.now() - p_keep;
    v_last  bigint;
    v_gone  int;
BEGIN
    SELECT max(old.place) INTO v_last
    FROM (SELECT f.place, f.at FROM meshhook.feed f WHERE f.shard = p_shard ORDER BY f.place LIMIT p_limit) old
    WHERE old.at < v_until;
    IF v_last IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE meshhook.settings s SET value = greatest(s.value::bigint, v_last)::text WHERE s.name = 'feed_floor';
    DELETE FROM meshhook.feed f WHERE f.shard = p_shard AND f.place <= v_last;
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END $$;
