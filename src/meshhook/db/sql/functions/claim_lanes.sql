-- claim_lanes: lock at most p_room tasks whose lanes let them start; returns their places.
--
-- A slot of a lane is a task under a lease: a row of queue 3. It is counted, never kept as a number, so a crash can't lose or
-- double one. What makes the count right:
--
--   Only who holds the row of the lane gives out slots, and holds it to the end of its transaction. So what this transaction
--   takes and has not committed yet, nobody else can overlook: he can't get at the lane.
--   Whoever gives a slot back writes an opening in the same transaction. Openings are read *before* slots are counted: what the
--   count does not see yet has an opening that stays.
--
-- Nobody waits here: openings, lanes and buckets that others hold are skipped, and their openings stay. First come, first
-- served: of a lane only an unbroken piece of its head is taken, so a row that somebody is just changing holds back those behind.
CREATE OR REPLACE FUNCTION meshhook.claim_lanes(p_shard smallint, p_now timestamptz, p_room int, p_front timestamptz)
RETURNS tid[]
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_openings tid[];
    v_wanted   bigint[];
    v_looked   bigint[];
    v_lane     record;
    v_free     int;
    v_want     int;
    v_heads    tid[];
    v_got      tid[];
    v_taken    tid[];
BEGIN
    SELECT array_agg(o.place), array_agg(o.lane) INTO v_openings, v_wanted
    FROM (SELECT due.ctid AS place, due.lane FROM meshhook.openings due
          WHERE due.shard = p_shard AND due.at <= p_now AND due.at >= coalesce(p_front, '-infinity')
          ORDER BY due.at
          LIMIT 500
          FOR UPDATE SKIP LOCKED) o;
    IF v_openings IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO meshhook.lanes (shard, id, workflow_id, project_id)
    SELECT DISTINCT p_shard, -w.id, w.id, w.project_id
    FROM unnest(v_wanted) AS wanted (id)
    JOIN meshhook.workflows w ON w.id = -wanted.id
    WHERE NOT EXISTS (SELECT FROM meshhook.lanes l WHERE l.shard = p_shard AND l.id = wanted.id)
    ON CONFLICT DO NOTHING;

    FOR v_lane IN
        SELECT l.id, l.slots, l.reserved_at
        FROM (SELECT u.id, min(u.n) AS n FROM unnest(v_wanted) WITH ORDINALITY AS u (id, n) GROUP BY u.id) wanted
        JOIN meshhook.lanes l ON l.shard = p_shard AND l.id = wanted.id
        ORDER BY wanted.n
        FOR UPDATE OF l SKIP LOCKED
    LOOP
        EXIT WHEN p_room <= 0;
        v_looked := v_looked || v_lane.id;
        v_free := v_lane.slots - (SELECT count(*) FROM (SELECT FROM meshhook.tasks t
                                                        WHERE t.shard = p_shard AND t.lane = v_lane.id AND t.queue = 3
                                                        LIMIT v_lane.slots) held);
        CONTINUE WHEN v_free <= 0;               -- who gives a slot back will say so
        v_want := least(p_room, v_free);
        v_heads := ARRAY(SELECT t.ctid FROM meshhook.tasks t
                         WHERE t.shard = p_shard AND t.lane = v_lane.id AND t.queue = 1
                         ORDER BY t.priority, t.place
                         LIMIT v_want);
        CONTINUE WHEN v_heads = '{}';
        v_got := meshhook.lock_heads(p_shard, p_now, v_lane.id, v_lane.reserved_at, v_heads);
        v_taken := v_taken || v_got;
        p_room := p_room - coalesce(cardinality(v_got), 0);
        IF cardinality(v_got) = v_want AND v_want IS DISTINCT FROM v_free THEN
            INSERT INTO meshhook.openings (shard, at, lane) VALUES (p_shard, p_now, v_lane.id);  -- there may be more to take
        END IF;
    END LOOP;
    DELETE FROM meshhook.openings o
    WHERE o.ctid = ANY (v_openings)
      AND (o.lane = ANY (v_looked) OR NOT EXISTS (SELECT FROM meshhook.lanes l WHERE l.shard = p_shard AND l.id = o.lane));
    RETURN v_taken;
END $$;

-- lock_heads: lock the first tasks of a lane, in order, as far as they are free and their buckets have tokens; returns those.
--
-- Where a token is missing, the next one is reserved for the lane, and an opening is left for that moment: so each lane that
-- waits for the same bucket is looked at once a token, not all of them at every token.
CREATE OR REPLACE FUNCTION meshhook.lock_heads(
    p_shard smallint, p_now timestamptz, p_lane bigint, p_reserved_at timestamptz, p_heads tid[]
) RETURNS tid[]
LANGUAGE plpgsql  -- planned as claim() says, which alone calls this
AS $$
DECLARE
    v_locked  tid[];
    v_taken   tid[];
    v_buckets bigint[];
    v_bucket  record;
    v_token   timestamptz;
BEGIN
    SELECT array_agg(t.place ORDER BY array_position(p_heads, t.place)),
           array_agg(t.bucket ORDER BY array_position(p_heads, t.place))
    INTO v_locked, v_buckets
    FROM (SELECT head.ctid AS place, CASE WHEN head.epoch = 0 THEN head.bucket END AS bucket
          FROM meshhook.tasks head
          WHERE head.ctid = ANY (p_heads) AND head.queue = 1 AND head.lane = p_lane
          FOR UPDATE SKIP LOCKED) t;
    FOR i IN 1 .. cardinality(p_heads) LOOP
        IF v_locked[i] IS DISTINCT FROM p_heads[i] THEN
            INSERT INTO meshhook.openings (shard, at, lane) VALUES (p_shard, p_now, p_lane);
            EXIT;
        END IF;
        IF v_buckets[i] IS NULL THEN
            v_taken := v_taken || v_locked[i];
        ELSIF p_reserved_at > p_now THEN
            EXIT;                                -- its opening is there already
        ELSIF p_reserved_at IS NOT NULL THEN
            p_reserved_at := NULL;
            v_taken := v_taken || v_locked[i];
        ELSE
            SELECT b.starts, b.per, greatest(b.full_at, p_now) + b.per / b.starts AS full_at INTO v_bucket
            FROM meshhook.buckets b WHERE b.shard = p_shard AND b.id = v_buckets[i] FOR UPDATE SKIP LOCKED;
            IF NOT FOUND THEN
                INSERT INTO meshhook.openings (shard, at, lane) VALUES (p_shard, p_now, p_lane);
                EXIT;
            END IF;
            UPDATE meshhook.buckets b SET full_at = v_bucket.full_at WHERE b.shard = p_shard AND b.id = v_buckets[i];
            v_token := v_bucket.full_at - v_bucket.per;
            IF v_token > p_now THEN
                p_reserved_at := v_token;
                INSERT INTO meshhook.openings (shard, at, lane) VALUES (p_shard, v_token, p_lane);
                EXIT;
            END IF;
            v_taken := v_taken || v_locked[i];
        END IF;
    END LOOP;
    UPDATE meshhook.lanes l SET reserved_at = p_reserved_at
    WHERE l.shard = p_shard AND l.id = p_lane AND l.reserved_at IS DISTINCT FROM p_reserved_at;
    RETURN v_taken;
END $$;
