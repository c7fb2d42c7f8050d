-- gather: a batch of deliveries to endpoints that gather them by a key. Several become one run, which starts later.
--
--   for each delivery:  dedupe key seen before             ->  nothing is written
--                       a gathering of its key is open     ->  delivery.added in the journal of its run; the run is due later
--                       there is none                      ->  a run as accept() makes it, due when the gathering ends
--
-- A gathering is open while its run waits in the timed queue, its time is not over, nobody has claimed it, and nothing lies in its
-- inbox. Whoever adds holds the task of the run meanwhile, and found it with SKIP LOCKED; so does a claim. Therefore a run is
-- claimed either before a delivery is added, which then opens the next gathering, or after that is committed, and then its
-- journal is read with it: claim() reads the journal in a later statement than it takes the task.
--
-- It also ends early: when it is full (deliveries, bytes), when another version was published meanwhile (a run has the version that
-- was published when its deliveries were accepted), and when debounce became batch or the other way round.
--
-- A run waits at the entry of its workflow where that has limits: claim_timed() puts it there when it is due.
--
-- Returns one row for each delivery:
--   ordinal  index in the arrays, from 1
--   outcome  'new' | 'added' | 'duplicate' (same body; run_id is the run of the first) | 'key-reused' (other body) | 'unpublished' |
--            'gone'
CREATE OR REPLACE FUNCTION meshhook.gather(
    p_shard        smallint,
    p_run_ids      uuid[],      -- of the run, should one be opened
    p_endpoint_ids int[],
    p_keys         text[],      -- dedupe key; null: none
    p_hashes       bytea[],     -- SHA-256 of the raw body
    p_triggers     text[],      -- JSON text
    p_gathers      text[],      -- key of the gathering
    p_kinds        text[],      -- 'debounce' | 'batch'
    p_sizes        int[],       -- deliveries a run, at most
    p_waits        interval[],  -- the run starts so long after the last delivery,
    p_longest      interval[],  -- and at most so long after the first
    p_bytes        int,         -- bytes of triggers a run, at most; one delivery may have more
    p_keep         interval     -- how long a dedupe key is remembered
) RETURNS TABLE (ordinal int, outcome text, run_id uuid)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now         timestamptz;
    v_none        int[] := array_fill(NULL::int, ARRAY[cardinality(p_run_ids)]);
    v_versions    int[];                                                       -- by ordinal: the version published now
    v_fresh       uuid[];                                                      -- those whose key was not seen before
    v_runs        uuid[] := array_fill(NULL::uuid, ARRAY[cardinality(p_run_ids)]);   -- by ordinal: its run,
    v_seqs        int[] := v_none;                                             -- the number of its event there,
    v_dues        timestamptz[] := array_fill(NULL::timestamptz, ARRAY[cardinality(p_run_ids)]); -- when that is due then
    v_hastened    uuid[] := '{}';                                              -- runs that end early
    v_due_runs    uuid[];
    v_due_times   timestamptz[];
    v_changed     meshhook.gatherings[] := '{}';
    v_made        int;
    v_open        boolean := false;
    v_replaceable int := 0;                                                    -- bytes the next delivery may supersede
    d             record;
    g             meshhook.gatherings;
