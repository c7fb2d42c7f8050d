-- claim: take a batch of due tasks out of the queue, and bring the journals of their runs.
--
-- To be called inside a transaction that ends with commit(): the tasks are deleted, and the deletion *is* the hold on them.
-- Others skip them; a crash rolls back, and they are there again. What goes on living is put back by commit().
--
-- Three queues feed a batch, each by its own small index:
--   timed   what is due now: delays and attempts that were waited for, leases that ran out. A run of a lane whose time has come
--           gets in line in its lane again; it was asleep, so it has no slot. Somebody has put something into its inbox: then
--           it is taken all the same, to be told; so a run that waits for a slot can be cancelled and paused.
--   lanes   those whose lane has room for them, see claim_lanes(). They get half of what is left, so that neither starves.
--   ready   the rest, shared evenly between the projects that have any, see ready_projects() and claim_ready().
--
-- Returns one row for each journal row of each claimed run, ordered by run and sequence number:
--   epoch      the epoch the last writer held; what is written now must carry epoch + 1
--   owner      whose lease ran out, null when the run was free;  due_at  when it ran out, or since when the run waits
--   signaled   something lies in the inbox of the run, see signals.sql. Out of a lane, and without an expired lease, such a run has no
--              slot: it may read its inbox, and no more
--   claimed_at the database clock now: leases and journal rows of this claim count from it. Read after the tasks were taken, so
--              whoever had a slot of the lane before has written his last before that.
--   lane       the lane it comes from; below 0, the entry: such a run is not to be worked on but to be placed, see place()
--
-- Rows that were taken lie dead in the indexes as long as anybody's transaction is open that began before. With p_from the looks
-- begin there, behind them: only what is due since then is found, and one more row comes first, without a run_id, whose due_at is
-- the front: of what p_from lets be seen, nothing was due before it. Null finds everything and tells no front. What bound is
-- safe, and how often a look must be at everything: meshhook/lookback.py.
CREATE OR REPLACE FUNCTION meshhook.claim(p_shard smallint, p_limit int, p_from timestamptz DEFAULT NULL)
RETURNS TABLE (
    run_id uuid, epoch int, owner text, due_at timestamptz, signaled boolean, claimed_at timestamptz, seq int, events json,
    lane bigint
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
AS $$
DECLARE
    v_now     timestamptz := meshhook.now();
    v_front   timestamptz;      -- where the looks begin; null: at the beginning
    v_project int;              -- one that has ready runs
    v_ready   int[];            -- those that have some, as far as they are known
    v_several boolean;          -- others have some as well
    v_timed   boolean;
    v_opened  boolean;
    v_places  tid[];
    v_ids     uuid[];
    v_epochs  int[];
    v_owners  text[];
    v_dues    timestamptz[];
    v_lanes   bigint[];
    v_flags   boolean[];
BEGIN
    IF p_from IS NOT NULL THEN
        SELECT f.front, f.projects, f.timed, f.opened INTO v_front, v_ready, v_timed, v_opened
        FROM meshhook.front(p_shard, v_now, p_from, 64) f;
        v_several := v_ready IS NOT NULL;
    END IF;
    IF v_front IS NULL THEN
        SELECT head.project_id,
               EXISTS (SELECT FROM meshhook.tasks t
                       WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id > head.project_id),
               EXISTS (SELECT FROM meshhook.tasks t WHERE t.shard = p_shard AND t.queue >= 2 AND t.due_at <= v_now),
               EXISTS (SELECT FROM meshhook.openings o WHERE o.shard = p_shard AND o.at <= v_now)
        INTO v_project, v_several, v_timed, v_opened
        FROM (SELECT (SELECT t.project_id FROM meshhook.tasks t WHERE t.shard = p_shard AND t.queue = 0
                      ORDER BY t.project_id LIMIT 1) AS project_id) head;
    ELSE
        RETURN QUERY SELECT NULL::uuid, NULL::int, NULL, v_front, NULL::boolean, v_now, NULL::int, NULL::json, NULL::bigint;
    END IF;

    IF v_timed THEN
        v_places := meshhook.claim_timed(p_shard, v_now, p_limit, v_front);
    END IF;
    IF v_opened OR v_timed THEN
        v_places := v_places || meshhook.claim_lanes(
            p_shard, v_now, floor((p_limit - coalesce(cardinality(v_places), 0) + random()) / 2 + 0.25)::int, v_front);
    END IF;
    IF v_timed OR v_several THEN
        IF v_front IS NULL THEN
            v_ready := meshhook.ready_projects(p_shard, 64);
        END IF;
        v_places := v_places || meshhook.claim_ready(
            p_shard, v_now, v_ready, p_limit - coalesce(cardinality(v_places), 0), v_front);
    ELSIF v_project IS NOT NULL THEN
        v_places := v_places || ARRAY(
            SELECT t.ctid FROM meshhook.tasks t
            WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = v_project AND t.due_at <= v_now
            ORDER BY t.priority, t.due_at
            LIMIT p_limit - coalesce(cardinality(v_places), 0)
            FOR UPDATE SKIP LOCKED);
    END IF;
    IF v_places IS NULL THEN
        RETURN;
    END IF;

    WITH taken AS (
        DELETE FROM meshhook.tasks t
        WHERE t.ctid = ANY (v_places)
        RETURNING t.run_id, t.epoch, t.owner, t.due_at, t.signaled, t.lane
    ), ordered AS (
        SELECT * FROM taken ORDER BY taken.run_id
    )
    SELECT array_agg(o.run_id), array_agg(o.epoch), array_agg(o.owner), array_agg(o.due_at), array_agg(o.signaled),
           array_agg(o.lane)
    INTO v_ids, v_epochs, v_owners, v_dues, v_flags, v_lanes
    FROM ordered o;
    v_now := meshhook.now();

    -- LATERAL with OFFSET 0 keeps the planner from turning the join round: one index probe a run, never a range of runs.
    RETURN QUERY
    SELECT c.run_id, c.epoch, c.owner, c.due_at, c.signaled, v_now, j.seq, j.events, c.lane
    FROM unnest(v_ids, v_epochs, v_owners, v_dues, v_flags, v_lanes) AS c (run_id, epoch, owner, due_at, signaled, lane)
    CROSS JOIN LATERAL (
        SELECT written.seq, written.events FROM meshhook.journal written
        WHERE written.shard = p_shard AND written.run_id = c.run_id
        ORDER BY written.seq OFFSET 0) j;
END $$;

-- claim_timed: lock at most p_limit tasks that are due, the oldest first; returns the places of those to go on with now.
CREATE OR REPLACE FUNCTION meshhook.claim_timed(p_shard smallint, p_now timestamptz, p_limit int, p_front timestamptz)
RETURNS tid[]
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_places tid[];
    v_asleep tid[];
BEGIN
    SELECT array_agg(t.place) FILTER (WHERE NOT t.asleep), array_agg(t.place) FILTER (WHERE t.asleep)
    INTO v_places, v_asleep
    FROM (SELECT due.ctid AS place, due.lane IS NOT NULL AND due.owner IS NULL AND NOT due.signaled AS asleep
          FROM meshhook.tasks due
          WHERE due.shard = p_shard AND due.queue >= 2 AND due.due_at <= p_now
            AND due.due_at >= coalesce(p_front, '-infinity')
          ORDER BY due.due_at
          LIMIT p_limit
          FOR UPDATE SKIP LOCKED) t;
    IF v_asleep IS NOT NULL THEN
        -- Asleep it had no slot: it gets in line again.
        WITH woken AS (
            UPDATE meshhook.tasks t SET queue = 1 WHERE t.ctid = ANY (v_asleep) RETURNING t.lane
        )
        INSERT INTO meshhook.openings (shard, at, lane) SELECT DISTINCT p_shard, p_now, w.lane FROM woken w;
    END IF;
    IF cardinality(v_places) > p_limit / 2 THEN
        -- So many at once that others would have to wait for them: they get in line with everybody else.
        UPDATE meshhook.tasks t SET queue = 0 WHERE t.ctid = ANY (v_places) AND t.owner IS NULL;
        v_places := ARRAY(SELECT t.ctid FROM meshhook.tasks t WHERE t.ctid = ANY (v_places) AND t.owner IS NOT NULL);
    END IF;
    RETURN v_places;
END $$;

-- claim_ready: lock at most p_limit ready tasks of these projects, of each the oldest of the highest priority first; returns
-- their places. Each project gets an even share, and what some leave goes to those that have more.
CREATE OR REPLACE FUNCTION meshhook.claim_ready(
    p_shard smallint, p_now timestamptz, p_projects int[], p_limit int, p_front timestamptz
) RETURNS tid[]
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_share   int := ceil(p_limit::float8 / cardinality(p_projects));
    v_left    int := p_limit;
    v_project int;
    v_hungry  int[] := '{}';
    v_some    tid[];
    v_places  tid[];
BEGIN
    FOREACH v_project IN ARRAY coalesce(p_projects, '{}') LOOP
        EXIT WHEN v_left <= 0;
        v_some := meshhook.ready_of(p_shard, p_now, v_project, least(v_share, v_left), p_front);
        v_left := v_left - cardinality(v_some);
        v_places := v_places || v_some;
        IF cardinality(v_some) = v_share THEN
            v_hungry := v_hungry || v_project;
        END IF;
    END LOOP;
    FOREACH v_project IN ARRAY v_hungry LOOP
        EXIT WHEN v_left <= 0;
        -- The same once more, and some behind it: what is locked already is locked by us.
        v_some := meshhook.ready_of(p_shard, p_now, v_project, v_share + v_left, p_front);
        v_left := v_left - (cardinality(v_some) - v_share);
        v_places := v_places || v_some[v_share + 1:];
    END LOOP;
    RETURN nullif(v_places, '{}');
END $$;

-- ready_of: lock at most p_limit ready tasks of a project, the oldest of the highest priority first; returns their places.
CREATE OR REPLACE FUNCTION meshhook.ready_of(
    p_shard smallint, p_now timestamptz, p_project int, p_limit int, p_front timestamptz
) RETURNS tid[]
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_places tid[] := '{}';
BEGIN
    IF p_front IS NULL THEN
        RETURN ARRAY(SELECT t.ctid FROM meshhook.tasks t
                     WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = p_project AND t.due_at <= p_now
                     ORDER BY t.priority, t.due_at
                     LIMIT p_limit
                     FOR UPDATE SKIP LOCKED);
    END IF;
    -- One look a priority: only below a priority does the index go by due_at, so that a look can begin at the front.
    FOR v_priority IN 0 .. 2 LOOP
        EXIT WHEN cardinality(v_places) >= p_limit;
        v_places := v_places || ARRAY(
            SELECT t.ctid FROM meshhook.tasks t
            WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id = p_project AND t.priority = v_priority::smallint
              AND t.due_at <= p_now AND t.due_at >= p_front
            ORDER BY t.due_at
            LIMIT p_limit - cardinality(v_places)
            FOR UPDATE SKIP LOCKED);
    END LOOP;
    RETURN v_places;
END $$;

-- ready_projects: at most p_max projects that have ready tasks, from a random one on and round; null when there are none.
--
-- One project costs a probe more than no fairness at all, and each further one a probe. Only so many are looked at: with
-- thousands, each has its turn at random, and a claim stays as cheap as it was.
CREATE OR REPLACE FUNCTION meshhook.ready_projects(p_shard smallint, p_max int) RETURNS int[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_first int;
    v_last  int;
    v_from  int;
    v_next  int;
    v_found int[];
BEGIN
    v_first := (SELECT t.project_id FROM meshhook.tasks t WHERE t.shard = p_shard AND t.queue = 0
                ORDER BY t.project_id LIMIT 1);
    IF v_first IS NULL THEN
        RETURN NULL;
    END IF;
    v_next := (SELECT t.project_id FROM meshhook.tasks t WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id > v_first
               ORDER BY t.project_id LIMIT 1);
    IF v_next IS NULL THEN
        RETURN ARRAY[v_first];
    END IF;
    v_last := (SELECT t.project_id FROM meshhook.tasks t WHERE t.shard = p_shard AND t.queue = 0
               ORDER BY t.project_id DESC LIMIT 1);
    v_from := v_first + floor(random() * (v_last::bigint - v_first + 1))::int;
    v_next := v_from - 1;
    WHILE coalesce(cardinality(v_found), 0) < p_max LOOP
        v_next := (SELECT t.project_id FROM meshhook.tasks t
                   WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id > v_next
                   ORDER BY t.project_id LIMIT 1);
        EXIT WHEN v_next IS NULL;
        v_found := v_found || v_next;
    END LOOP;
    v_next := v_first - 1;
    WHILE coalesce(cardinality(v_found), 0) < p_max LOOP
        v_next := (SELECT t.project_id FROM meshhook.tasks t
                   WHERE t.shard = p_shard AND t.queue = 0 AND t.project_id > v_next AND t.project_id < v_from
                   ORDER BY t.project_id LIMIT 1);
        EXIT WHEN v_next IS NULL;
        v_found := v_found || v_next;
    END LOOP;
    RETURN coalesce(v_found, ARRAY[v_first]);
END $$;
