-- A payload may hold \u0000, which is JSON but no Postgres text: every operator that unescapes fails on it. The type of an event
-- is its first member (whoever writes events sees to that), and is read without unescaping anything.
CREATE OR REPLACE VIEW meshhook.run_events AS
SELECT j.shard, j.run_id, (j.seq + e.ordinality - 1)::int AS seq, j.epoch, j.claimed_at, j.at,
       substring(e.event::text FROM '^\{"type" ?: ?"([a-z.]+)"') AS type, e.event
FROM meshhook.journal j, json_array_elements(j.events) WITH ORDINALITY AS e (event, ordinality);