BEGIN
    SELECT array_agg(w.published_version_id ORDER BY u.n) INTO v_versions
    FROM unnest(p_endpoint_ids) WITH ORDINALITY AS u (endpoint_id, n)
    LEFT JOIN meshhook.endpoints e ON e.id = u.endpoint_id
    LEFT JOIN meshhook.workflows w ON w.id = e.workflow_id;

    -- In order, so that two processes with the same keys wait for each other and never deadlock.
    INSERT INTO meshhook.gatherings AS known (shard, endpoint_id, key, due_at)
    SELECT DISTINCT p_shard, u.endpoint_id, u.gather, '-infinity'::timestamptz
    FROM unnest(p_endpoint_ids, p_gathers, v_versions) AS u (endpoint_id, gather, version_id)
    WHERE u.version_id IS NOT NULL
    ORDER BY 2, 3
    ON CONFLICT ON CONSTRAINT gatherings_pkey DO UPDATE SET due_at = known.due_at;

    -- Of several with one dedupe key in this batch the first counts; the others are compared with it below.
    WITH remembered AS (
        INSERT INTO meshhook.dedupe AS known (shard, endpoint_id, key, run_id, body_hash, expires_at)
        SELECT p_shard, first.endpoint_id, first.key, first.run_id, first.hash, meshhook.now() + p_keep
        FROM (SELECT DISTINCT ON (u.endpoint_id, u.key) u.*
              FROM unnest(p_run_ids, p_endpoint_ids, p_keys, p_hashes, v_versions) WITH ORDINALITY
                   AS u (run_id, endpoint_id, key, hash, version_id, n)
              WHERE u.key IS NOT NULL AND u.version_id IS NOT NULL
              ORDER BY u.endpoint_id, u.key, u.n) first
        ORDER BY first.endpoint_id, first.key
        ON CONFLICT ON CONSTRAINT dedupe_pkey DO UPDATE
            SET run_id = excluded.run_id, body_hash = excluded.body_hash, expires_at = excluded.expires_at
            WHERE known.expires_at <= meshhook.now()
        RETURNING known.run_id
    )
    SELECT coalesce(array_agg(k.run_id), '{}') INTO v_fresh FROM remembered k;
    -- Read when everything that others could hold is ours: who comes later in a journal has not come earlier.
    v_now := meshhook.now();

    FOR d IN
        SELECT u.n::int, u.run_id, u.endpoint_id, u.gather, u.kind, u.size, u.wait, u.longest, u.version_id, u.bytes
        FROM (SELECT given.*, octet_length(given.trigger) AS bytes
              FROM unnest(p_run_ids, p_endpoint_ids, p_keys, p_triggers, p_gathers, p_kinds, p_sizes, p_waits, p_longest,
                          v_versions) WITH ORDINALITY
                   AS given (run_id, endpoint_id, key, trigger, gather, kind, size, wait, longest, version_id, n)) u
        WHERE u.version_id IS NOT NULL AND (u.key IS NULL OR u.run_id IN (SELECT unnest(v_fresh)))
        ORDER BY u.endpoint_id, u.gather, u.n
    LOOP
        IF (d.endpoint_id, d.gather) IS DISTINCT FROM (g.endpoint_id, g.key) THEN
            IF g.key IS NOT NULL THEN
                v_changed := v_changed || g;
            END IF;
            SELECT * INTO STRICT g FROM meshhook.gatherings known
            WHERE known.shard = p_shard AND known.endpoint_id = d.endpoint_id AND known.key = d.gather;
            PERFORM FROM meshhook.tasks t
            WHERE t.shard = p_shard AND t.run_id = g.run_id AND t.queue = 2 AND t.epoch = 0 AND t.owner IS NULL
              AND NOT t.signaled AND t.due_at > v_now
            FOR UPDATE SKIP LOCKED;
            v_open := FOUND;
            v_replaceable := 0;
        END IF;
        IF v_open AND ((g.kind, g.version_id) IS DISTINCT FROM (d.kind, d.version_id)
                       OR g.bytes - v_replaceable + d.bytes > p_bytes) THEN
            v_hastened := v_hastened || g.run_id;
            v_open := false;
        END IF;
        IF v_open AND d.kind = 'debounce' THEN
            g.bytes := g.bytes - v_replaceable;     -- of those that are superseded in this batch only the hash is kept
            v_replaceable := d.bytes;
        ELSIF NOT v_open THEN
            g.run_id := d.run_id;
            g.kind := d.kind;
            g.version_id := d.version_id;
            g.first_at := v_now;
            g.count := 0;
            g.bytes := 0;
            v_replaceable := 0;
        END IF;
        g.count := g.count + 1;
        g.bytes := g.bytes + d.bytes;
        g.due_at := greatest(v_now, least(v_now + d.wait, g.first_at + d.longest));
        v_open := g.count < d.size AND g.bytes < p_bytes;
        IF NOT v_open THEN
            g.due_at := v_now;
        END IF;
        v_runs[d.n] := g.run_id;
        v_seqs[d.n] := g.count;
        v_dues[d.n] := g.due_at;
    END LOOP;
    IF g.key IS NOT NULL THEN
        v_changed := v_changed || g;
    END IF;

    -- A run is due as the last delivery in it says.
    SELECT array_agg(last.run_id), array_agg(last.due) INTO v_due_runs, v_due_times
    FROM (SELECT DISTINCT ON (u.run_id) u.run_id,
                 CASE WHEN u.run_id IN (SELECT unnest(v_hastened)) THEN v_now ELSE u.due END AS due
          FROM (SELECT * FROM unnest(v_runs, v_seqs, v_dues) UNION ALL SELECT early, 0, v_now FROM unnest(v_hastened) AS early)
               AS u (run_id, seq, due)
          WHERE u.run_id IS NOT NULL
          ORDER BY u.run_id, u.seq DESC) last;

    WITH opened AS (
        SELECT u.run_id, u.endpoint_id, u.key, v.id AS version_id, v.limited, v.priority, w.id AS workflow_id, w.project_id
        FROM unnest(v_runs, v_seqs, p_endpoint_ids, p_keys, v_versions) AS u (run_id, seq, endpoint_id, key, version_id)
        JOIN meshhook.versions v ON v.id = u.version_id
        JOIN meshhook.workflows w ON w.id = v.workflow_id
        WHERE u.seq = 1
    ), given AS (
        SELECT o.*, CASE WHEN o.limited THEN nextval('meshhook.places') END AS place FROM opened o
    ), new_runs AS (
        INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id, endpoint_id, delivery_key, priority, lane, place)
        SELECT p_shard, o.run_id, o.project_id, o.workflow_id, o.version_id, o.endpoint_id, o.key, nullif(o.priority, 1),
               CASE WHEN o.limited THEN -o.workflow_id END, o.place
        FROM given o
    ), new_tasks AS (
        INSERT INTO meshhook.tasks (shard, run_id, due_at, project_id, priority, queue, lane, place)
        SELECT p_shard, o.run_id, u.due, o.project_id, o.priority, 2, CASE WHEN o.limited THEN -o.workflow_id END, o.place
        FROM given o JOIN unnest(v_due_runs, v_due_times) AS u (run_id, due) ON u.run_id = o.run_id
    )
    SELECT count(*) INTO v_made FROM given;
    IF v_made <> (SELECT count(*) FROM unnest(v_seqs) AS seq WHERE seq = 1) THEN
        RAISE EXCEPTION 'a version was removed while deliveries were gathered for it';
    END IF;

    UPDATE meshhook.tasks t SET due_at = u.due
    FROM (SELECT unnest(v_due_runs) AS run_id, unnest(v_due_times) AS due) u
    WHERE t.shard = p_shard AND t.run_id = u.run_id AND t.due_at <> u.due;

    INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events)
    SELECT p_shard, e.run_id, min(e.seq), 0, v_now, ('[' || string_agg(e.event, ',' ORDER BY e.seq) || ']')::json
    FROM (SELECT u.run_id, u.seq,
                 CASE WHEN u.seq = 1
                      THEN '{"type":"run.accepted","workflow":' || to_json(w.name) || ',"version":' || v.number
                           || ',"version_id":' || v.id || ',"trigger":' || u.trigger || ',"gathers":"' || u.kind || '"}'
                      ELSE '{"type":"delivery.added","key":' || coalesce(to_json(u.key)::text, 'null')
                           || ',"sha256":"' || encode(u.hash, 'hex') || '"'
                           || CASE WHEN u.kind = 'debounce' AND u.seq < max(u.seq) OVER (PARTITION BY u.run_id)
                                   THEN '' ELSE ',"trigger":' || u.trigger END || '}'
                 END AS event
          FROM unnest(v_runs, v_seqs, p_keys, p_hashes, p_triggers, p_kinds, v_versions)
               AS u (run_id, seq, key, hash, trigger, kind, version_id)
          JOIN meshhook.versions v ON v.id = u.version_id
          JOIN meshhook.workflows w ON w.id = v.workflow_id
          WHERE u.run_id IS NOT NULL) e
    GROUP BY e.run_id;

    UPDATE meshhook.gatherings known
    SET run_id = u.run_id, kind = u.kind, version_id = u.version_id, first_at = u.first_at, due_at = u.due_at,
        count = u.count, bytes = u.bytes
    FROM (SELECT * FROM unnest(v_changed)) u
    WHERE known.shard = p_shard AND known.endpoint_id = u.endpoint_id AND known.key = u.key;

    -- Its key leads to the run it is in, not to the one it would have had.
    UPDATE meshhook.dedupe known SET run_id = u.run_id
    FROM (SELECT unnest(p_endpoint_ids) AS endpoint_id, unnest(p_keys) AS key, unnest(v_runs) AS run_id, unnest(v_seqs) AS seq) u
    WHERE known.shard = p_shard AND known.endpoint_id = u.endpoint_id AND known.key = u.key AND u.seq > 1;

    IF EXISTS (SELECT FROM unnest(v_dues) AS due WHERE due <= v_now) OR v_hastened <> '{}' THEN
        PERFORM pg_notify('meshhook_tasks', p_shard::text);
    END IF;
    RETURN QUERY
    SELECT u.n::int,
           CASE WHEN u.seq = 1 THEN 'new'
                WHEN u.seq > 1 THEN 'added'
                WHEN known.run_id IS NOT NULL AND known.body_hash = u.hash THEN 'duplicate'
                WHEN known.run_id IS NOT NULL THEN 'key-reused'
                WHEN w.id IS NULL THEN 'gone'
                ELSE 'unpublished' END,
           coalesce(u.run_id, known.run_id)
    FROM unnest(v_runs, v_seqs, p_endpoint_ids, p_keys, p_hashes) WITH ORDINALITY
         AS u (run_id, seq, endpoint_id, key, hash, n)
    LEFT JOIN meshhook.endpoints e ON e.id = u.endpoint_id
    LEFT JOIN meshhook.workflows w ON w.id = e.workflow_id
    LEFT JOIN meshhook.dedupe known ON known.shard = p_shard AND known.endpoint_id = u.endpoint_id AND known.key = u.key;
END $$;
